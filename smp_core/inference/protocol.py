"""How a module says what it becomes for inference; anybody's may."""

from __future__ import annotations

from typing import Protocol, overload, runtime_checkable

from torch import nn


class Walk(Protocol):
    """What a module is given, to make its inference form with."""

    @overload
    def __call__(self, module: nn.Module) -> nn.Module: ...

    @overload
    def __call__(self, module: None) -> None: ...

    def __call__(self, module: nn.Module | None) -> nn.Module | None:
        """The inference form of a part, to be put in its place; the part itself where it has none.

        None, an optional part that is not there, stays None. Of a module whose ``inference_form`` is at work it is an
        error: `parts` is what that may ask of itself.

        A convolution whose result goes to a norm alone has that norm folded in, and the norm becomes
        `torch.nn.Identity`, as does dropout.
        """
        ...

    def over(self, module: nn.Module) -> nn.Module:
        """The inference form of a part that is called as a whole, with one tensor: its calls are followed anew.

        For a module whose ``forward`` asks for sizes, so that nobody can see what it calls, and that knows. Or for one
        whose parts it has just exchanged.
        """
        ...

    def parts(self, module: nn.Module) -> nn.Module:
        """Put the inference form of each part in its place, and return the module."""
        ...


@runtime_checkable
class HasInferenceForm(Protocol):
    """A module that knows what it becomes; what `smp_core.optimize` asks for.

    Most modules need not: what they call, `torch.fx` sees, and norms are folded all the same. It is for a module that
    becomes another one (branches that merge), that computes something of its weights at each call which can be computed
    once, or that has a fast form, `smp_core.layers.may_fuse`, which nobody else can see through: without this method
    such a module is left as it is, with all that is in it.

    A convolution of another class than torch's has norms folded into it where that class says ``folds_norms = True``:
    its ``forward`` is linear, but for a bias for each channel of the result.

    The method is asked in evaluation mode and without gradients. It counts only where it is defined in the class that
    defines ``forward``, or in one derived from it: a subclass with another ``forward`` says itself what it becomes. A
    module that has hooks, parametrisations or methods of its own instance is never asked.

    >>> class Block(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.conv, self.scale = nn.Conv2d(3, 8, 3), 2.0
    ...
    ...     def forward(self, x):
    ...         return self.conv(x) * self.scale
    ...
    ...     def inference_form(self, walk):
    ...         conv = walk(self.conv)
    ...         conv.weight.mul_(self.scale)
    ...         conv.bias.mul_(self.scale)
    ...         return conv
    >>> isinstance(Block(), HasInferenceForm)
    True
    """

    def inference_form(self, walk: Walk) -> nn.Module:
        """What stands in this module's place for inference; it may be changed and returned itself.

        Whatever it raises becomes an `smp_core.errors.PluginError` that names the class and the module's path.
        """
        ...

"""The walk from a model to its inference form: what is known is replaced, what is not is left as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import overload

import torch
from torch import nn

from smp_core.errors import FAILURES, PluginError
from smp_core.inference.calls import Calls, read_calls
from smp_core.inference.folding import fold, may_fold
from smp_core.inference.trust import has_trusted_form, layers_are_torchs
from smp_core.layers.map_dropout import MapDropout
from smp_core.layers.stock import is_stock

# What does nothing in evaluation mode.
_DROPOUTS = frozenset(
    {nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout, MapDropout}
)


class InferenceWalk:
    """A `smp_core.inference.protocol.Walk` over one model.

    Args:
        model: in evaluation mode; its parts are exchanged as the walk goes on.
        paths: of modules in a model around this one; by default those in this one.
        left: modules that stay as they are, with all in them.
    """

    def __init__(
        self,
        model: nn.Module,
        paths: Mapping[nn.Module, str] | None = None,
        left: Iterable[nn.Module] = (),
    ) -> None:
        self._paths = {part: path for path, part in model.named_modules()} if paths is None else paths
        self._asked: set[nn.Module] = set()
        self._calls: Calls = read_calls(model) if layers_are_torchs() else Calls(left=set(model.modules()))
        self._left = tuple(left)
        self._calls.left.update(part for whole in self._left for part in whole.modules())
        # Of a convolution its norm, and of a norm its convolution.
        self._norm_of: dict[nn.Module, nn.Module] = {}
        self._folded: set[nn.Module] = set()
        for first in self._calls.followers:
            for second in self._calls.takers(first):
                if isinstance(second, nn.Module) and self._calls.are_a_pair(first, second) and may_fold(first, second):
                    self._norm_of[first] = second
                    self._folded.add(second)
        self._done: dict[nn.Module, nn.Module] = {}

    @overload
    def __call__(self, module: nn.Module) -> nn.Module: ...

    @overload
    def __call__(self, module: None) -> None: ...

    def __call__(self, module: nn.Module | None) -> nn.Module | None:
        """See `Walk`. What stands in several places is converted once."""
        if module is None:
            return None
        if module not in self._done:
            self._done[module] = self._convert(module)
        return self._done[module]

    def over(self, module: nn.Module) -> nn.Module:
        """See `Walk`."""
        return InferenceWalk(module, self._paths, self._left).parts(module)

    def parts(self, module: nn.Module) -> nn.Module:
        """See `Walk`."""
        for name, part in module._modules.items():
            if part is not None:
                module._modules[name] = self(part)
        return module

    def _convert(self, module: nn.Module) -> nn.Module:
        if module in self._calls.left:
            return module
        if module in self._norm_of:
            return fold(module, self._norm_of[module])
        if module in self._folded or (type(module) in _DROPOUTS and is_stock(module, type(module))):
            return nn.Identity()
        if not has_trusted_form(module):
            return self.parts(module)
        return self._told_form(module)

    def _told_form(self, module: nn.Module) -> nn.Module:
        """What a module says that it becomes."""
        if module in self._asked:
            raise PluginError(
                f"{self._shown(module)} asks by walk(self) for the form that it is making; expected walk.parts(self), "
                "which puts the form of each part in its place"
            )
        self._asked.add(module)
        try:
            form = module.inference_form(self)  # type: ignore[operator]
        except (PluginError, MemoryError, torch.cuda.OutOfMemoryError):  # of a module within, or nobody's fault
            raise
        except FAILURES as error:
            raise PluginError(
                f"{self._shown(module)} raised {type(error).__name__}: {error}; mend it, or take the method out, which "
                "most modules do without"
            ) from error
        finally:
            self._asked.discard(module)
        if not isinstance(form, nn.Module):
            raise PluginError(
                f"{self._shown(module)} returned {type(form).__name__}; expected an nn.Module, what stands in its "
                "place for inference"
            )
        return form.eval()

    def _shown(self, module: nn.Module) -> str:
        """Whose method it is, and where the module stands."""
        path = self._paths.get(module)
        place = {None: "made by another", "": "the model itself"}.get(path, f"at {path!r}")
        return f"{type(module).__name__}.inference_form ({place})"

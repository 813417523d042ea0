"""Activations that are made again in the backward pass, in place of being kept for it.

Training Deep Nets with Sublinear Memory Cost (Chen et al., arXiv:1604.06174): of a block only its input is kept, and
the block runs once more when its gradient is due. Results, gradients and running statistics are those without it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from smp_core.errors import OptionError
from smp_core.layers.recording import is_recording


def recompute(module: nn.Module, *inputs: Any) -> Any:
    """``module(*inputs)``, whose activations are made again in the backward pass.

    For encoders with a `set_gradient_checkpointing` of their own. The inputs must not be changed in place afterwards.
    Without gradients, traced or exported, the module is just called.

    >>> layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    >>> recompute(layers, torch.zeros(1, 3, 8, 8)).shape
    torch.Size([1, 8, 6, 6])
    """
    return _run(module, module, *inputs)


def _run(function: Callable[..., Any], module: nn.Module, *inputs: Any) -> Any:
    """``function(*inputs)``, which runs the module, and runs it again in the backward pass."""
    if not torch.is_grad_enabled() or any(is_recording(item) for item in inputs):
        return function(*inputs)
    return checkpoint(_TwoRuns(function, module), *inputs, use_reentrant=False)


class _TwoRuns:
    """A function that runs a module; its second run leaves no trace. A compiler sees to that by itself.

    Not contexts that are given to `checkpoint`: a compiler does not take these, and where it gives up on a block and
    calls it as it stands, they would be missing.
    """

    def __init__(self, function: Callable[..., Any], module: nn.Module) -> None:
        self._function = function
        self._module = module
        self._first: _AsItRan | None = None
        self._given: tuple[Any, ...] = ()

    def __call__(self, *inputs: Any) -> Any:
        if torch.compiler.is_compiling():
            return self._function(*inputs)
        if self._first is None:
            self._first = _AsItRan(self._module)
            # A module may write its results into a list that it is given, as those of HRNet do.
            self._given = tuple(map(_without_writing, inputs))
            return self._function(*inputs)
        with self._first:
            return self._function(*map(_without_writing, self._given))


class _AsItRan:
    """A context in which a module is what it was when this was made; what it writes into its buffers is lost.

    So running statistics move once. And a mode or a parameter that was changed in between
    (`torch.func.functional_call` exchanges parameters for the time of a call) does not silently change the gradients.
    It may be entered again, by a second backward pass. Switching off ``track_running_stats`` would not do: a norm then
    keeps fewer tensors than it did in its first run, which torch takes for an error.
    """

    def __init__(self, module: nn.Module) -> None:
        self._ran = [(part, part.training, {**part._parameters}, {**part._buffers}) for part in module.modules()]
        self._found: list[tuple[nn.Module, bool, dict[str, Any], dict[str, Any]]] = []

    def __enter__(self) -> None:
        for part, training, parameters, buffers in self._ran:
            self._found.append((part, part.training, part._parameters, part._buffers))
            part.training = training
            if any(part._parameters.get(name) is not parameter for name, parameter in parameters.items()):
                part._parameters = parameters
            part._buffers = {name: _copy(buffer) for name, buffer in buffers.items()}

    def __exit__(self, *_: object) -> None:
        for part, training, parameters, buffers in self._found:
            part.training, part._parameters, part._buffers = training, parameters, buffers
        self._found.clear()


def _without_writing(given: Any) -> Any:
    """Lists and dicts as they are now, with the same tensors in them; anything else itself."""
    if type(given) is dict:
        return {key: _without_writing(item) for key, item in given.items()}
    if type(given) in (list, tuple):
        return type(given)(map(_without_writing, given))
    return given


def _copy(buffer: Tensor | None) -> Tensor | None:
    return None if buffer is None else buffer.clone()


class Recomputed:
    """The ``forward`` of a module whose activations are made again in the backward pass, where it is trained.

    An object and not a closure, so that a module that has it can be copied and pickled.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.replaced: Callable[..., Any] | None = module.__dict__.get("forward")

    def plain(self, *inputs: Any, **options: Any) -> Any:
        """What ``forward`` was before."""
        if self.replaced is not None:
            return self.replaced(*inputs, **options)
        return type(self.module).forward(self.module, *inputs, **options)

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """As ``forward``."""
        if not self.module.training:
            return self.plain(*inputs, **options)
        # The keywords of a block must not be taken for those of the checkpoint.
        function = functools.partial(self.plain, **options) if options else self.plain
        return _run(function, self.module, *inputs)

    def refuse_script(self) -> NoReturn:
        """What `torch.jit.script` calls on a module that has this method: it would fail without saying why."""
        raise OptionError(
            f"torch.jit.script cannot take {type(self.module).__name__} while gradient checkpointing is on, which is "
            "for training; call set_gradient_checkpointing(False) first"
        )


def is_recomputed(module: nn.Module) -> bool:
    """Whether the module's ``forward`` is a `Recomputed`."""
    return isinstance(module.__dict__.get("forward"), Recomputed)


def start_recomputing(modules: Iterable[nn.Module]) -> None:
    """Give modules that do not have it yet a `Recomputed` as ``forward``."""
    for module in modules:
        if not is_recomputed(module):
            # Straight into the instance: its class, keys, hooks and repr stay as they are.
            forward = Recomputed(module)
            module.__dict__.update({"forward": forward, "__prepare_scriptable__": forward.refuse_script})


def stop_recomputing(module: nn.Module) -> None:
    """Give all modules in a module the ``forward`` that they had before `start_recomputing`."""
    for part in module.modules():
        if is_recomputed(part):
            forward = part.__dict__.pop("forward")
            del part.__dict__["__prepare_scriptable__"]
            if forward.replaced is not None:
                part.__dict__["forward"] = forward.replaced


def blocks_of(module: nn.Module) -> Iterator[nn.Module]:
    """The modules in a module that are worth to be recomputed one by one: what containers hold, where it has parts.

    A container calls what it holds (`torch.nn.Sequential`) or has no ``forward`` (`torch.nn.ModuleList`); a
    ``Sequential`` of single layers is a block itself. Of any other module it is not known what its ``forward`` calls.

    >>> block = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    >>> list(blocks_of(nn.Sequential(nn.Sequential(block), nn.MaxPool2d(2)))) == [block]
    True
    """
    parts = list(module.children())
    forward = type(module).forward
    if "forward" in module.__dict__ and not is_recomputed(module):  # its user's own
        forward = module.__dict__["forward"]
    if forward not in (nn.Sequential.forward, nn.Module.forward):
        if parts:
            yield module
    elif any(True for part in parts for _ in part.children()):
        for part in parts:
            yield from blocks_of(part)
    elif forward is nn.Sequential.forward and len(parts) > 1:
        yield module

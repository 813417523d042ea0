"""CUDA graphs of a model, one for each shape of input: recorded once, replayed from then on.

A batch of one image is a few hundred operations, and launching them one by one takes longer than running them. Which
graphs there are, and when one is made, is decided here without CUDA; `record` alone touches it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from smp_core._warnings import warn

MAX_GRAPHS = 4
"""A graph keeps the memory of all maps between its input and its result."""

# Shapes that came once. As many as a program that pads or crops by chance may come up with.
_MAX_SEEN = 256


class Replay(Protocol):
    """A recorded run."""

    def __call__(self, x: Tensor) -> Any:
        """What the run would return for an input of the recorded shape, in memory of its own."""
        ...


def state_of(model: nn.Module) -> Hashable:
    """What a recorded run depends on besides its input: modules, hooks, tensors, and what was written into these."""
    found: list[Hashable] = []
    for module in model.modules():
        found.append((id(module), module.training, bool(module._forward_hooks or module._forward_pre_hooks)))
        found += (
            (id(tensor), tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)
            for tensor in (*module._parameters.values(), *module._buffers.values())
            if tensor is not None
        )
    return tuple(found)


class GraphCache:
    """Runs a model, and replays it for shapes that have come before. Threads may share one.

    A shape is run as it is when it comes first, recorded when it comes for the second time. Of more shapes than fit,
    the one that was used longest ago is forgotten, with its memory. What a run depends on besides its input is compared
    at each call, so that a hook, another layer or another weight are never passed over.

    Args:
        record: makes a replay of a model and an example of its input; CUDA's by default.
        max_graphs: how many are kept.
    """

    def __init__(
        self, record: Callable[[nn.Module, Tensor], Replay] | None = None, *, max_graphs: int = MAX_GRAPHS
    ) -> None:
        self._record = record
        self._max_graphs = max_graphs
        self._clear(None)
        self._lock = threading.Lock()

    def _clear(self, state: Hashable) -> None:
        self._state = state
        self._replays: OrderedDict[Hashable, Replay] = OrderedDict()
        self._seen: OrderedDict[Hashable, None] = OrderedDict()
        self._fails = False

    def __len__(self) -> int:
        return len(self._replays)

    def __call__(self, model: nn.Module, x: Tensor, state: Hashable) -> Any:
        """``model(x)``, or the same replayed.

        Args:
            model: what is run.
            x: its input.
            state: what else the run depends on; another one than before makes everything be forgotten.
        """
        key = (x.shape, x.stride(), x.dtype, x.device)
        with self._lock:
            if state != self._state:
                self._clear(state)
            replay = None if _has_hooks(model) or self._fails else self._replay_of(key, model, x)
            if replay is not None:
                # Within the lock: a graph has one place for its input, and one for its result.
                return replay(x)
        return model(x)

    def _replay_of(self, key: Hashable, model: nn.Module, x: Tensor) -> Replay | None:
        if key in self._replays:
            self._replays.move_to_end(key)
            return self._replays[key]
        if key not in self._seen:
            self._seen[key] = None
            if len(self._seen) > _MAX_SEEN:
                self._seen.popitem(last=False)
            return None
        while len(self._replays) >= self._max_graphs:
            self._replays.popitem(last=False)  # before the next one needs its memory
        try:
            replay = (self._record or record)(model, x)
        except RuntimeError as error:  # a model that waits for the device, say, cannot be recorded
            self._fails = True
            warn(
                f"this model could not be recorded as a CUDA graph, and runs without: {error}. "
                "optimize(..., graphs=False) does not try",
                RuntimeWarning,
            )
            return None
        del self._seen[key]
        self._replays[key] = replay
        return replay

    def __deepcopy__(self, _: object) -> GraphCache:
        return GraphCache(self._record, max_graphs=self._max_graphs)

    def __reduce__(self) -> tuple[Any, ...]:
        # Graphs cannot be written down; a copy records its own.
        return _empty, (self._record, self._max_graphs)


def _empty(record: Callable[[nn.Module, Tensor], Replay] | None, max_graphs: int) -> GraphCache:
    return GraphCache(record, max_graphs=max_graphs)


def _has_hooks(model: nn.Module) -> bool:
    return any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def record(model: nn.Module, x: Tensor) -> Replay:
    """Record a run on CUDA. This function has not been run on a GPU yet.

    Args:
        model: without control flow that depends on values.
        x: an example of its input, on CUDA.
    """
    # Not in the caller's inference mode: what is made there may not be written into outside of it.
    with torch.inference_mode(False), torch.no_grad(), torch.cuda.device(x.device):
        given = torch.empty_like(x)
        given.copy_(x)
        # Libraries choose algorithms and allocate workspaces in the first runs, which a graph must not hold.
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(2):
                model(given)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Other threads may go on using the device meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            result = model(given)
    return _Recorded(graph, given, result)


class _Recorded:
    def __init__(self, graph: torch.cuda.CUDAGraph, given: Tensor, result: Any) -> None:
        self._graph, self._given, self._result = graph, given, result
        self._idle: torch.cuda.Event | None = None

    def __call__(self, x: Tensor) -> Any:
        with torch.cuda.device(x.device):
            stream = torch.cuda.current_stream()
            if self._idle is not None:
                # The last caller may have been on another stream, which still reads the result.
                stream.wait_event(self._idle)
            self._given.copy_(x)
            self._graph.replay()
            result = _cloned(self._result)
            self._idle = torch.cuda.Event()
            self._idle.record(stream)
        return result


def _cloned(result: Any) -> Any:
    if isinstance(result, Tensor):
        return result.clone()
    if isinstance(result, (list, tuple)):
        return type(result)(map(_cloned, result))
    if isinstance(result, dict):
        return {key: _cloned(item) for key, item in result.items()}
    return result

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
from smp_core.inference.dependence import Dependence, settings_of
from smp_core.layers.recording import may_fuse

MAX_GRAPHS = 4
"""A graph keeps the memory of all maps between its input and its result."""

# Shapes that came once. As many as a program that pads or crops by chance may come up with.
_MAX_SEEN = 256


class Replay(Protocol):
    """A recorded run."""

    def __call__(self, x: Tensor) -> Any:
        """What the run would return for an input of the recorded shape, in memory of its own."""
        ...


class GraphCache:
    """Runs a model, and replays it for shapes that have come before. Threads may share one.

    A shape is run as it is when it comes first, recorded when it comes for the second time. Of more shapes than fit,
    the one that was used longest ago is forgotten, with its memory. What a run depends on besides its input is compared
    at each call: the model (`smp_core.inference.dependence.Dependence`), so that a hook, another layer, attribute or
    weight are never passed over, and what is set for the process, as by autocast. A shape that does not fit the memory
    runs as it is.

    Args:
        record: makes a replay of a model and an example of its input; CUDA's by default.
        max_graphs: how many are kept.
    """

    def __init__(
        self, record: Callable[[nn.Module, Tensor], Replay] | None = None, *, max_graphs: int = MAX_GRAPHS
    ) -> None:
        self._record = record
        self._max_graphs = max_graphs
        self._lock = threading.Lock()
        self._depends: Dependence | None = None
        self._fails = False
        self._replays: OrderedDict[Hashable, Replay | None] = OrderedDict()
        self._seen: OrderedDict[Hashable, None] = OrderedDict()

    def __len__(self) -> int:
        return sum(replay is not None for replay in self._replays.values())

    def __call__(self, model: nn.Module, x: Tensor) -> Any:
        """``model(x)``, or the same replayed."""
        if not may_fuse(x):  # there are hooks on all modules, say
            return model(x)
        key = (x.shape, x.stride(), x.dtype, x.device, settings_of(x.device.type))
        with self._lock:
            depends = self._depends
            if depends is None or not depends.holds(model):
                self._forget()
                self._depends = depends = Dependence(model)
            replay = None if depends.is_hooked or self._fails else self._replay_of(key, model, x)
            if replay is not None:
                # Within the lock: a graph has one place for its input, and one for its result.
                return replay(x)
        return model(x)

    def _forget(self) -> None:
        self._replays.clear()
        self._seen.clear()
        self._fails = False

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
        del self._seen[key]
        replay: Replay | None = None
        try:
            replay = (self._record or record)(model, x)
        except torch.cuda.OutOfMemoryError as error:
            warn(
                f"there is no memory to record a CUDA graph for an input of {tuple(x.shape)}, which runs without: "
                f"{error}. optimize(..., graphs=False) does not try",
                RuntimeWarning,
            )
        except RuntimeError as error:  # a model that waits for the device, say, cannot be recorded
            self._forget()
            self._fails = True
            warn(
                f"this model could not be recorded as a CUDA graph, and runs without: {error}. "
                "optimize(..., graphs=False) does not try",
                RuntimeWarning,
            )
            return None
        self._replays[key] = replay  # None, too, until others come: not to be tried at each call
        return replay

    def __deepcopy__(self, _: object) -> GraphCache:
        return GraphCache(self._record, max_graphs=self._max_graphs)

    def __reduce__(self) -> tuple[Any, ...]:
        # Graphs cannot be written down; a copy records its own.
        return _empty, (self._record, self._max_graphs)


def _empty(record: Callable[[nn.Module, Tensor], Replay] | None, max_graphs: int) -> GraphCache:
    return GraphCache(record, max_graphs=max_graphs)


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

"""When graphs are recorded, replayed and forgotten. Recording itself needs CUDA; a stand-in records here."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from torch import Tensor, nn

from smp_core.inference.graphs import GraphCache, Replay
from smp_core.layers import use_form


class Recorder:
    """Records what is asked of it; a replay has one place for its input, as a graph has."""

    def __init__(self) -> None:
        self.recorded: list[tuple[int, ...]] = []
        self.replayed: list[tuple[int, ...]] = []

    def __call__(self, model: nn.Module, x: Tensor) -> Replay:
        self.recorded.append(tuple(x.shape))
        place = torch.empty_like(x)

        def replay(given: Tensor) -> Tensor:
            self.replayed.append(tuple(given.shape))
            place.copy_(given)
            result: Tensor = model(place)
            return result.clone()

        return replay


class Scale(nn.Module):
    """Reads what it holds in several places."""

    shift = 0.5

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.steps, self.facts = torch.ones(1), [1, 1], {"by": 1}
        self.last = (2.0, "channels")

    def forward(self, x: Tensor) -> Tensor:
        self.last = (float(x.shape[1]), "channels")  # an equal one in each run
        return x * self.scale * sum(self.steps) * sum(self.facts.values()) + self.shift


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.LeakyReLU(), Scale()).eval().requires_grad_(False)


def image(size: int) -> Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(size))


def caller(cache: GraphCache, model: nn.Module) -> Callable[[int], None]:
    def call(size: int) -> None:
        x = image(size)
        assert torch.equal(cache(model, x), model(x))

    return call


def test_a_shape_is_recorded_when_it_comes_again(model: nn.Module) -> None:
    recorder = Recorder()
    call = caller(GraphCache(recorder), model)
    for size in (4, 5, 4, 4, 5, 6):
        call(size)
    assert recorder.recorded == [(1, 3, 4, 4), (1, 3, 5, 5)]
    assert recorder.replayed == [(1, 3, 4, 4), (1, 3, 4, 4), (1, 3, 5, 5)]


def test_the_one_that_was_used_longest_ago_is_forgotten(model: nn.Module) -> None:
    recorder = Recorder()
    cache = GraphCache(recorder, max_graphs=2)
    call = caller(cache, model)
    for size in (4, 4, 5, 5, 4, 6, 6, 4):
        call(size)
        assert len(cache) <= 2
    assert [shape[2] for shape in recorder.recorded] == [4, 5, 6]
    call(5)
    call(5)
    assert [shape[2] for shape in recorder.recorded] == [4, 5, 6, 5]


def test_shapes_that_come_once_leave_no_trace(model: nn.Module) -> None:
    cache = GraphCache(Recorder())
    call = caller(cache, model)
    for size in range(1, 400):
        call(size % 400)
    assert len(cache) == 0
    assert len(cache._seen) == 256


def test_layouts_are_told_apart(model: nn.Module) -> None:
    recorder = Recorder()
    cache = GraphCache(recorder)
    x = image(4)
    cache(model, x)
    cache(model, x.contiguous(memory_format=torch.channels_last))
    assert not recorder.recorded


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model[0].weight.mul_(2),
        lambda model: model.__setitem__(1, nn.Tanh()),
        lambda model: setattr(model[0], "weight", nn.Parameter(torch.ones(2, 3, 1, 1), requires_grad=False)),
        lambda model: setattr(model[0].weight, "data", torch.ones(2, 3, 1, 1)),
        lambda model: setattr(model[2], "negative_slope", 0.9),
        lambda model: setattr(model[2], "forward", torch.tanh),
        lambda model: setattr(model[2], "__class__", nn.ReLU),
        lambda model: setattr(model[3], "scale", torch.ones(1)),
        lambda model: model[3].steps.append(2),
        lambda model: model[3].facts.update(extra=1),
        lambda model: setattr(model[3], "steps", [2]),
    ],
)
def test_a_changed_model_is_recorded_anew(model: nn.Module, change: Callable[[nn.Module], object]) -> None:
    recorder = Recorder()
    call = caller(GraphCache(recorder), model)
    for _ in range(3):
        call(4)
    change(model)
    for _ in range(3):
        call(4)
    assert len(recorder.recorded) == 2
    assert len(recorder.replayed) == 4


def test_what_keeps_something_of_each_run_is_not_replayed(model: nn.Module) -> None:
    class Keeping(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            self.kept = x.mean()
            return x + self.kept

    recorder = Recorder()
    keeping = nn.Sequential(model, Keeping())
    call = caller(GraphCache(recorder), keeping)
    for size in (4, 4, 4, 5, 4, 5):
        call(size)
    assert not recorder.recorded


def test_a_changed_class_is_recorded_anew(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    call = caller(GraphCache(recorder), model)
    changes: list[tuple[type[nn.Module], str, object]] = [
        (nn.LeakyReLU, "forward", lambda self, x: x),
        (nn.LeakyReLU, "extra", 1),
        (Scale, "shift", 2.5),
    ]
    for number, (kind, name, value) in enumerate(changes):
        for _ in range(3):
            call(4)
        assert len(recorder.recorded) == number + 1
        monkeypatch.setattr(kind, name, value, raising=False)
    for _ in range(3):
        call(4)
    assert len(recorder.recorded) == 4


def test_hooks_on_all_modules_are_never_passed_over(model: nn.Module) -> None:
    recorder, ran = Recorder(), []
    cache = GraphCache(recorder)
    for _ in range(2):
        cache(model, image(4))
    handle = nn.modules.module.register_module_forward_hook(lambda *_: ran.append(1))
    try:
        cache(model, image(4))
    finally:
        handle.remove()
    assert len(ran) == 5
    assert len(recorder.replayed) == 1
    cache(model, image(4))
    assert len(recorder.replayed) == 2
    assert len(recorder.recorded) == 1


@pytest.mark.parametrize(
    "setting",
    [
        lambda: torch.autocast("cpu", torch.bfloat16),
        lambda: use_form("conv3x3", "plain"),
        lambda: torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=True),
    ],
)
def test_what_is_set_for_a_run_counts(model: nn.Module, setting: Callable[[], AbstractContextManager[None]]) -> None:
    recorder = Recorder()
    call = caller(GraphCache(recorder), model)
    for _ in range(2):
        with setting():
            call(4)
            call(4)
        call(4)
        call(4)
    assert recorder.recorded == [(1, 3, 4, 4)] * 2
    assert len(recorder.replayed) == 6


def test_the_precision_of_an_autocast_region_counts(model: nn.Module) -> None:
    cache = GraphCache(lambda model, x: (lambda result: lambda x: result.clone())(model(x)))
    wanted = {torch.bfloat16: image(4), torch.float16: image(4)}
    for dtype, x in wanted.items():
        with torch.autocast("cpu", dtype):
            outs = [cache(model[:1], x) for _ in range(3)]
        assert {out.dtype for out in outs} == {dtype}
    assert cache(model[:1], image(4)).dtype == torch.float32


def test_hooks_are_never_passed_over(model: nn.Module) -> None:
    recorder, ran = Recorder(), []
    cache = GraphCache(recorder)
    x = image(4)
    for _ in range(2):
        cache(model, x)
    handle = model[1].register_forward_hook(lambda *_: ran.append(1))
    for _ in range(3):
        cache(model, x)
    assert len(ran) == 3
    handle.remove()
    caller(cache, model)(4)
    assert len(recorder.recorded) == 1


def test_what_cannot_be_recorded_runs_without(model: nn.Module) -> None:
    def fail(model: nn.Module, x: Tensor) -> Replay:
        attempts.append(1)
        raise RuntimeError("operation not permitted when stream is capturing")

    attempts: list[int] = []
    call = caller(GraphCache(fail), model)
    call(4)
    with pytest.warns(RuntimeWarning, match=r"could not be recorded as a CUDA graph, and runs without: operation not"):
        call(4)
    for size in (4, 5, 5):
        call(size)
    assert len(attempts) == 1


def test_what_has_no_memory_runs_without_alone(model: nn.Module) -> None:
    def fail(model: nn.Module, x: Tensor) -> Replay:
        if x.shape[2] > 4:
            recorder.recorded.append(tuple(x.shape))
            raise torch.cuda.OutOfMemoryError("tried to allocate 2.00 GiB")
        return recorder(model, x)

    recorder = Recorder()
    cache = GraphCache(fail)
    call = caller(cache, model)
    for size in (4, 4, 5):
        call(size)
    message = (
        r"no memory to record a CUDA graph for an input of \(1, 3, 5, 5\), which runs without: tried to allocate 2.00 "
        r"GiB. optimize\(..., graphs=False\) does not try"
    )
    with pytest.warns(RuntimeWarning, match=message):
        call(5)
    for size in (5, 5, 4):
        call(size)
    assert recorder.recorded == [(1, 3, 4, 4), (1, 3, 5, 5)]
    assert recorder.replayed == [(1, 3, 4, 4)] * 2
    assert len(cache) == 1


def test_a_failure_frees_what_was_recorded(model: nn.Module) -> None:
    def fail(model: nn.Module, x: Tensor) -> Replay:
        if x.shape[2] > 4:
            raise RuntimeError("operation not permitted when stream is capturing")
        return Recorder()(model, x)

    cache = GraphCache(fail)
    call = caller(cache, model)
    for size in (4, 4, 5):
        call(size)
    assert len(cache) == 1
    with pytest.warns(RuntimeWarning, match="could not be recorded as a CUDA graph"):
        call(5)
    assert len(cache) == 0


def test_copies_and_pickles_begin_empty(model: nn.Module) -> None:
    cache = GraphCache(max_graphs=3)
    for other in (copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))):
        assert isinstance(other, GraphCache)
        assert len(other) == 0
        assert other._max_graphs == 3


def test_threads_share_a_cache(model: nn.Module) -> None:
    cache = GraphCache(Recorder(), max_graphs=2)
    wrong: list[BaseException] = []

    def work(seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        try:
            for _ in range(40):
                size = int(torch.randint(3, 7, (), generator=generator))
                x = torch.rand(1, 3, size, size, generator=generator)
                assert torch.equal(cache(model, x), model(x))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(cache) <= 2

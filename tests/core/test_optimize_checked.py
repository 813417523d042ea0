"""`smp_core.optimize` compares what it makes with the model, and leaves a part that would give other numbers."""

from __future__ import annotations

import contextlib
import threading
import warnings
from functools import partial
from typing import Any

import pytest
import settled
import torch
from settled import furthest, num_norms
from torch import Tensor, nn

import smp_core
from smp_core.errors import OptionError


class Pair(nn.Module):
    """A convolution and a norm, called in some way."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.rest = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)


class CatchesAReadWeight(Pair):
    """A part's weight is no part of its calls, whoever catches the error."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        with contextlib.suppress(TypeError):
            y = y * self.conv.weight.mean()
        return self.norm(y)


class CatchesALength(Pair):
    """Nor is how many there are."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        try:
            if len(x) > 1:
                return self.norm(y) + y
        except TypeError:
            pass
        return self.norm(y)


class Counts(Pair):
    """Every other call is another one."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = [0]

    def forward(self, x: Tensor) -> Tensor:
        self.calls[0] += 1
        y = self.conv(x)
        return self.norm(y) if self.calls[0] % 2 else self.norm(y) + y


class _Holder:
    feature: Tensor


class KeepsInAnObject(Pair):
    """What holds the result is no list."""

    def __init__(self) -> None:
        super().__init__()
        self.holder = _Holder()

    def forward(self, x: Tensor) -> Tensor:
        self.holder.feature = self.conv(x)
        return self.norm(self.holder.feature) + self.rest(self.holder.feature)


def _doubled(y: object) -> Any:
    return y * 2 if isinstance(y, Tensor) else y


class HasItAsked(Pair):
    """A function asks for the class."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(_doubled(self.conv(x)))


class MatchesATensor(Pair):
    """Another way of asking."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        match y:
            case Tensor():
                y = y * 2
        return self.norm(y)


class ReadsAFact(Pair):
    """A norm that is gone has none."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) * self.norm.num_features


class ReadsARate(Pair):
    """Nor has a dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(self.norm(self.conv(x)), self.drop.p, self.training)


class DrawsNoise(Pair):
    """Dropout that is never off."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(nn.functional.dropout(x, 0.2, training=True)))


class NeverTheSame(Pair):
    """What no seed repeats."""

    def forward(self, x: Tensor) -> Tensor:
        _SEEN.append(None)
        return self.norm(self.conv(x)) * len(_SEEN)


_SEEN: list[None] = []


class Folds(Pair):
    """Of what it is given the sawtooth with eight teeth: whatever was rounded becomes eight times as much."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x))
        return torch.frac(8 * y)


class Scales(Pair):
    """One channel of large numbers beside others that are asked for their class."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(_doubled(self.conv(x)))
        return torch.cat([1000 * x[:, :1], y[:, 1:]], 1)


class Adds(Pair):
    """A branch of little weight."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.01 * self.norm(_doubled(self.conv(x)))


class GivesAPair(nn.Identity):
    """With a hook."""


class TakesAPair(Pair):
    """Cannot be run without that hook."""

    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        x, y = pair
        return y + self.norm(_doubled(self.conv(x)))


class MakesLabels(nn.Module):
    """Whole numbers for scores."""

    def forward(self, x: Tensor) -> Tensor:
        return x.argmax(1)


class Impossible(Pair):
    """Takes no image of the size that is tried."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        if y.shape[-1] != 128:
            raise ValueError("128 columns alone")
        return y


with_part = partial(settled.with_part, encoder_depth=3, decoder_channels=(32, 16, 8))


def image(width: int = 96) -> Tensor:
    return torch.randn(2, 3, 64, width, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@torch.no_grad()
def assert_same(fast: nn.Module, model: smp_core.SegmentationModel) -> None:
    torch.manual_seed(1)
    before = model(image())
    torch.manual_seed(1)
    assert furthest(fast(image()), before) < 1e-11


@pytest.mark.parametrize("kind", [CatchesAReadWeight, CatchesALength, Counts, KeepsInAnObject])
def test_what_is_asked_aside_of_calls_is_left_without_a_word(kind: type[Pair]) -> None:
    model = with_part(kind())
    fast = smp_core.optimize(model)
    assert num_norms(fast) == 1
    for _ in range(2):
        assert_same(fast, model)


@pytest.mark.parametrize("kind", [HasItAsked, MatchesATensor, ReadsAFact, ReadsARate])
def test_other_numbers_leave_the_part_and_say_so(kind: type[Pair]) -> None:
    model = with_part(kind())
    with pytest.warns(
        RuntimeWarning, match=r"^optimize: 'segmentation_head.1' is left as it is. Taken apart, .* \(by "
    ):
        fast = smp_core.optimize(model)
    assert num_norms(fast) == 1
    assert_same(fast, model)


@pytest.mark.parametrize("kind", [Scales, Adds])
def test_little_differences_are_seen_too(kind: type[Pair]) -> None:
    model = with_part(kind()).float()
    with pytest.warns(RuntimeWarning, match=r"^optimize: 'segmentation_head.1' is left as it is"):
        smp_core.optimize(model)


def test_two_such_parts_leave_what_holds_both() -> None:
    model = with_part(ReadsAFact(), HasItAsked())
    with pytest.warns(RuntimeWarning, match=r"^optimize: 'segmentation_head' is left as it is"):
        fast = smp_core.optimize(model)
    assert num_norms(fast) == 2
    assert_same(fast, model)


def test_in_place_it_is_an_error() -> None:
    model = with_part(ReadsAFact())
    with pytest.raises(
        OptionError, match=r"^optimize: taken apart, the model gave other numbers .* \(by inf of .* Without "
    ):
        smp_core.optimize(model, inplace=True)
    with pytest.raises(OptionError, match="failed half way"):
        model(image())


def test_noise_is_drawn_alike_and_no_generator_moves() -> None:
    model, before = with_part(DrawsNoise()), torch.get_rng_state()
    fast = smp_core.optimize(model, memory_format="contiguous")  # the draws are those of the memory, in its order
    assert torch.equal(torch.get_rng_state(), before)
    assert num_norms(fast) == 0
    assert_same(fast, model)


def test_what_never_gives_the_same_cannot_be_compared() -> None:
    with pytest.warns(
        RuntimeWarning, match=r"not compared with the model, .* \(it gives other numbers each time\); comp"
    ):
        assert num_norms(smp_core.optimize(with_part(NeverTheSame()))) == 0


def test_what_takes_no_such_image_cannot_be_compared() -> None:
    model = with_part(Impossible())
    with pytest.warns(
        RuntimeWarning, match=r"not compared .* \(ValueError: 128 columns alone\); compare them on an imag"
    ):
        fast = smp_core.optimize(model)
    with torch.no_grad():
        assert furthest(fast(image(128)), model(image(128))) < 1e-11


def test_a_model_that_has_no_copies_is_compared_itself() -> None:
    model = with_part(ReadsAFact())
    model.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(OptionError, match="taken apart, the model gave other numbers"):
        smp_core.optimize(model, inplace=True)


def test_a_model_that_needs_its_hooks_is_compared_with_them() -> None:
    model = with_part(GivesAPair(), TakesAPair())
    model.segmentation_head[1].register_forward_hook(lambda module, given, found: (found, found))
    with pytest.warns(RuntimeWarning, match=r"^optimize: 'segmentation_head.2' is left as it is"):
        fast = smp_core.optimize(model)
    assert_same(fast, model)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("inplace", [False, True])
def test_half_precision_is_compared_in_single(dtype: torch.dtype, inplace: bool) -> None:
    model = with_part(Adds()).to(dtype)
    if inplace:
        with pytest.raises(OptionError, match="taken apart, the model gave other numbers"):
            smp_core.optimize(model, inplace=True)
        return
    with pytest.warns(RuntimeWarning, match=r"^optimize: 'segmentation_head.1' is left as it is"):
        fast = smp_core.optimize(model)
    assert num_norms(fast) == 1
    assert fast.dtype == dtype


@pytest.mark.parametrize(("name", "value"), [("inplace", "no"), ("graphs", 1)])
def test_flags_are_flags(name: str, value: object) -> None:
    model = with_part(nn.Identity())
    with pytest.raises(OptionError, match=rf"^optimize: {name} must be True or False, got {value!r}$"):
        smp_core.optimize(model, **{name: value})  # type: ignore[arg-type]
    assert num_norms(model) > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rounding_that_grows_from_layer_to_layer_is_no_difference(dtype: torch.dtype) -> None:
    model = with_part(*(Folds() for _ in range(12))).to(dtype)
    fast, x = smp_core.optimize(model), image().to(dtype)
    with torch.no_grad():
        assert furthest(fast(x), model(x)) > 1e-2
    assert num_norms(fast) == 0


@pytest.mark.parametrize("parts", [(MakesLabels(),), (nn.LogSoftmax(1),)])
def test_what_can_hardly_be_compared(parts: tuple[nn.Module, ...]) -> None:
    model = with_part(*parts)
    fast = smp_core.optimize(model)
    with torch.no_grad():
        assert furthest(fast(image(128)), model(image(128))) < 1e-11


def test_labels_that_differ_are_seen() -> None:
    model = with_part(ReadsAFact(), MakesLabels())
    with pytest.warns(RuntimeWarning, match=r"^optimize: 'segmentation_head.1' is left as it is"):
        smp_core.optimize(model)


def test_nobody_sees_the_run() -> None:
    model, seen = with_part(nn.Identity()), list[object]()
    model.encoder.register_forward_hook(lambda *given: seen.append(given))
    part = Counts()
    model.segmentation_head.append(part.double().eval())
    fast = smp_core.optimize(model)
    assert not seen
    assert part.calls == [0]
    assert fast.model.segmentation_head[2].calls == [0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_rounding_and_what_is_not_finite_are_no_difference(dtype: torch.dtype) -> None:
    model = with_part(nn.Identity()).to(dtype)
    with torch.no_grad():
        model.segmentation_head[0][0].bias[1] = -torch.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert num_norms(smp_core.optimize(model)) == 0


def test_the_callers_default_device_and_inference_mode_are_not_asked() -> None:
    model = with_part(nn.Identity())
    with torch.device("meta"):
        fast = smp_core.optimize(model)
    assert_same(fast, model)
    with torch.inference_mode():
        made = with_part(nn.Identity())
    assert_same(smp_core.optimize(made, inplace=True), model)


def test_no_generator_is_set_back_for_what_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = with_part(nn.Identity())
    monkeypatch.setattr(torch, "set_rng_state", None)  # whoever calls it fails
    assert num_norms(smp_core.optimize(model)) == 0


def test_autocast_of_the_caller_rounds_nothing() -> None:
    model, x = with_part(nn.Identity()).float(), image().float()
    with torch.autocast("cpu", torch.bfloat16):
        fast = smp_core.optimize(model)
    with torch.no_grad():
        assert furthest(fast(x), model(x)) < 1e-5

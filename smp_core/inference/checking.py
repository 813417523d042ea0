"""Whether an inference form gives what the model does: both are run once, on an image of noise.

What is folded is decided by what calls show. A module may also compute by what it is given or by what its parts are,
and what that does nobody can read off its calls; but that it does something else is seen in its numbers.
"""

from __future__ import annotations

import contextlib
import copy
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from smp_core.inference.standins import HOOKS

# Large enough that the deepest map has neighbours, and not square.
_SIZE = (64, 96)
# Below this part of the spread of its channel a difference is none; of half precision, which is not compared if that
# can be helped, a hundredth.
_LEAST = {torch.float64: 1e-5, torch.float32: 3e-4}
_LEAST_OF_HALF = 1e-2
# Where rounding alone takes the scores that far, it is asked whether the model gives the same twice.
_FAR = 1e-2
# Of what rounding the image once does to the scores. Forms of 18 encoders with random norms, in float32 and bfloat16,
# differed by 0.6 to 3.5 times that, be it 1e-6 of the spread or, where errors grow from layer to layer, all of it.
_ROUNDINGS = 10
# Of the channel that it moves most, in each channel: of a few pixels rounding may happen to leave one where it was.
_ROUNDINGS_OF_ANY = 3
# Convolutions and products of float32 on CUDA may keep ten bits.
_TF32 = 2.0**-10
# Scores that hardly vary are compared by their size.
_LEAST_SPREAD = 0.01


class Check:
    """What a model gives for one image of noise, to compare its inference forms with.

    The model is not run itself, but a copy that shares its parameters, and has no hooks if it runs without them:
    nobody's counters, caches and lists see the run. How far rounding alone may take the scores depends on the model:
    what it makes of the image rounded anew tells.

    Args:
        model: in evaluation mode, before it is taken apart.

    Attributes:
        why_not: why nothing can be compared; None where it can.
    """

    def __init__(self, model: nn.Module) -> None:
        self._image = _noise(model)
        self._expected: list[_Expected] = []
        self._draws, self._hooked = True, False
        self.why_not: str | None = "its input or precision is not known"
        if self._image is not None:
            try:
                self.why_not = self._prepare(model, self._image)
            except Exception as error:  # whatever it wants in place of an image
                self.why_not = f"{type(error).__name__}: {error}"

    def _prepare(self, model: nn.Module, image: Tensor) -> str | None:
        try:
            expected = self._first(model, image)
        except Exception:  # of a hook that is missing, maybe
            self._hooked = True
            expected = self._first(model, image)
        rounded = self._results(model, _rounded(image))
        least = _LEAST.get(image.dtype, _LEAST_OF_HALF)
        self._expected = [_Expected(*pair, least) for pair in zip(expected, rounded, strict=True)]
        if any(one.is_far for one in self._expected):
            again = self._results(model, image)
            if not all(torch.equal(*pair) for pair in zip(expected, again, strict=True)):
                return "it gives other numbers each time"
        return None

    def deviation(self, form: nn.Module) -> float:
        """How far an inference form is from the model: the largest difference over the spread of the scores.

        Returns:
            0.0 where that is rounding, or where the model itself could not be run; infinity where the form cannot be.
        """
        if self._image is None or self.why_not is not None:
            return 0.0
        try:
            found = self._results(form, self._image)
        except Exception:  # whatever a stranger's module raises without what was folded away
            return float("inf")
        if len(found) != len(self._expected):
            return float("inf")
        return max((one.deviation(item) for one, item in zip(self._expected, found, strict=True)), default=0.0)

    def keeping_generators(self) -> contextlib.AbstractContextManager[None]:
        """A block in which code of the model may run: what it draws is drawn from a seed.

        Which holds for all threads, and so is only done for models that draw, or that could not be run.
        """
        if not self._draws:
            return contextlib.nullcontext()
        return _seeded(torch.device("cpu") if self._image is None else self._image.device)

    def _first(self, model: nn.Module, image: Tensor) -> list[Tensor]:
        with contextlib.suppress(_Drawing), _StopsAtDraws():  # type: ignore[no-untyped-call]
            found = _results(model, image, self._hooked)
            self._draws = False
            return found
        return self._results(model, image)

    def _results(self, model: nn.Module, image: Tensor) -> list[Tensor]:
        with self.keeping_generators():
            return _results(model, image, self._hooked)


class _Expected:
    """One tensor that a model returned, and how far another may be from it, for each channel of each image."""

    def __init__(self, value: Tensor, rounded: Tensor, least: float) -> None:
        self._value = value if value.dtype == torch.float64 or not value.is_floating_point() else value.float()
        self._limit: Tensor | None = None
        if not value.is_floating_point():
            self._shares = _share_that_differs(rounded, value)
            self.is_far = self._shares > _FAR
        else:
            self._spread, distance = _spread(self._value), self._distance(rounded)
            self._limit = torch.maximum(least * self._spread, _ROUNDINGS * distance)
            if distance.numel():
                self._limit = self._limit.clamp_min(_ROUNDINGS_OF_ANY * float(distance.amax()))
            self.is_far = bool((distance > _FAR * self._spread).any())

    def deviation(self, found: Tensor) -> float:
        """See `Check.deviation`; of whole numbers, as labels are, the part that differs."""
        if found.shape != self._value.shape:
            return float("inf")
        if self._limit is None:
            share = _share_that_differs(found, self._value)
            return share if share > _ROUNDINGS * self._shares + _LEAST_SPREAD else 0.0
        distance = self._distance(found)
        far = ~(distance <= self._limit)  # also what is not a number
        if not far.any():
            return 0.0
        tiny = torch.finfo(self._spread.dtype).tiny
        return float((distance / self._spread.clamp_min(tiny))[far].nan_to_num(nan=float("inf")).amax())

    def _distance(self, found: Tensor) -> Tensor:
        """The largest of each channel, where a finite number is expected."""
        distance = (found.to(self._value) - self._value).abs()
        return _by_channel(torch.where(self._value.isfinite(), distance, 0)).amax(-1)


def _spread(value: Tensor) -> Tensor:
    known = _by_channel(torch.where(value.isfinite(), value, 0))
    centred = known - known.mean(-1, keepdim=True) if known.shape[-1] > 1 else known
    return centred.abs().amax(-1) + _LEAST_SPREAD * known.abs().amax(-1)


def _by_channel(value: Tensor) -> Tensor:
    """(images times channels, pixels) of a map; of anything else one row."""
    return value.flatten(2).flatten(0, 1) if value.dim() > 2 else value.reshape(1, -1)


def _share_that_differs(found: Tensor, expected: Tensor) -> float:
    return float((found != expected).float().mean()) if expected.numel() else 0.0


def _noise(model: nn.Module) -> Tensor | None:
    channels = getattr(model, "in_channels", 0)
    like = next((item for item in model.parameters() if item.is_floating_point()), None)
    if like is None or like.is_meta or not isinstance(channels, int) or channels < 1:
        return None
    return _normal((1, channels, *_SIZE), seed=0).to(like)


def _rounded(image: Tensor) -> Tensor:
    """The image, as a rounding of each value may have left it."""
    coarse = _TF32 if image.is_cuda and image.dtype == torch.float32 else 0.0
    size = max(coarse, torch.finfo(image.dtype).eps)
    return (image.double() * (1 + size * _normal(tuple(image.shape), seed=1).to(image.device))).to(image.dtype)


def _normal(shape: tuple[int, ...], seed: int) -> Tensor:
    # On the CPU, whatever the caller's default device is.
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")


def _results(model: nn.Module, image: Tensor, hooked: bool) -> list[Tensor]:
    """The tensors that a model returns: a copy of it, or where it has none, as of a lock, itself."""
    try:
        shadow = copy.deepcopy(model, {id(item): item for item in model.parameters()})
    except Exception:  # whatever is in it raises what it likes
        shadow, hooked = model, True
    if not hooked:
        for module in shadow.modules():
            module.__dict__.update({name: OrderedDict() for name in HOOKS})
    return [item for item in tree_leaves(shadow(image)) if isinstance(item, Tensor)]


class _Drawing(BaseException):  # no error, and for nobody else to catch
    """A random number is about to be drawn."""


class _StopsAtDraws(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise _Drawing
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def _seeded(device: torch.device) -> Iterator[None]:
    """Within the block torch's generators draw from a seed; afterwards they are as they were."""
    is_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if is_cuda else []):
        torch.random.default_generator.manual_seed(0)
        if is_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(0)
        yield

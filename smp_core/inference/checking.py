"""Whether an inference form gives what the model does: both are run once, on an image of noise.

What is folded is decided by what calls show. A module may also compute by what it is given or by what its parts are,
and what that does nobody can read off its calls; but that it does something else is seen in its numbers.
"""

from __future__ import annotations

import contextlib
import copy
from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

# Large enough that the deepest map has neighbours, and not square.
_SIZE = (64, 96)
# Below this part of the spread of the scores nothing is asked.
_LEAST, _LEAST_DOUBLE = 1e-2, 1e-5
# Of what rounding the image once does to the scores. Forms of 18 encoders with random norms, in float32 and bfloat16,
# differed by 0.6 to 3.5 times that, be it 1e-6 of the spread or, where errors grow from layer to layer, all of it.
_ROUNDINGS = 10
# Scores that hardly vary are compared by their size.
_LEAST_SPREAD = 0.01
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Check:
    """What a model gives for one image of noise, to compare its inference forms with.

    The model is not run itself, but a copy that shares its parameters and has no hooks: nobody's counters, caches and
    lists see the run. Random numbers are drawn from a seed, and the generators are left as they were.

    How far rounding alone may take the scores depends on the model: what it makes of the image rounded anew tells.

    Args:
        model: in evaluation mode, before it is taken apart.
    """

    def __init__(self, model: nn.Module) -> None:
        self._image = _noise(model)
        self._expected: list[Tensor] | None = None
        self._limit = _LEAST
        if self._image is not None:
            with contextlib.suppress(Exception):  # whatever it wants in place of an image: then nobody can compare
                self._expected = _results(model, self._image)
                rounded = _results(model, _rounded(self._image))
                least = _LEAST_DOUBLE if self._image.dtype == torch.float64 else _LEAST
                self._limit = max(least, _ROUNDINGS * _furthest(rounded, self._expected))

    def deviation(self, form: nn.Module) -> float:
        """How far an inference form is from the model: the largest difference over the spread of the scores.

        Returns:
            0.0 where that is rounding, or where the model itself could not be run; infinity where the form cannot be.
        """
        if self._image is None or self._expected is None:
            return 0.0
        try:
            found = _results(form, self._image)
        except Exception:  # whatever a stranger's module raises without what was folded away
            return float("inf")
        furthest = _furthest(found, self._expected)
        return furthest if furthest > self._limit or furthest == float("inf") else 0.0


def _noise(model: nn.Module) -> Tensor | None:
    channels = getattr(model, "in_channels", 0)
    like = next((item for item in model.parameters() if item.is_floating_point()), None)
    if like is None or like.is_meta or not isinstance(channels, int) or channels < 1:
        return None
    noise = torch.randn(1, channels, *_SIZE, generator=torch.Generator().manual_seed(0))
    return noise.to(like)


def _rounded(image: Tensor) -> Tensor:
    """The image, as a rounding of each value may have left it."""
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return (image * (1 + torch.finfo(image.dtype).eps * noise.to(image.device))).to(image.dtype)


def _results(model: nn.Module, image: Tensor) -> list[Tensor]:
    """The tensors that a model returns."""
    shadow = copy.deepcopy(model, {id(item): item for item in model.parameters()})
    for module in shadow.modules():
        module.__dict__.update({name: OrderedDict() for name in _HOOKS})
    with _seeded(image.device), torch.autocast(image.device.type, enabled=False):
        found = shadow(image)
    return [item for item in tree_leaves(found) if isinstance(item, Tensor)]


@contextlib.contextmanager
def _seeded(device: torch.device) -> Iterator[None]:
    is_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if is_cuda else []):
        torch.random.default_generator.manual_seed(0)
        if is_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(0)
        yield


def _furthest(found: list[Tensor], expected: list[Tensor]) -> float:
    if [item.shape for item in found] != [item.shape for item in expected]:
        return float("inf")
    return max(map(_difference, found, expected), default=0.0)


def _difference(found: Tensor, expected: Tensor) -> float:
    """Over the spread of what is expected; of whole numbers, as labels are, the part that differs."""
    if not expected.is_floating_point():
        return float((found != expected).float().mean()) if expected.numel() else 0.0
    known = expected.isfinite()
    if not known.any():
        return 0.0
    expected = torch.where(known, expected, 0)
    if expected.dtype != torch.float64:
        expected = expected.float()
    distance = (found.to(expected) - expected).abs()[known]
    if distance.isnan().any():
        return float("inf")
    centred = expected - expected.flatten(2).mean(-1)[..., None, None] if expected.dim() == 4 else expected
    spread = centred.abs().amax() + _LEAST_SPREAD * expected.abs().amax()
    return float(distance.amax() / spread.clamp_min(torch.finfo(spread.dtype).tiny))

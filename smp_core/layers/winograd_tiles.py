"""The transforms of Winograd's convolutions (Lavin and Gray, arXiv:1509.09308), for 3x3 kernels and two sizes of tiles.

A tile of m x m pixels of the result depends on (m + 2) x (m + 2) of the input. Along each axis these become m + 2
places, which are multiplied, each with its own weights, and become the m pixels of the result. The places stand for
points at which polynomials are evaluated: 0, 1, -1 and infinity for m = 2; for m = 4 also four others, which are here
±5/8 and ±3/2: those that rounding likes best of the pairs with few bits, with half the error of the usual ±1 and ±2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_NEAR, _FAR = 5 / 8, 3 / 2
# Their squares, exact in every precision, as is all that is computed of them here.
_NEAR2, _FAR2 = _NEAR**2, _FAR**2

# Tensors of one shape, one for each pixel or place along an axis.
Pixels = Sequence[Tensor]


@dataclass(frozen=True)
class Tile:
    """One size of tiles.

    Attributes:
        size: m, the pixels of the result along an axis.
        differences: writes the m + 2 places, of the m + 2 pixels of the input: ``differences(given, out)``.
        sums: writes the m pixels of the result, of the m + 2 places: ``sums(given, out)``.
        spread: of the three weights along an axis those of the m + 2 places, (m + 2, 3).
        least_gain: how many times fewer multiplications there have to be for a convolution to be faster for it: what
            the transforms cost, and what is computed only to be cut off, has to be won.
    """

    size: int
    differences: Callable[[Pixels, Pixels], None]
    sums: Callable[[Pixels, Pixels], None]
    spread: tuple[tuple[float, float, float], ...]
    least_gain: float

    @property
    def places(self) -> int:
        """Along an axis."""
        return self.size + 2


def _differences2(given: Pixels, out: Pixels) -> None:
    torch.sub(given[0], given[2], out=out[0])
    torch.add(given[1], given[2], out=out[1])
    torch.sub(given[2], given[1], out=out[2])
    torch.sub(given[1], given[3], out=out[3])


def _sums2(given: Pixels, out: Pixels) -> None:
    torch.add(given[0], given[1], out=out[0]).add_(given[2])
    torch.sub(given[1], given[2], out=out[1]).sub_(given[3])


def _differences4(given: Pixels, out: Pixels) -> None:
    even, odd = torch.empty_like(given[0]), torch.empty_like(given[0])
    torch.sub(given[4], given[2], alpha=_NEAR2 + _FAR2, out=out[0]).add_(given[0], alpha=_NEAR2 * _FAR2)
    for point, other, first in ((_NEAR, _FAR2, 1), (_FAR, _NEAR2, 3)):
        torch.sub(given[4], given[2], alpha=other, out=even)
        torch.sub(given[3], given[1], alpha=other, out=odd)
        torch.add(even, odd, alpha=point, out=out[first])
        torch.sub(even, odd, alpha=point, out=out[first + 1])
    torch.sub(given[5], given[3], alpha=_NEAR2 + _FAR2, out=out[5]).add_(given[1], alpha=_NEAR2 * _FAR2)


def _sums4(given: Pixels, out: Pixels) -> None:
    near, far = torch.empty_like(given[0]), torch.empty_like(given[0])
    torch.add(given[1], given[2], out=near)
    torch.add(given[3], given[4], out=far)
    torch.add(given[0], near, out=out[0]).add_(far)
    torch.mul(near, _NEAR2, out=out[2]).add_(far, alpha=_FAR2)
    torch.sub(given[1], given[2], out=near)
    torch.sub(given[3], given[4], out=far)
    torch.mul(near, _NEAR, out=out[1]).add_(far, alpha=_FAR)
    torch.add(given[5], near, alpha=_NEAR**3, out=out[3]).add_(far, alpha=_FAR**3)


def _spread4() -> tuple[tuple[float, float, float], ...]:
    """At each point p the polynomial of the three weights, over the product of its distances to the other points."""
    points = (0.0, _NEAR, -_NEAR, _FAR, -_FAR)
    found = []
    for point in points:
        scale = 1.0
        for other in points:
            scale *= point - other if other != point else 1.0
        found.append((1 / scale, point / scale, point**2 / scale))
    return (*found, (0.0, 0.0, 1.0))


TILES: dict[str, Tile] = {
    "winograd_2x2": Tile(
        size=2,
        differences=_differences2,
        sums=_sums2,
        spread=((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0)),
        least_gain=1.6,
    ),
    "winograd_4x4": Tile(size=4, differences=_differences4, sums=_sums4, spread=_spread4(), least_gain=2.6),
}
"""By the form of ``known_conv3x3``. 2.25 and 4 times fewer multiplications, 16/9 and 4 times the weights."""

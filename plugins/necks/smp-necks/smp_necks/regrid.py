"""The reductions that decoders know, of a pyramid that has others."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from smp_necks.given import check_features, check_pyramid
from smp_necks.levels import reductions_up_to, spread
from smp_necks.resampled import ResampledLevels


class Regrid(ResampledLevels):
    """A pyramid of any reductions, resampled to 4, 8, 16 and 32; no parameters.

    Each level is made from the feature whose reduction is nearest in the logarithm, of two such from the finer one.
    Where several features have that reduction, they go to its levels evenly and in order, the last one to the deepest.
    A level whose feature has its very reduction is that feature. The input, reduction 1, is no source.

    Args:
        out_channels, reductions: of the encoder's features.
        tokens: must be False.
        output_stride: 4, 8, 16 or 32: levels of a larger reduction are left out.

    Attributes:
        out_channels: of the levels: those of the features that they are made from.
        reductions: of the levels, highest resolution first: 4, 8, 16, 32.

    Raises:
        OptionError: features that are not a pyramid's, or a wrong value; says what was expected.

    >>> import torch
    >>> neck = Regrid(out_channels=(3, 64, 128, 256), reductions=(1, 7, 14, 28), tokens=False)
    >>> features = [torch.zeros(1, c, 224 // r, 224 // r) for c, r in ((3, 1), (64, 7), (128, 14), (256, 28))]
    >>> [tuple(level.shape) for level in neck(features)]
    [(1, 64, 56, 56), (1, 64, 28, 28), (1, 128, 14, 14), (1, 256, 7, 7)]
    """

    def __init__(
        self,
        *,
        out_channels: Sequence[int],
        reductions: Sequence[int],
        tokens: bool,
        output_stride: int | None = None,
    ) -> None:
        channels, scales = check_features("regrid", out_channels, reductions, output_stride)
        check_pyramid("regrid", scales, tokens)
        levels = reductions_up_to(output_stride)
        super().__init__(channels, scales, levels=levels, sources=nearest(scales, levels))


def nearest(reductions: Sequence[int], levels: Sequence[int]) -> list[int]:
    """For each level the index of the feature from which it is made; see `Regrid`.

    >>> nearest((1, 8, 16, 32), (4, 8, 16, 32)), nearest((7, 14, 14), (4, 8, 16, 32))
    ([1, 1, 2, 3], [0, 0, 1, 2])
    """
    known = sorted({item for item in reductions if item > 1})
    # min takes the first, that is the finer, of two that are equally near.
    chosen = [min(known, key=lambda item: Fraction(max(item, level), min(item, level))) for level in levels]
    found: list[int] = []
    for reduction in dict.fromkeys(chosen):
        same = [index for index, item in enumerate(reductions) if item == reduction]
        found += [same[item] for item in spread(len(same), chosen.count(reduction))]
    return found

"""Images of any size through a model that is particular about sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from smp_core.errors import OptionError
from smp_core.layers.cutting import cut


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How a model takes images of any size: padded right and bottom with zeros, or resampled to the one that it takes.

    Attributes:
        multiple: what height and width must divide by.
        least: the least height and width.
        resized: whether its features are not exactly as large as their reductions say, and are resampled to that.
        fixed: height and width of the one size that it takes; None where it takes others.
    """

    multiple: int = 1
    least: int = 1
    resized: bool = False
    fixed: tuple[int, int] | None = None

    def fit(self, x: Tensor) -> Tensor:
        """An image of a size that the model takes: (N, C, H, W) -> (N, C, H', W')."""
        if self.fixed is not None:
            return functional.interpolate(x, size=list(self.fixed), mode="bilinear", align_corners=False)
        if self.multiple == 1 and self.least == 1:
            return x
        height, width = self._padded(x.shape[2]), self._padded(x.shape[3])
        return functional.pad(x, [0, width - x.shape[3], 0, height - x.shape[2]])

    def restore(self, feature: Tensor, reduction: int, image: Tensor) -> Tensor:
        """What the model made of `fit` of an image, true to that image: (N, C, ceil(H / r), ceil(W / r)).

        Args:
            feature: (N, C, h, w).
            reduction: r.
            image: (N, channels, H, W), before `fit`.
        """
        height, width = (image.shape[2] + reduction - 1) // reduction, (image.shape[3] + reduction - 1) // reduction
        if self.fixed is not None:
            return functional.interpolate(feature, size=[height, width], mode="bilinear", align_corners=False)
        if self.resized:
            rows = (self._padded(image.shape[2]) + reduction - 1) // reduction
            columns = (self._padded(image.shape[3]) + reduction - 1) // reduction
            feature = functional.interpolate(feature, size=[rows, columns], mode="bilinear", align_corners=False)
        if self.multiple == 1 and self.least == 1:
            return feature
        return cut(feature, height, width)

    def _padded(self, size: int) -> int:
        size = (size + self.multiple - 1) // self.multiple * self.multiple
        if self.least <= self.multiple:
            return size
        largest: int = torch.sym_max(size, self.least)  # type: ignore[assignment]  # an int, where size is one
        return largest


def sizes_with(
    options: Mapping[str, Any],
    sizes: Sizes,
    *,
    model: str,
    reductions: Sequence[int],
    channels: Sequence[int],
    tokens: bool,
) -> Sizes:
    """How a model takes images of any size where a user made it for another one, with ``img_size``.

    Args:
        options: what the user chose.
        sizes: without those.
        model, reductions, channels, tokens: which model; of its features.

    Raises:
        OptionError: ``img_size`` is no size.
    """
    if "img_size" not in options:
        return sizes
    size = options["img_size"]
    pair = (size, size) if isinstance(size, int) else size
    if (
        not isinstance(pair, (tuple, list))
        or len(pair) != 2
        or not all(type(item) is int and item > 0 for item in pair)
    ):
        raise OptionError(f"encoder_options: img_size must be an int or (height, width), got {size!r}")
    if sizes.fixed is not None:
        return replace(sizes, fixed=tuple(pair))
    if sizes.multiple <= math.lcm(*reductions):
        return sizes
    from smp_timm.probing import remeasure  # windows as wide as the size asks for: rare, and takes a second

    return Sizes(
        **remeasure(model, tokens=tokens, reductions=reductions, channels=channels, options=options, size=pair)
    )

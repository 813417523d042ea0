"""Giving a model the channels that it takes, where a file says what its own are."""

from __future__ import annotations

from typing import Any

import numpy as np

from smp_predict.errors import SourceError
from smp_predict.protocols import Array, Placement, Source, Window, mask_of, placement_of

# The grey value that the eye sees in a colour (ITU-R BT.601, as in Pillow and OpenCV).
_LUMA = np.array([0.299, 0.587, 0.114])


class ChannelSource:
    """A source with another number of channels: grey repeated, colour without alpha, or the luma of colour."""

    def __init__(self, source: Source, channels: int, colours: str) -> None:
        self._source, self._colours = source, colours
        height, width, _ = source.shape
        self.shape = (height, width, channels)
        self.placement: Placement = placement_of(source)
        self.whole = is_whole(source)
        self.missing = mask_of(source)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the source."""
        return self._source.dtype

    def read(self, window: Window) -> Array:
        """The pixels of a window."""
        pixels = self._source.read(window)
        if self._colours == "grey":
            return np.repeat(pixels[..., :1], self.shape[2], axis=2)
        if self.shape[2] == 3:
            return np.ascontiguousarray(pixels[..., :3])
        grey = pixels[..., :3] @ _LUMA
        rounded: Array = grey if self.dtype.kind == "f" else np.rint(grey)
        return rounded.astype(self.dtype)[..., None]


def is_whole(source: Source) -> bool:
    """Whether all of an image was read when it was opened: its attribute ``whole``, where it has one."""
    return bool(getattr(source, "whole", False))


def with_channels(source: Source, channels: int | None) -> Source:
    """A source with as many channels as a model takes.

    Args:
        source: its attribute ``colours``, where it has one, says what its first channels are: ``"grey"`` or ``"rgb"``.
        channels: None: as it is.

    Raises:
        SourceError: its channels cannot stand for these.
    """
    came = source.shape[2]
    if channels is None or came == channels:
        return source
    colours = getattr(source, "colours", "none")
    if channels in (1, 3) and (colours == "grey" or (colours == "rgb" and came >= 3)):
        return ChannelSource(source, channels, colours)
    raise SourceError(
        f"the image has {came} channel{'s' if came > 1 else ''}, the model takes {channels}; expected as many, or grey "
        "or colour where the model takes 1 or 3"
    )

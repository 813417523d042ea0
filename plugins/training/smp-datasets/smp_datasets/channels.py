"""Giving an image the number of channels that was asked for."""

from __future__ import annotations

import numpy as np

from smp_datasets.errors import ChannelMismatchError
from smp_datasets.pixels import Array, Pixels, count, plain

# The grey value that the eye sees in a colour (ITU-R BT.601, as in Pillow and OpenCV).
_LUMA = (0.299, 0.587, 0.114)


def to_channels(pixels: Pixels, channels: int | None) -> Array:
    """The channels of an image: (H, W, C) -> (H, W, channels), of the same dtype.

    None keeps them all. Three are red, green and blue: grey is repeated, alpha left out. One is grey: a colour's is
    its luma (ITU-R BT.601), alpha is left out. Any other number must be that of the file.

    Raises:
        ChannelMismatchError: the file's channels cannot stand for these.
    """
    values = pixels.values
    if channels is None or values.shape[2] == channels:
        return values
    if pixels.colours == "rgb" and channels == 3:
        return plain(values[..., :3])
    if pixels.colours == "grey" and channels == 3:
        return plain(np.repeat(values[..., :1], 3, axis=2))
    if pixels.colours == "grey" and channels == 1:
        return plain(values[..., :1])
    if pixels.colours == "rgb" and channels == 1:
        grey = values[..., :3] @ np.array(_LUMA)
        return plain(np.rint(grey).astype(values.dtype))
    raise ChannelMismatchError(
        f"image {pixels.path!r} is {pixels.kind} with {count(pixels.channels, 'channel')}; "
        f"expected {count(channels, 'channel')}, or grey or colour where 1 or 3 were asked for"
    )

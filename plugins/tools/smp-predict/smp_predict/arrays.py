"""Arrays and memory maps as sources and sinks."""

from __future__ import annotations

from typing import Any

import numpy as np

from smp_predict.errors import OptionError, SinkError, SourceError
from smp_predict.protocols import Array, Sink, Source, Window

_KINDS = "buif"


class ArraySource:
    """An array (H, W) or (H, W, C) of numbers.

    Attributes:
        whole: all of it is in memory.

    Raises:
        SourceError: other axes, no pixels, or no numbers.
    """

    whole = True

    def __init__(self, values: Array, name: str = "the array") -> None:
        check_pixels(values.shape, values.dtype, name)
        self._values = values if values.ndim == 3 else values[..., None]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        height, width, channels = self._values.shape
        return height, width, channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array, in the machine's byte order."""
        native: np.dtype[Any] = self._values.dtype.newbyteorder("=")
        return native

    def read(self, window: Window) -> Array:
        """A copy of a window."""
        return np.array(self._values[window.slices], dtype=self.dtype)


class ArraySink:
    """An array (H, W) or (H, W, K) that is filled."""

    def __init__(self, values: Array) -> None:
        self._values = values

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self._values.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array."""
        return self._values.dtype

    def write(self, window: Window, block: Array) -> None:
        """Store a block."""
        self._values[window.slices] = block


def check_pixels(shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> None:
    """Raise SourceError unless there are pixels (H, W) or (H, W, C) of numbers."""
    if len(shape) not in (2, 3) or dtype.kind not in _KINDS or dtype.itemsize > 8 or 0 in shape:
        raise SourceError(
            f"{name} has shape {shape} and dtype {dtype}; expected numbers of at most 64 bits, of shape "
            "(height, width) or (height, width, channels)"
        )


def as_source(value: object) -> Source:
    """A source as it is, or an array as one.

    Raises:
        OptionError: neither.
        SourceError: an array that is masked, has other axes, or no numbers.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise SourceError(
            "a masked array would be predicted from what lies beneath its mask: give image.filled(value) and "
            "nodata=value, or of floats image.filled(numpy.nan)"
        )
    if isinstance(value, np.ndarray):
        return ArraySource(value)
    if isinstance(value, Source):
        return value
    raise OptionError(f"source must be an array, a path or a Source, got {type(value).__name__}")


def as_sink(value: object) -> Sink:
    """A sink as it is, or an array as one.

    Raises:
        OptionError: neither.
    """
    if isinstance(value, np.ndarray):
        return ArraySink(value)
    if isinstance(value, Sink):
        return value
    raise OptionError(f"sink must be None, an array, a path or a Sink, got {type(value).__name__}")


def check_sink(sink: Sink, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise SinkError unless a sink is for results of a shape and dtype."""
    if tuple(sink.shape) != shape or sink.dtype != dtype:
        raise SinkError(
            f"the sink is for {sink.dtype} of shape {tuple(sink.shape)}, the result is {dtype} of shape {shape}"
        )

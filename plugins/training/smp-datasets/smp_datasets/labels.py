"""How the pixels of a mask file become classes: by index, by colour, or foreground against background."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smp_datasets.errors import LabelError, OptionError
from smp_datasets.pixels import Array, Pixels, count

Colour = tuple[int, int, int]

_SHOWN = 5
"""So many unknown values are named in an error."""


class Labels(Protocol):
    """What :class:`smp_datasets.FolderDataset` asks of its ``labels``; write your own for masks of another kind."""

    def encode(self, mask: Pixels) -> NDArray[Any]:
        """The pixels of a file, (H, W, C) -> the mask, (H, W): uint8 or int32 for classes, or float32.

        Raises:
            LabelError: there is no class for a pixel; names the file.
        """
        ...


@dataclass(frozen=True)
class ClassIndices:
    """The value of a pixel is its class; in a palette file, the index into the palette.

    Files of colours do where red, green and blue are the same everywhere; alpha is left out.

    Masks are (H, W), uint8 where all classes and ``ignore_index`` lie within 0 and 255, otherwise int32.

    Args:
        classes: their number; values are 0 to classes - 1.
        ignore_index: a further value, of pixels that do not count.
        mapping: where a file's values are no class indices: value -> class, or ``ignore_index``. Other values are
            then unknown.

    Raises:
        OptionError: no classes, or a mapping to something else.

    >>> ClassIndices(2, ignore_index=255, mapping={1: 1, 2: 0, 3: 255})
    ClassIndices(classes=2, ignore_index=255, mapping={1: 1, 2: 0, 3: 255})
    """

    classes: int
    ignore_index: int | None = None
    mapping: Mapping[int, int] | None = None

    def __post_init__(self) -> None:
        if self.classes < 1:
            raise OptionError(f"ClassIndices: classes must be 1 or more, got {self.classes}")
        _check_storable("ClassIndices", self._labels())
        for value, index in (self.mapping or {}).items():
            if not 0 <= index < self.classes and index != self.ignore_index:
                raise OptionError(f"ClassIndices: the mapping of {value} must lead to {self._expected()}, got {index}")

    def encode(self, mask: Pixels) -> NDArray[Any]:
        """See :class:`Labels`."""
        values = _indices(mask)
        if values.dtype.kind == "f" and not bool((values == np.rint(values)).all()):
            raise LabelError(
                f"mask {mask.path!r} holds {values.dtype} numbers that are not whole; expected class indices"
            )
        dtype = _dtype(self._labels())
        if self.mapping is None:
            unknown = (values < 0) | (values >= self.classes)
            if self.ignore_index is not None:
                unknown &= values != self.ignore_index
            result, expected = values, self._expected()
        else:
            result, unknown = _translate(values, self.mapping, dtype)
            expected = f"the values of the mapping: {', '.join(map(str, sorted(self.mapping)))}"
        if unknown.any():
            raise LabelError(f"mask {mask.path!r} holds {_describe(values, unknown)}; expected {expected}")
        return result.astype(dtype)

    def _labels(self) -> list[int]:
        """The largest class, and what is ignored: a mask holds nothing beyond."""
        return [self.classes - 1, *([] if self.ignore_index is None else [self.ignore_index])]

    def _expected(self) -> str:
        ignored = "" if self.ignore_index is None else f", or {self.ignore_index} for what is ignored"
        return f"0 to {self.classes - 1}{ignored}"


@dataclass(frozen=True)
class ColourMap:
    """The colour of a pixel says its class; palette files and 8-bit RGB, whose alpha is left out, and grey.

    Masks are (H, W), uint8 where all classes lie within 0 and 255, otherwise int32.

    Args:
        colours: (red, green, blue), each 0 to 255 -> class index. Several colours may lead to one class.
        unknown: class of every colour that is not listed, such as an ``ignore_index``; None: such a colour is an error.

    Raises:
        OptionError: no colours, or something that is none.

    >>> ColourMap({(0, 0, 0): 0, (128, 64, 128): 1}, unknown=255).unknown
    255
    """

    colours: Mapping[Colour, int]
    unknown: int | None = None
    _codes: dict[int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.colours:
            raise OptionError("ColourMap: expected at least one colour, got none")
        codes = {}
        for colour, index in self.colours.items():
            if len(colour) != 3 or not all(0 <= part <= 255 for part in colour):
                raise OptionError(f"ColourMap: a colour is (red, green, blue), each from 0 to 255; got {colour!r}")
            codes[(colour[0] << 16) | (colour[1] << 8) | colour[2]] = int(index)
        object.__setattr__(self, "_codes", codes)
        _check_storable("ColourMap", self._labels())

    def encode(self, mask: Pixels) -> NDArray[Any]:
        """See :class:`Labels`."""
        codes = self._codes_of(mask)
        dtype = _dtype(self._labels())
        result, unknown = _translate(codes, self._codes, dtype)
        if self.unknown is not None:
            result[unknown] = self.unknown
        elif unknown.any():
            raise LabelError(
                f"mask {mask.path!r} holds {_describe(codes, unknown, is_colour=True)}; expected the "
                f"{count(len(self._codes), 'colour')} of the map; add these to it, or give unknown= a class for all"
            )
        return result

    def _labels(self) -> list[int]:
        return [*self._codes.values(), *([] if self.unknown is None else [self.unknown])]

    def _codes_of(self, mask: Pixels) -> NDArray[np.int32]:
        """(H, W) numbers that stand for colours."""
        values = mask.values
        if mask.palette is not None:
            # Indices beyond the palette cannot be stored in a valid file; if they are, they are no known colour.
            table = np.full(256, -1, dtype=np.int32)
            table[: len(mask.palette)] = _codes(mask.palette)
            found: NDArray[np.int32] = table[values[..., 0]]
            return found
        if values.dtype != np.uint8 or (mask.colours == "none" and mask.channels != 3):
            raise LabelError(
                f"mask {mask.path!r} is {mask.kind} with {count(mask.channels, 'channel')}; "
                "expected 8-bit colours or a palette"
            )
        return _codes(values[..., [0, 0, 0]] if mask.colours == "grey" else values)


@dataclass(frozen=True)
class Binary:
    """Foreground is whatever lies above a threshold; the rest is background.

    Masks are (H, W) float32, 0 and 1, as binary losses want them. In a palette file the index counts; in a file with
    colours, the largest of red, green and blue; alpha is left out.

    Args:
        threshold: in the units of the file. 0 suits masks of 0 and 255, of 0 and 1, and instance masks; 127 the noise
            that JPEG leaves around edges.
    """

    threshold: float = 0

    def encode(self, mask: Pixels) -> NDArray[Any]:
        """See :class:`Labels`."""
        values = mask.values
        if mask.colours == "rgb":
            values = values[..., :3].max(axis=2)
        elif mask.colours == "grey":
            values = values[..., 0]
        else:
            values = _one_channel(mask, "foreground and background", "")
        if values.dtype.kind == "f" and bool(np.isnan(values).any()):
            raise LabelError(f"mask {mask.path!r} holds NaN at {count(int(np.isnan(values).sum()), 'pixel')}")
        return (values > self.threshold).astype(np.float32)


def _check_storable(what: str, labels: list[int]) -> None:
    """Masks are int32 at most."""
    limits = np.iinfo(np.int32)
    for label in labels:
        if not limits.min <= label <= limits.max:
            raise OptionError(f"{what}: classes lie within {limits.min} and {limits.max}, got {label}")


def _indices(mask: Pixels) -> Array:
    """(H, W): the values of grey, also where programs wrote them as three equal channels or with alpha."""
    values = mask.values
    if mask.colours == "grey" and mask.channels == 2:
        return values[..., 0]
    if mask.colours == "rgb" and bool((values[..., :1] == values[..., 1:3]).all()):
        return values[..., 0]
    return _one_channel(mask, "class indices", "; for classes by colour use ColourMap")


def _one_channel(mask: Pixels, what: str, hint: str) -> Array:
    if mask.channels != 1:
        raise LabelError(
            f"mask {mask.path!r} is {mask.kind} with {mask.channels} channels; expected one of {what}{hint}"
        )
    return mask.values[..., 0]


def _codes(colours: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(..., 3 or more) -> (...): red, green and blue as one number each."""
    codes = colours[..., 0].astype(np.int32)
    for channel in (1, 2):
        codes <<= 8
        codes |= colours[..., channel]
    return codes


def _dtype(labels: list[int]) -> type[np.generic]:
    return np.uint8 if min(labels) >= 0 and max(labels) <= 255 else np.int32


def _translate(
    values: Array, table: Mapping[int, int], dtype: type[np.generic]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Every value by a table; and where the table has none, so that the result means nothing."""
    if values.dtype == np.uint8 and values.size > 256:
        result, unknown = _translate(np.arange(256), table, dtype)
        return result.take(values), unknown.take(values)
    keys = np.array(sorted(table))
    entries = np.array([table[int(key)] for key in keys]).astype(dtype)
    places = np.minimum(np.searchsorted(keys, values), len(keys) - 1)
    return entries.take(places), keys.take(places) != values


def _describe(values: Array, unknown: NDArray[np.bool_], is_colour: bool = False) -> str:
    """``values that are no class: 12 (34 pixels, first at row 3, column 7), ...``, the most frequent first."""
    found, numbers = np.unique(values[unknown], return_counts=True)
    texts = []
    for value, number in sorted(zip(found.tolist(), numbers.tolist(), strict=True), key=lambda pair: -pair[1])[:_SHOWN]:
        row, column = np.argwhere((values == value) & unknown)[0].tolist()
        shown = (value >> 16, value >> 8 & 255, value & 255) if is_colour else value
        texts.append(f"{shown} ({count(number, 'pixel')}, first at row {row}, column {column})")
    more = "" if len(found) <= _SHOWN else f" and {len(found) - _SHOWN} more"
    return f"{'colours' if is_colour else 'values'} that are no class: {', '.join(texts)}{more}"

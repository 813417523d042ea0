"""Zarr arrays and OME-Zarr images (https://ngff.openmicroscopy.org), through zarr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from smp_predict.arrays import check_pixels
from smp_predict.errors import SourceError
from smp_predict.formats.needing import needed
from smp_predict.formats.stripes import stripes
from smp_predict.protocols import Array, Result, Window

_CHUNK = 512
_WHAT = "Zarr"


def _named_axes(array: Any) -> str | None:
    """Of an array of version 3 whose dimensions have the names that OME-Zarr gives them."""
    names = getattr(array.metadata, "dimension_names", None) or ()
    found = [name.lower() for name in names if isinstance(name, str) and len(name) == 1]
    return "".join(found) if len(found) == array.ndim and {"y", "x"} <= {*found} else None


class ZarrSource:
    """An array (H, W) or (H, W, C), or the finest image of an OME-Zarr group.

    The axes of an OME-Zarr image, and of arrays with such ``dimension_names``, are named: y, x and c are rows, columns
    and channels; others must be of length 1.

    Raises:
        SourceError: it cannot be read, or has other axes.
    """

    def __init__(self, path: str) -> None:
        zarr = needed("zarr", "zarr", _WHAT)
        try:
            node = zarr.open(path, mode="r")
        except Exception as error:  # zarr raises errors of several kinds for what is no store
            raise SourceError(f"cannot read {path!r}: {str(error) or type(error).__name__}") from error
        if isinstance(node, zarr.Array):
            self._array, axes = node, _named_axes(node) or "yxc"[: node.ndim]
        else:
            self._array, axes = _finest(path, node)
        sizes = dict(zip(axes, self._array.shape, strict=False))
        others = {name: size for name, size in sizes.items() if name not in "yxc" and size != 1}
        if len(axes) != self._array.ndim or others or not {"y", "x"} <= set(axes):
            raise SourceError(
                f"cannot read {path!r}: it has shape {self._array.shape} and axes {', '.join(axes) or 'of no name'}; "
                "expected (height, width), (height, width, channels), or an OME-Zarr image with one time and plane"
            )
        self._axes = axes
        self.shape: tuple[int, int, int] = (sizes["y"], sizes["x"], sizes.get("c", 1))
        self.dtype: np.dtype[Any] = np.dtype(self._array.dtype).newbyteorder("=")
        check_pixels(self.shape, self.dtype, repr(path))

    def read(self, window: Window) -> Array:
        """The pixels of a window."""
        rows, columns = window.slices
        places: dict[str, slice | int] = {"y": rows, "x": columns, "c": slice(None)}
        values = np.asarray(self._array[tuple(places.get(name, 0) for name in self._axes)], self.dtype)
        kept = [name for name in self._axes if name in "yxc"]
        if "c" not in kept:
            values, kept = values[..., None], [*kept, "c"]
        return np.ascontiguousarray(values.transpose([kept.index(name) for name in "yxc"]))


def _finest(path: str, group: Any) -> tuple[Any, str]:
    attributes = dict(group.attrs)
    images = attributes.get("ome", attributes).get("multiscales")
    if not images:
        raise SourceError(
            f"cannot read {path!r}: it is a group without an OME-Zarr image; pass the path of an array in it"
        )
    array = group[images[0]["datasets"][0]["path"]]
    return array, "".join(item["name"] for item in images[0].get("axes", ())) or "tczyx"


def write(path: Path, result: Result) -> None:
    """Write an array (H, W) or (H, W, K), format 3, in chunks of 512."""
    zarr = needed("zarr", "zarr", _WHAT)
    _fill(zarr, path, result, axes="yx" if result.squeezed else "yxc")


def write_ome(path: Path, result: Result) -> None:
    """Write an OME-Zarr 0.5 image of one resolution: axes c, y, x, or y, x of labels."""
    zarr = needed("zarr", "zarr", _WHAT)
    axes = "yx" if result.squeezed else "cyx"
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    _fill(zarr, path / "0", result, axes=axes)
    kinds = [{"name": name, "type": "channel" if name == "c" else "space"} for name in axes]
    scale = [{"type": "scale", "scale": [1.0] * len(axes)}]
    image = {"axes": kinds, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}


def _fill(zarr: Any, path: Path, result: Result, *, axes: str) -> None:
    height, width, channels = result.pixels.shape
    sizes = {"y": height, "x": width, "c": channels}
    chunks = {"y": min(_CHUNK, height), "x": min(_CHUNK, width), "c": channels}
    array = zarr.create_array(
        str(path),
        shape=tuple(sizes[name] for name in axes),
        chunks=tuple(chunks[name] for name in axes),
        dtype=result.pixels.dtype,
        dimension_names=tuple(axes),
        zarr_format=3,
    )
    for window, block in stripes(result.pixels, _CHUNK):
        rows = slice(window.row, window.row + window.height)
        values = block[..., 0] if "c" not in axes else block.transpose(["yxc".index(name) for name in axes])
        array[tuple(rows if name == "y" else slice(None) for name in axes)] = values

"""What a dataset hands out: NumPy arrays, or torchvision's tensors; and how the user's transform is called.

| format | image | masks | a transform is called as |
|---|---|---|---|
| ``"numpy"`` | (H, W, C) array, dtype of the file | (H, W) array | ``transform(**item)``, as in albumentations |
| ``"torchvision"`` | (C, H, W) ``tv_tensors.Image`` | (H, W) ``tv_tensors.Mask`` | ``transform(item)`` |

A ``tv_tensors.Mask`` of classes is int64, as torch's losses want it; floats stay.
Of a transform for NumPy the result must be a mapping; that of ``torchvision.transforms.v2`` is handed on as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import numpy as np
import torch

from smp_datasets.errors import MissingDependencyError, OptionError
from smp_datasets.pixels import Array

Format = Literal["numpy", "torchvision"]
Transform = Callable[..., Any]
Item = dict[str, Any]


def check_format(format: str) -> None:
    """Raise unless items can be made in this format: the name is known, and what it needs is installed.

    Raises:
        OptionError: there is no such format.
        MissingDependencyError: torchvision is needed and missing.
    """
    if format not in get_args(Format):
        raise OptionError(f"format must be 'numpy' or 'torchvision', got {format!r}")
    if format == "torchvision":
        try:
            import torchvision.tv_tensors  # type: ignore[import-untyped, unused-ignore]  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError(
                "format='torchvision' needs torchvision 0.19 or newer (pip install torchvision); 'numpy' does not"
            ) from error


def make_item(image: Array, masks: Mapping[str, Array], transform: Transform | None, format: str) -> Item:
    """Put an item together and call the transform.

    Args:
        image: (H, W, C).
        masks: (H, W) each, by key.
        transform: of the user, or None.
        format: see the module.

    Returns:
        ``{"image": ..., "mask": ...}``, or what the transform makes of it.

    Raises:
        TypeError: a transform for NumPy gave no mapping.
    """
    item: Item = {"image": image, **masks}
    if format == "torchvision":
        item = _as_tv_tensors(item)
        return item if transform is None else transform(item)
    return call_with_arrays(transform, item)


def call_with_arrays(transform: Transform | None, item: Item) -> Item:
    """``transform(**item)`` as a dict; see :func:`make_item`."""
    if transform is None:
        return item
    result = transform(**item)
    if not isinstance(result, Mapping):
        raise TypeError(
            f"the transform gave {type(result).__name__}; expected a mapping with the keys {', '.join(item)}: with "
            "format='numpy' it is called as transform(image=..., mask=...)"
        )
    return dict(result)


def _as_tv_tensors(item: Item) -> Item:
    from torchvision import tv_tensors  # type: ignore[import-untyped, unused-ignore]

    result: Item = {}
    for key, values in item.items():
        if key == "image":
            result[key] = tv_tensors.Image(torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1))))
        else:
            mask = torch.from_numpy(values)
            result[key] = tv_tensors.Mask(mask if mask.is_floating_point() else mask.long())
    return result

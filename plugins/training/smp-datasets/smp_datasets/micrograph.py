"""The micrograph that ships with this package: cell nuclei in fluorescence, 512x512, 16 bits, with its instance mask.

From the stardist package (Uwe Schmidt and Martin Weigert, BSD-3-Clause); ``sample/README.md`` has origin and checksums.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from smp_datasets.errors import OptionError
from smp_datasets.items import Format, Item, Transform, check_format, make_item
from smp_datasets.read import read_pixels

_SIDE = 256
# (row, column) of the quadrants; the last one is held out.
_CORNERS = ((0, 0), (0, _SIDE), (_SIDE, 0), (_SIDE, _SIDE))


class MicrographPaths(NamedTuple):
    """Where the two files lie.

    Attributes:
        image: TIFF, 512x512, 16-bit grey.
        mask: TIFF, 512x512, 16-bit: 0 background, every nucleus its own number.
    """

    image: Path
    mask: Path


def micrograph_paths() -> MicrographPaths:
    """The files of the micrograph and its mask.

    >>> [path.name for path in micrograph_paths()]
    ['img2d.tif', 'mask2d.tif']
    """
    folder = Path(__file__).parent / "sample"
    return MicrographPaths(folder / "img2d.tif", folder / "mask2d.tif")


def micrograph() -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """The whole micrograph and its instance mask: (512, 512) uint16 each.

    >>> image, instances = micrograph()
    >>> image.shape, int(instances.max())
    ((512, 512), 183)
    """
    image, mask = (read_pixels(path).values[..., 0] for path in micrograph_paths())
    return image, mask


class MicrographDataset(Dataset[Item]):
    """The micrograph's quadrants: three to train on, and the lower right one held out.

    An item: ``"image"`` (256, 256, 1) uint16, ``"mask"`` (256, 256) float32, 1 where there is a nucleus. With
    ``format="torchvision"``: ``tv_tensors.Image`` (1, 256, 256) and ``tv_tensors.Mask`` (256, 256).

    Args:
        mode: ``"train"`` has three items, ``"valid"`` one.
        transform, format: as of :class:`smp_datasets.FolderDataset`.

    Raises:
        OptionError: there is no such mode or format.
        MissingDependencyError: torchvision is asked for and missing.

    >>> [len(MicrographDataset(mode)) for mode in ("train", "valid")]
    [3, 1]
    """

    def __init__(
        self,
        mode: Literal["train", "valid"] = "train",
        transform: Transform | None = None,
        *,
        format: Format = "numpy",
    ) -> None:
        if mode not in get_args(Literal["train", "valid"]):
            raise OptionError(f"MicrographDataset: mode must be 'train' or 'valid', got {mode!r}")
        check_format(format)
        self.mode = mode
        self.transform = transform
        self.format = format
        self._image, self._instances = micrograph()

    def __len__(self) -> int:
        """3 or 1."""
        return len(self._corners)

    def __getitem__(self, index: int) -> Item:
        """One quadrant, after the transform; the class says what it is.

        Raises:
            IndexError: there is no such quadrant.
            TypeError: the transform gave no mapping.
        """
        row, column = self._corners[index]
        image, instances = (
            whole[row : row + _SIDE, column : column + _SIDE].copy() for whole in (self._image, self._instances)
        )
        return make_item(image[..., None], {"mask": (instances > 0).astype(np.float32)}, self.transform, self.format)

    @property
    def _corners(self) -> tuple[tuple[int, int], ...]:
        return _CORNERS[:-1] if self.mode == "train" else _CORNERS[-1:]

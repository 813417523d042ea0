"""Windows of images that are too large to load, as a dataset."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.random import Generator
from torch.utils.data import Dataset

from smp_datasets.channels import to_channels
from smp_datasets.class_index import ClassIndex
from smp_datasets.errors import OptionError, SizeMismatchError
from smp_datasets.items import Format, Item, Transform, check_format, make_item
from smp_datasets.labels import Labels
from smp_datasets.pixels import Array
from smp_datasets.sources import Opened

if TYPE_CHECKING:
    from smp_predict import Source

    Given = Source | Array | str | os.PathLike[str]

Balance = Literal["classes"] | Mapping[int, float]


class WindowDataset(Dataset[Item]):
    """Windows of large images and their masks: on a grid, or at random places, balanced by class where that is wanted.

    Images are read by the sources of smp-predict (``pip install 'smp-datasets[windows]'``): GeoTIFF and COG, TIFF, Zarr
    and OME-Zarr, JPEG 2000, slides and .npy by parts, pictures as a whole; or arrays and your own
    ``smp_predict.Source``. Files are opened where they are read, so that the dataset goes to the workers of a
    ``DataLoader`` by any start method; at most 16 are open at once.

    Items are those of :class:`FolderDataset`: ``"image"`` (H, W, C) in dtype and range of the file and ``"mask"``
    (H, W) as arrays, or torchvision's tensors. An image that is smaller than a window is continued by its mirror image,
    and so is its mask.

    Random windows depend on ``seed``, the epoch and their index alone, not on workers or order: two runs give the same.
    Call ``set_epoch`` for others in the next epoch.

    Args:
        images: paths, arrays or sources.
        masks: the mask of each, of its height and width.
        labels: what the pixels of masks mean, as in :class:`FolderDataset`.
        size: height and width of windows, or one number for both.
        count: how many random windows an epoch has; None: windows lie on a grid, and each is an item.
        stride: from window to window of the grid; None: ``size``. The last of each row and column ends where the image
            does.
        balance: of random windows. None: each place is as likely as any other, in all images together.
            ``"classes"``: each class is as likely as any other to be at a random place of the window; a class that is
            ignored (``ignore_index``, ``unknown``) is not drawn. Or weights by class. Masks are read once for it.
        seed: of the random windows.
        channels: of the images; see :class:`FolderDataset`.
        transform, format: see :class:`FolderDataset`.

    Attributes:
        class_counts: pixels of each class, where ``balance`` is given; None else.

    Raises:
        OptionError: an argument makes no sense.
        SizeMismatchError: an image and its mask differ in height or width.
        UnreadableFileError: a file cannot be read.
        MissingDependencyError: smp-predict, or what it needs for a format, is missing.

    >>> import numpy as np
    >>> from smp_datasets import ClassIndices
    >>> image, mask = np.zeros((1000, 800, 4), np.uint16), np.zeros((1000, 800), np.uint8)
    >>> data = WindowDataset([image], [mask], ClassIndices(2), 256)
    >>> len(data), data[0]["image"].shape, data[0]["mask"].shape
    (16, (256, 256, 4), (256, 256))
    """

    def __init__(
        self,
        images: Sequence[Given],
        masks: Sequence[Given],
        labels: Labels,
        size: int | tuple[int, int],
        *,
        count: int | None = None,
        stride: int | tuple[int, int] | None = None,
        balance: Balance | None = None,
        seed: int = 0,
        channels: int | None = None,
        transform: Transform | None = None,
        format: Format = "numpy",
    ) -> None:
        check_format(format)
        self.size = _pair("size", size)
        _check(len(images), len(masks), count, stride, balance)
        self.labels, self.channels, self.transform, self.format = labels, channels, transform, format
        self.seed, self._count = _whole("seed", seed), count
        # In memory that a loader's workers share, so that those which it keeps are told of a new epoch, too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._images, self._masks = Opened(images, as_mask=False), Opened(masks, as_mask=True)
        self._shapes = [self._shape(index) for index in range(len(images))]
        step = self.size if stride is None else _pair("stride", stride)
        self._grids = [
            (_starts(height, self.size[0], step[0]), _starts(width, self.size[1], step[1]))
            for height, width in self._shapes
        ]
        self._before = np.cumsum([0, *(len(rows) * len(columns) for rows, columns in self._grids)])
        self._index = None if balance is None else ClassIndex(self._masks, labels)
        self.class_counts = None if self._index is None else dict(self._index.counts)
        self._chances = None if self._index is None or balance is None else _chances(self._index, labels, balance)

    def __len__(self) -> int:
        """Windows of the grid, or of an epoch."""
        return int(self._before[-1]) if self._count is None else self._count

    def set_epoch(self, epoch: int) -> None:
        """Random windows are others in each epoch; call it in the training process, before its loader is iterated.

        Raises:
            OptionError: it is no int from 0 on.
        """
        self._epoch.fill_(_whole("epoch", epoch))

    def place(self, index: int) -> tuple[int, int, int]:
        """Where an item lies: index of its image, first row, first column.

        Raises:
            IndexError: there is no such item.
        """
        length = len(self)
        if not -length <= index < length:
            raise IndexError(f"item {index} of {length}")
        index %= length
        if self._count is not None:
            return self._random_place(np.random.default_rng((self.seed, int(self._epoch), index)))
        image = int(np.searchsorted(self._before, index, side="right")) - 1
        rows, columns = self._grids[image]
        row, column = divmod(index - int(self._before[image]), len(columns))
        return image, rows[row], columns[column]

    def __getitem__(self, index: int) -> Item:
        """One window, after the transform; the class says what it is.

        Raises:
            IndexError: there is no such item.
            UnreadableFileError, ChannelMismatchError, LabelError: a file is not as it should be.
            TypeError: the transform gave no mapping.
        """
        image, row, column = self.place(index)
        height, width = self._shapes[image]
        rows, columns = _mirrored(row, self.size[0], height), _mirrored(column, self.size[1], width)
        pixels = to_channels(self._images.read(image, rows, columns), self.channels)
        mask = self.labels.encode(self._masks.read(image, rows, columns))
        return make_item(pixels, {"mask": mask}, self.transform, self.format)

    def _shape(self, index: int) -> tuple[int, int]:
        image, mask = self._images.shape(index)[:2], self._masks.shape(index)[:2]
        if image != mask:
            raise SizeMismatchError(
                f"image {self._images.name(index)!r} is {image[0]}x{image[1]} pixels (height x width), but its mask "
                f"{self._masks.name(index)!r} is {mask[0]}x{mask[1]}; expected equal sizes"
            )
        return image

    def _random_place(self, generator: Generator) -> tuple[int, int, int]:
        if self._index is None or self._chances is None:
            room = np.array([math.prod(self._room(image)) for image in range(len(self._shapes))], dtype=np.float64)
            image = int(generator.choice(len(room), p=room / room.sum()))
            row, column = (int(generator.integers(side)) for side in self._room(image))
            return image, row, column
        number = int(generator.choice(list(self._chances), p=list(self._chances.values())))
        image, row, column = self._index.pixel(self._masks, self.labels, number, generator)
        # The pixel may be anywhere in the window, as far as the image reaches.
        inside = [int(generator.integers(side)) for side in self.size]
        most = [side - 1 for side in self._room(image)]
        return image, min(max(0, row - inside[0]), most[0]), min(max(0, column - inside[1]), most[1])

    def _room(self, image: int) -> tuple[int, int]:
        """How many rows and columns a window can begin at."""
        height, width = self._shapes[image]
        return max(1, height - self.size[0] + 1), max(1, width - self.size[1] + 1)


def _whole(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise OptionError(f"{name} must be an int of at least 0, got {value!r}")
    return value


def _pair(name: str, value: int | tuple[int, int]) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(side, int) and side >= 1 for side in pair):
        raise OptionError(f"{name} must be an int of at least 1, or (height, width) of these, got {value!r}")
    return pair[0], pair[1]


def _check(images: int, masks: int, count: object, stride: object, balance: Any) -> None:
    if not images or images != masks:
        raise OptionError(f"expected as many masks as images, and one at least; got {images} images and {masks} masks")
    if count is not None and (not isinstance(count, int) or count < 1):
        raise OptionError(f"count must be an int of at least 1, or None for a grid, got {count!r}")
    if count is not None and stride is not None:
        raise OptionError("stride is of a grid, count of random windows: expected one of them")
    if balance is not None and count is None:
        raise OptionError("balance is of random windows: expected count, too")
    if balance is not None and balance != "classes" and not isinstance(balance, Mapping):
        raise OptionError(f"balance must be None, 'classes' or weights by class, got {balance!r}")


def _starts(length: int, size: int, stride: int) -> list[int]:
    """Where the windows along a side begin; the last one ends where the image does."""
    if length <= size:
        return [0]
    found = list(range(0, length - size, stride))
    return [*found, length - size]


def _mirrored(begin: int, size: int, length: int) -> Array:
    """Indices of ``size`` pixels from one on, continued by the mirror image, whose edge is not repeated."""
    if length == 1:
        return np.zeros(size, np.int64)
    period = 2 * (length - 1)
    folded = np.arange(begin, begin + size) % period
    return np.where(folded < length, folded, period - folded)


def _chances(index: ClassIndex, labels: Labels, balance: Balance) -> dict[int, float]:
    """How likely each class is to be drawn.

    Raises:
        OptionError: weights that are none, or for classes that no mask has.
    """
    ignored = {getattr(labels, name, None) for name in ("ignore_index", "unknown")}
    drawn = [number for number in index.classes if number not in ignored]
    weights = dict.fromkeys(drawn, 1.0) if isinstance(balance, str) else {key: float(balance[key]) for key in balance}
    there = ", ".join(map(str, drawn)) or "none"
    missing = [str(number) for number, weight in weights.items() if weight and number not in index.counts]
    if missing:
        raise OptionError(f"balance asks for classes that no mask has: {', '.join(missing)}; there are {there}")
    total = sum(weights.values())
    if not all(0 <= weight < math.inf for weight in weights.values()) or not 0 < total < math.inf:
        raise OptionError(f"balance must give weights of 0 or more, one above 0, got {weights}; there are {there}")
    return {number: weight / total for number, weight in weights.items() if weight}

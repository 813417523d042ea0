"""The micrograph of smp-datasets, cut into three quadrants to train on and one that is held out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from smp_cli.images import read_picture, to_channels
from smp_core.inputs import Preprocessing
from smp_datasets import micrograph_paths

_SIDE = 256
# (row, column) of the quadrants; the last one is held out.
_CORNERS = ((0, 0), (0, _SIDE), (_SIDE, 0), (_SIDE, _SIDE))


@dataclass(frozen=True)
class Sample:
    """Pixels in [0, 1] as `smp_cli.images` reads them, and 1 where there is a nucleus.

    Attributes:
        image, mask: (1, 512, 512).
    """

    image: Tensor
    mask: Tensor

    @property
    def training(self) -> tuple[Tensor, Tensor]:
        """Image and mask of the three training quadrants: (3, 1, 256, 256) each."""
        images = [_cut(self.image, corner) for corner in _CORNERS[:-1]]
        masks = [_cut(self.mask, corner) for corner in _CORNERS[:-1]]
        return torch.stack(images), torch.stack(masks)

    @property
    def held_out(self) -> tuple[Tensor, Tensor]:
        """Image and mask of the held-out quadrant: (1, 1, 256, 256) each."""
        return _cut(self.image, _CORNERS[-1])[None], _cut(self.mask, _CORNERS[-1])[None]

    def preprocessing(self) -> Preprocessing:
        """Mean and standard deviation of the training quadrants; the held-out one has no say."""
        pixels = self.training[0]
        return Preprocessing(mean=(float(pixels.mean()),), std=(float(pixels.std()),))


def load_sample() -> Sample:
    """Read the micrograph and its mask."""
    image = torch.from_numpy(to_channels(read_picture(micrograph_paths().image), 1))
    with Image.open(micrograph_paths().mask) as file:
        nuclei = np.asarray(file) > 0
    return Sample(image, torch.from_numpy(nuclei).float()[None])


def write_held_out(path: Path) -> None:
    """Write the held-out quadrant as a file of its own, with the pixel values of the micrograph."""
    row, column = _CORNERS[-1]
    with Image.open(micrograph_paths().image) as file:
        file.crop((column, row, column + _SIDE, row + _SIDE)).save(path)


def _cut(image: Tensor, corner: tuple[int, int]) -> Tensor:
    row, column = corner
    return image[:, row : row + _SIDE, column : column + _SIDE]

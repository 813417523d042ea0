"""Images, and models whose results depend on where in a tile a pixel lies."""

from __future__ import annotations

import numpy as np
import pytest
import torch


@pytest.fixture
def image():
    """(300, 420, 3) uint8, smooth."""
    rows, columns = np.mgrid[0:300, 0:420]
    bands = [np.sin(rows / (9 + k)) * np.cos(columns / (11 + 2 * k)) for k in range(3)]
    return np.rint((np.stack(bands, axis=2) + 1) * 127.5).astype(np.uint8)


@pytest.fixture
def network():
    """A small convolutional network of 3 classes, which sees 9 pixels around each."""
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 8, 5, padding=2), torch.nn.BatchNorm2d(8), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Conv2d(8, 3, 5, padding=2))

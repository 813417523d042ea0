"""Filling images up to whole patches, and cutting features back, in every form in which a model may run."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from smp_core.encoder import cut_features, whole_patches

SIZES = [(1, 1), (5, 30), (14, 14), (15, 28), (29, 41)]


class Patches(nn.Module):
    """A feature of patches, and the same one enlarged."""

    def __init__(self) -> None:
        super().__init__()
        self.reductions = [7, 14]
        self.patches = nn.Conv2d(3, 4, 14, 14)
        self.larger = nn.ConvTranspose2d(4, 2, 2, 2)

    def forward(self, x: Tensor) -> list[Tensor]:
        deepest = self.patches(whole_patches(x, 14))
        return cut_features([self.larger(deepest), deepest], x, self.reductions)


@pytest.fixture
def module() -> Patches:
    torch.manual_seed(0)
    return Patches().eval()


@pytest.mark.parametrize("size", SIZES)
def test_sizes(module: Patches, size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size)
    rows, columns = (-(-length // 14) for length in size)
    whole = whole_patches(x, 14)
    assert whole.shape == (2, 3, 14 * rows, 14 * columns)
    assert torch.equal(whole[:, :, : size[0], : size[1]], x)
    assert whole.sum() == pytest.approx(x.sum().item())
    first, second = module(x)
    assert first.shape == (2, 2, -(-size[0] // 7), -(-size[1] // 7))
    assert second.shape == (2, 4, rows, columns)
    assert torch.equal(first, module.larger(module.patches(whole))[:, :, : first.shape[2], : first.shape[3]])


def test_scripted_and_exported_for_any_size(module: Patches) -> None:
    scripted = torch.jit.script(module)
    # An exporter takes a map of one row for a case of its own.
    height, width = (torch.export.Dim(name, min=15, max=4096) for name in ("height", "width"))
    example = (torch.rand(1, 3, 33, 47),)
    exported = torch.export.export(module, example, dynamic_shapes=({2: height, 3: width},)).module()
    for size in SIZES:
        x = torch.rand(1, 3, *size)
        for form in (scripted, exported) if min(size) > 14 else (scripted,):
            for found, expected in zip(form(x), module(x), strict=True):
                torch.testing.assert_close(found, expected)

"""Random arguments of a decoder step, and its plain form, written down without any identity."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


Given = tuple[Tensor | None, Tensor | None, Tensor, Tensor]


def given(
    channels: tuple[int, int, int], size: tuple[int, int], dtype: torch.dtype = torch.float64, batch: int = 1
) -> Given:
    up, skip, out = channels
    height, width = size
    return (
        random(batch, up, (height + 1) // 2, (width + 1) // 2, seed=1, dtype=dtype) if up else None,
        random(batch, skip, height, width, seed=2, dtype=dtype) if skip else None,
        random(out, up + skip, 3, 3, seed=3, dtype=dtype),
        random(out, seed=4, dtype=dtype),
    )


def plain(x: Tensor | None, skip: Tensor | None, weight: Tensor, bias: Tensor | None, *, relu: bool) -> Tensor:
    maps = []
    if x is not None:
        up = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        maps.append(up if skip is None else up[:, :, : skip.shape[2], : skip.shape[3]])
    if skip is not None:
        maps.append(skip)
    out = functional.conv2d(torch.cat(maps, 1), weight, bias, padding=1)
    return out.clamp_min(0) if relu else out


def double(*items: Tensor | None) -> list[Any]:
    return [None if item is None else item.detach().double() for item in items]


def assert_close(got: Tensor, wanted: Tensor, bound: float) -> None:
    assert got.shape == wanted.shape
    got, wanted = got.detach(), wanted.detach()
    scale = max(float(wanted.abs().max()), 1e-30)
    assert float((got.double() - wanted.double()).abs().max()) <= bound * scale

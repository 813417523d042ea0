"""What torch's counter of operations makes of the decoder step: the convolution that it stands for."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from smp_core.layers.upsample import upsample_concat
from smp_kernels import step  # registers the operator


@pytest.mark.parametrize(("up", "skip"), [(8, 4), (8, 0), (0, 4)])
@pytest.mark.parametrize("size", [(12, 10), (11, 9)])
def test_it_counts_as_the_plain_form(up: int, skip: int, size: tuple[int, int]) -> None:
    height, width = size
    x = torch.empty(2, up, (height + 1) // 2, (width + 1) // 2, device="meta") if up else None
    beside = torch.empty(2, skip, height, width, device="meta") if skip else None
    weight = torch.empty(6, up + skip, 3, 3, device="meta")
    with FlopCounterMode(display=False) as counter:
        step.decoder_step(x, beside, weight, None, height, width, relu=True)
    with FlopCounterMode(display=False) as plain:
        joined = beside if x is None else upsample_concat(x, beside, height, width, None, "nearest")
        torch.nn.functional.conv2d(joined, weight, padding=1)
    assert counter.get_total_flops() == plain.get_total_flops() == 2 * 2 * height * width * 6 * (up + skip) * 9

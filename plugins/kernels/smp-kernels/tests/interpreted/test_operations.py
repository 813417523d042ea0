"""What torch's counter of operations makes of a step that runs, and of its gradient."""

from __future__ import annotations

from step_reference import given, plain
from torch.utils.flop_counter import FlopCounterMode

from smp_kernels.step import decoder_step


def test_a_step_that_runs_counts_as_the_convolution() -> None:
    x, skip, weight, bias = given((8, 4, 6), (12, 10))
    with FlopCounterMode(display=False) as counter:
        decoder_step(x, skip, weight, bias, 12, 10, relu=True)
    with FlopCounterMode(display=False) as expected:
        plain(x, skip, weight, bias, relu=True)
    assert counter.get_total_flops() == expected.get_total_flops() == 2 * 12 * 10 * 6 * 12 * 9
    assert "smp_kernels.decoder_step" in map(str, counter.get_flop_counts()["Global"])

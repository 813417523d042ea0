"""Comparing a model with a reference implementation: the same weights, the same numbers.

The reference is any module with the same state-dict keys (or a renamed state dict), and the peer a class that builds
one; nothing here knows which.
"""

from __future__ import annotations

from smp_testing.parity.alone import (
    assert_pads_any_size,
    assert_refused,
    assert_scales_up,
    assert_trains,
    build,
)
from smp_testing.parity.architectures import (
    ENCODER,
    WithoutEmptyLevels,
    architecture_pair,
    assert_same_decoder,
    compare_architecture,
    compare_over_reference_encoder,
)
from smp_testing.parity.comparison import (
    assert_same_gradients,
    assert_same_keys,
    assert_same_numbers,
    image,
    randomise_norms,
    relative_difference,
)
from smp_testing.parity.options import (
    BATCH_NORMS,
    COMMON_OPTIONS,
    INTERPOLATIONS,
    NORMS,
    WRONG_NORM,
    WRONG_OPTIONS,
    draw_common_options,
)
from smp_testing.parity.training import (
    assert_checkpoints_are_read_both_ways,
    assert_same_dropout,
    assert_same_parameter_gradients,
    assert_same_statistics,
)

__all__ = [
    "BATCH_NORMS",
    "COMMON_OPTIONS",
    "ENCODER",
    "INTERPOLATIONS",
    "NORMS",
    "WRONG_NORM",
    "WRONG_OPTIONS",
    "WithoutEmptyLevels",
    "architecture_pair",
    "assert_checkpoints_are_read_both_ways",
    "assert_pads_any_size",
    "assert_refused",
    "assert_same_decoder",
    "assert_same_dropout",
    "assert_same_gradients",
    "assert_same_keys",
    "assert_same_numbers",
    "assert_same_parameter_gradients",
    "assert_same_statistics",
    "assert_scales_up",
    "assert_trains",
    "build",
    "compare_architecture",
    "compare_over_reference_encoder",
    "draw_common_options",
    "image",
    "randomise_norms",
    "relative_difference",
]

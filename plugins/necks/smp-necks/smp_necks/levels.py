"""Which levels a neck makes, and which of several features goes to which."""

from __future__ import annotations

REDUCTIONS = (4, 8, 16, 32)


def reductions_up_to(output_stride: int | None) -> tuple[int, ...]:
    """The reductions of the levels that are wanted: all, or those of at most an output stride.

    >>> reductions_up_to(16)
    (4, 8, 16)
    """
    return REDUCTIONS if output_stride is None else tuple(item for item in REDUCTIONS if item <= output_stride)


def spread(num_features: int, num_levels: int) -> list[int]:
    """The index of a feature for each level: evenly, in order, the last one for the deepest level.

    >>> spread(12, 4), spread(3, 4), spread(1, 4)
    ([2, 5, 8, 11], [0, 1, 2, 2], [0, 0, 0, 0])
    """
    return [(number * num_features - 1) // num_levels for number in range(1, num_levels + 1)]

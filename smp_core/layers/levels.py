"""The steps of a decoder that doubles the resolution from the deepest feature up to the input."""

from __future__ import annotations

from collections.abc import Sequence

from smp_core.errors import OptionError
from smp_core.options import check_positive

DEFAULT_DECODER_CHANNELS = (256, 128, 64, 32, 16)


def skip_indices(reductions: Sequence[int]) -> list[int]:
    """The feature that each step meets, deepest step first: an index into the features, or -1 where there is none.

    The last step never meets one: the feature there is the image, or a map of full resolution that nobody wants.

    >>> skip_indices((1, 2, 4, 8))
    [2, 1, -1]
    >>> skip_indices((1, 4, 8))
    [1, -1, -1]
    """
    levels = {reduction: index for index, reduction in enumerate(reductions) if reduction > 1}
    num_steps = reductions[-1].bit_length() - 1
    return [levels.get(2**step, -1) for step in reversed(range(num_steps))]


def decoder_widths(decoder_channels: Sequence[int], reductions: Sequence[int]) -> tuple[int, ...]:
    """One number of channels for each step.

    The default, `DEFAULT_DECODER_CHANNELS`, is cut to the number of steps; for more steps its first entry is repeated.

    Raises:
        OptionError: another number of entries than of steps, or one that is no positive int.
    """
    num_steps = reductions[-1].bit_length() - 1
    widths = tuple(decoder_channels)
    if widths == DEFAULT_DECODER_CHANNELS:
        deeper = DEFAULT_DECODER_CHANNELS[:1] * (num_steps - len(DEFAULT_DECODER_CHANNELS))
        widths = (*deeper, *DEFAULT_DECODER_CHANNELS[:num_steps])
    for number, width in enumerate(widths):
        check_positive(f"decoder_channels[{number}]", width)
    if len(widths) != num_steps:
        raise OptionError(
            f"decoder_channels has {len(widths)} entries, but an encoder of reduction {reductions[-1]} takes "
            f"{num_steps} blocks: give one number of channels for each"
        )
    return widths

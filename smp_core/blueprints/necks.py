"""Which neck stands between an encoder and an architecture where the user names none."""

from __future__ import annotations

from collections.abc import Iterable

from smp_core._specs.registered import Registered
from smp_core.blueprints import compatibility
from smp_core.blueprints.request import Request
from smp_core.errors import OptionError
from smp_core.plugin import ArchitectureSpec, EncoderSpec, NeckSpec


def choose(
    architecture: ArchitectureSpec, encoder: EncoderSpec, request: Request, among: Iterable[Registered[NeckSpec]]
) -> Registered[NeckSpec] | None:
    """The first neck that makes of the encoder's features what the architecture needs.

    Returns:
        None where the architecture takes the encoder as it is, or no neck helps.
    """
    depth, stride, indices = request.encoder_depth, request.encoder_output_stride, request.encoder_output_indices
    try:
        alone = compatibility.choose(architecture, encoder, depth, stride, indices)
    except OptionError:  # told where the choice is settled
        return None
    # An encoder that begins below the default depth has what is asked for only where somebody asked for that depth. One
    # that was built already, and has no other, was.
    is_deeper = depth is None and architecture.default_depth < alone.depth and encoder.min_depth < encoder.max_depth
    if not is_deeper and compatibility.has_levels(architecture, encoder, alone):
        return None
    for neck in among:
        choice = compatibility.choose(architecture, encoder, depth, stride, indices, neck.spec)
        if not compatibility.violations(architecture, encoder, choice, neck.spec):
            return neck
    return None

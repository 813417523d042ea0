"""How decoders and heads are initialised."""

from smp_core.layers import initialise_decoder as initialize_decoder
from smp_core.layers import initialise_head as initialize_head

__all__ = ["initialize_decoder", "initialize_head"]

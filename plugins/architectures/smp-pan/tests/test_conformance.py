"""Everything that smp-core asks of an architecture."""

from smp_testing import conformance

_REASON = (
    "the pyramid attention pools the deepest map three times and pads one below 8x8 first, so a graph holds on one "
    "side of that size: PAN exports for images from 256 pixels on at output stride 16, from 512 at 32"
)

test_conformance = conformance("smp-pan", expected_failures={"pan": {"exports": _REASON}})

"""Everything that smp-core asks of an encoder."""

from smp_testing import conformance

# The smallest has every kind of block but those with attention, which tests/test_merging.py traces.
test_conformance = conformance(
    "smp-mobileone", numbers_up_to=5_000_000, traced_up_to=4_000_000, surgery=["mobileone_s0"]
)

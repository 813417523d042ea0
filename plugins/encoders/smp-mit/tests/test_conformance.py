"""Everything that smp-core asks of an encoder."""

from smp_testing import conformance

# mit_b0 has every kind of block.
test_conformance = conformance("smp-mit", numbers_up_to=5_000_000, traced_up_to=5_000_000, surgery=["mit_b0"])

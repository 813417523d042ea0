"""Everything that smp-core asks of an encoder."""

from smp_testing import conformance

# dpn68 and dpn68b have every kind of block of the family.
test_conformance = conformance("smp-dpn", numbers_up_to=12_000_000, traced_up_to=12_000_000)

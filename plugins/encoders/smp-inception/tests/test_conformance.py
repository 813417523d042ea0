"""Everything that smp-core asks of an encoder."""

from smp_testing import conformance

test_conformance = conformance("smp-inception", numbers_up_to=60_000_000, traced_up_to=60_000_000)

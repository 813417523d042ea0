"""Everything that smp-core asks of a neck."""

from smp_testing import conformance

test_conformance = conformance("smp-necks")

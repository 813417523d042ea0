"""Everything that smp-core asks of an encoder."""

from smp_testing import conformance

test_conformance = conformance("smp-sknet", surgery=[])

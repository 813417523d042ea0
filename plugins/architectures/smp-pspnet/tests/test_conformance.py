"""Everything that smp-core asks of an architecture."""

from smp_testing import conformance

test_conformance = conformance("smp-pspnet", surgery=["pspnet-pyramid"])

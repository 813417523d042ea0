"""Everything that smp-core asks of an architecture."""

from smp_testing import conformance

test_conformance = conformance("smp-deeplabv3", surgery=["deeplabv3-pyramid", "deeplabv3plus-pyramid"])

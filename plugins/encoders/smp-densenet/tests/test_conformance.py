"""Everything that smp-core asks of an encoder."""

from smp_testing import conformance

# The others repeat the layers of the smallest, which is traced.
test_conformance = conformance("smp-densenet", numbers_up_to=7_000_000, traced_up_to=7_000_000, surgery=["densenet121"])

"""Everything that smp-core asks of an encoder."""

from smp_testing import conformance

# The others repeat the layers of the two smallest, which are traced.
test_conformance = conformance("smp-vgg", numbers_up_to=9_300_000, traced_up_to=9_300_000, surgery=[])

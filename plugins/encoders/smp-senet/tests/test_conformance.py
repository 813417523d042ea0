"""Everything that smp-core asks of an encoder."""

from smp_testing import conformance

# Every kind of block of the family is in se_resnext50_32x4d, which is compiled, exported and scripted for all of them.
test_conformance = conformance("smp-senet", numbers_up_to=26_000_000, traced_up_to=26_000_000)

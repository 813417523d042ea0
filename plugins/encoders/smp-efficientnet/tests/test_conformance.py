"""Everything that smp-core asks of an encoder."""

from smp_testing import conformance

# Every kind of block occurs in the smallest names; the others differ in widths and numbers of blocks alone.
test_conformance = conformance(
    "smp-efficientnet", numbers_up_to=3_600_000, traced_up_to=3_600_000, surgery=["timm-efficientnet-b0"]
)

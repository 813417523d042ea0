"""Everything that smp-core asks of an encoder, of tiny models of each kind."""

from smp_testing import conformance

_MODELS = (
    *("tu-test_efficientnet", "tu-test_convnext", "tu-test_mambaout", "tu-test_nfnet", "tu-test_vit"),
    *("tu-test_resnet", "tu-test_maxvit", "tu-test_coatnet", "tu-test_vit3", "tu-test_vit_relpos"),
)

# As in the `d` ResNets; sizes that all divide by 32 do export.
_CEIL = "timm's shortcuts pool with ceil_mode, whose sizes torch does not know for all images"

# The first five are traced.
test_conformance = conformance(
    "smp-timm",
    encoders=_MODELS,
    traced_up_to=310_000,
    expected_failures={"tu-test_nfnet": {"exports": _CEIL}},
)

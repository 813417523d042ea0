"""Everything that smp-core asks of an encoder, of tiny models of each kind."""

import pytest

from smp_testing import conformance

_OTHERS = (
    *("tu-test_resnet", "tu-test_convnext", "tu-test_maxvit", "tu-test_coatnet", "tu-test_mambaout"),
    *("tu-test_nfnet", "tu-test_vit3", "tu-test_vit_relpos"),
)

# Shortcuts as in the `d` ResNets; sizes that all divide by 32 do export.
_CEIL = "timm's shortcuts pool with ceil_mode, whose sizes torch does not know for all images"
_WINDOWS = "timm looks at the sizes of windows in Python"

# Of these the first is traced; the others are in test_tracing.py.
test_conformance = conformance("smp-timm", traced_up_to=100_000, surgery=["tu-test_efficientnet"])

test_conformance_of_others = pytest.mark.slow(
    conformance(
        "smp-timm",
        encoders=_OTHERS,
        surgery=["tu-test_resnet", "tu-test_convnext"],  # timm's own layers answer for the others
        expected_failures={
            "tu-test_resnet": {"exports": _CEIL},
            "tu-test_nfnet": {"exports": _CEIL},
            "tu-test_maxvit": {"exports": _WINDOWS},
        },
    )
)

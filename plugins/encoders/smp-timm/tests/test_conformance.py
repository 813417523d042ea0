"""Everything that smp-core asks of an encoder, of tiny models of each kind."""

from smp_testing import collect, conformance

_CEIL = "timm's average pooling of the shortcuts rounds up, which holds for no range of sizes"
_WINDOWS = "timm looks at the sizes of windows in Python"

# One of each kind is traced: compiling takes seconds.
_TRACED = ("tu-test_efficientnet", "tu-test_vit")
_OTHERS = (
    "tu-test_resnet",
    "tu-test_convnext",
    "tu-test_mambaout",
    "tu-test_maxvit",
    "tu-test_nfnet",
    "tu-test_coatnet",
)
_TRANSFORMERS = ("tu-test_vit3", "tu-test_vit_relpos")

test_conformance = conformance("smp-timm", encoders=_TRACED)
test_conformance_of_more = conformance("smp-timm", encoders=(*_OTHERS, *_TRANSFORMERS), traced_up_to=0)

_SWEEP = [
    check for check in collect("smp-timm", encoders=(*_OTHERS, *_TRANSFORMERS), numbers_up_to=0) if check.check.traces
]

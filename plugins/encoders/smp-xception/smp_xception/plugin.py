"""The encoder of this distribution, as data."""

from __future__ import annotations

from smp_core.plugin import EncoderSpec, WeightsSpec, hookimpl

# The weights were converted from TensorFlow's; timm's index gives their licence.
_IMAGENET = WeightsSpec(
    repo_id="smp-hub/xception.imagenet",
    revision="01cfaf27c11353b1f0c578e7e26d2c000ea91049",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    license="Apache-2.0",
)

_XCEPTION = EncoderSpec(
    name="xception",
    target="smp_xception.encoder:XceptionEncoder",
    out_channels=(3, 64, 128, 256, 728, 2048),
    reductions=(1, 2, 4, 8, 16, 32),
    weights={"imagenet": _IMAGENET},
    default_weights="imagenet",
    license="MIT",
    paper="Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, arXiv:1610.02357",
    summary="Xception: 12 blocks of depth-wise separable convolutions",
    num_parameters=20_806_952,
)


@hookimpl
def smp_encoders() -> list[EncoderSpec]:
    return [_XCEPTION]

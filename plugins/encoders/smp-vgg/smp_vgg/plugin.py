"""The encoders of this distribution, as data."""

from __future__ import annotations

from typing import NamedTuple

from smp_core.plugin import EncoderSpec, WeightsSpec, hookimpl

_PAPER = "Simonyan & Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv:1409.1556"


class _Variant(NamedTuple):
    """One row of the family's table."""

    name: str
    layers: tuple[int, int, int, int, int]
    batch_norm: bool
    num_parameters: int
    imagenet: str
    """Commit of the Hub repository "smp-hub/<name>.imagenet"."""


_VARIANTS = (
    _Variant("vgg11", (1, 1, 2, 2, 2), False, 9_220_480, "ad8b90e1051c38fdbf399cf5016886a1be357390"),
    _Variant("vgg11_bn", (1, 1, 2, 2, 2), True, 9_225_984, "59757f9215032c9f092977092d57d26a9df7fd9c"),
    _Variant("vgg13", (2, 2, 2, 2, 2), False, 9_404_992, "1b70ff2580f101a8007a48b51e2b5d1e5925dc42"),
    _Variant("vgg13_bn", (2, 2, 2, 2, 2), True, 9_410_880, "9be454515193af6612261b7614fe90607e27b143"),
    _Variant("vgg16", (2, 2, 3, 3, 3), False, 14_714_688, "49d74b799006ee252b86e25acd6f1fd8ac9a99c1"),
    _Variant("vgg16_bn", (2, 2, 3, 3, 3), True, 14_723_136, "2c186d02fb519e93219a99a1c2af6295aef0bf0d"),
    _Variant("vgg19", (2, 2, 4, 4, 4), False, 20_024_384, "2853d00d7bca364dbb98be4d6afa347e5aeec1f6"),
    _Variant("vgg19_bn", (2, 2, 4, 4, 4), True, 20_035_392, "f09a924cb0d201ea6f61601df9559141382271d7"),
)


def _spec(variant: _Variant) -> EncoderSpec:
    norms = "with batch norm" if variant.batch_norm else "without norms"
    return EncoderSpec(
        name=variant.name,
        target="smp_vgg.encoder:VGGEncoder",
        options={"layers": variant.layers, "batch_norm": variant.batch_norm},
        out_channels=(64, 128, 256, 512, 512, 512),
        reductions=(1, 2, 4, 8, 16, 32),
        # The weights are torchvision's, under its licence.
        weights={
            "imagenet": WeightsSpec(
                repo_id=f"smp-hub/{variant.name}.imagenet", revision=variant.imagenet, license="BSD-3-Clause"
            )
        },
        default_weights="imagenet",
        license="MIT",
        paper=_PAPER,
        summary=f"VGG, {sum(variant.layers)} convolutions {norms}",
        num_parameters=variant.num_parameters,
    )


@hookimpl
def smp_encoders() -> list[EncoderSpec]:
    return [_spec(variant) for variant in _VARIANTS]

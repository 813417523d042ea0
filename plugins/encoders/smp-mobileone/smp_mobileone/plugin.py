"""The encoders of this distribution, as data."""

from __future__ import annotations

from typing import NamedTuple

from smp_core.plugin import ConformanceSpec, EncoderSpec, WeightsSpec, hookimpl

_PAPER = "Vasu et al., MobileOne: An Improved One millisecond Mobile Backbone, arXiv:2206.04040"

# The weights come from the paper's authors, under the licence of their repository.
_WEIGHTS_LICENSE = "LicenseRef-Apple-ml-mobileone"


class _Variant(NamedTuple):
    """One row of the family's table."""

    name: str
    widths: tuple[int, int, int, int, int]
    num_branches: int
    attention: tuple[int, int, int, int]
    num_parameters: int
    revision: str  # commit of the Hub repository "smp-hub/<name>.imagenet"


_NONE = (0, 0, 0, 0)
_VARIANTS = (
    _Variant("mobileone_s0", (48, 48, 128, 256, 1024), 4, _NONE, 4_268_272, "f52815cf0ad29278a9860c9cd5fabf19f904bedf"),
    _Variant("mobileone_s1", (64, 96, 192, 512, 1280), 1, _NONE, 3_544_192, "5707a98852b762cd8e0c43b5c8c729cd28496677"),
    _Variant("mobileone_s2", (64, 96, 256, 640, 2048), 1, _NONE, 5_835_648, "ddc3db8fa40d271902c7a8c95cee6691f617d551"),
    _Variant(
        "mobileone_s3", (64, 128, 320, 768, 2048), 1, _NONE, 8_121_600, "da89b84a91b7400c366c358bfbf8dd0b2fa4dde2"
    ),
    _Variant(
        "mobileone_s4",
        (64, 192, 448, 896, 2048),
        1,
        (0, 0, 5, 1),
        12_902_248,
        "16197c55d599076b6aae67a83d3b3f70c31b097c",
    ),
)


def _spec(variant: _Variant) -> EncoderSpec:
    return EncoderSpec(
        name=variant.name,
        target="smp_mobileone.encoder:MobileOneEncoder",
        options={
            "widths": variant.widths,
            "num_branches": variant.num_branches,
            "attention": variant.attention,
        },
        out_channels=(3, *variant.widths),
        reductions=(1, 2, 4, 8, 16, 32),
        weights={
            "imagenet": WeightsSpec(
                repo_id=f"smp-hub/{variant.name}.imagenet", revision=variant.revision, license=_WEIGHTS_LICENSE
            )
        },
        default_weights="imagenet",
        dilation=(8, 16),
        license="MIT",
        paper=_PAPER,
        summary=f"MobileOne, one convolution a block once merged, {variant.num_branches} and more in training",
        num_parameters=variant.num_parameters,
    )


@hookimpl
def smp_encoders() -> list[EncoderSpec]:
    return [_spec(variant) for variant in _VARIANTS]


@hookimpl
def smp_conformance() -> ConformanceSpec:
    branches = {"first_convolution_may_be_replaced": "several branches see the image until they are merged"}
    return ConformanceSpec(expected_failures={variant.name: branches for variant in _VARIANTS})

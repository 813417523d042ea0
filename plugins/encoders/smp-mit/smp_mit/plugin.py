"""The encoders of this distribution, as data."""

from __future__ import annotations

from typing import NamedTuple

from smp_core.plugin import EncoderSpec, WeightsSpec, hookimpl

_PAPER = (
    "Xie et al., SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers, arXiv:2105.15203"
)

# The weights come from SegFormer's authors, under NVIDIA's source code licence: research and evaluation only.
_WEIGHTS_LICENSE = "LicenseRef-NVIDIA-Source-Code-SegFormer"

_SMALL = (32, 64, 160, 256)
_LARGE = (64, 128, 320, 512)


class _Variant(NamedTuple):
    """One row of the family's table."""

    name: str
    widths: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]
    num_parameters: int
    revision: str  # commit of the Hub repository "smp-hub/<name>.imagenet"


_VARIANTS = (
    _Variant("mit_b0", _SMALL, (2, 2, 2, 2), 3_319_392, "9ce53d104d92d75aabb00aae70677aaab67e7c84"),
    _Variant("mit_b1", _LARGE, (2, 2, 2, 2), 13_151_424, "a04bf4f13a549bce677cf79b04852e7510782817"),
    _Variant("mit_b2", _LARGE, (3, 4, 6, 3), 24_196_288, "868ab6f13871dcf8c3d9f90ee4519403475b65ef"),
    _Variant("mit_b3", _LARGE, (3, 4, 18, 3), 44_072_128, "32558d12a65f1daa0ebcf4f4053c4285e2c1cbda"),
    _Variant("mit_b4", _LARGE, (3, 8, 27, 3), 60_842_688, "3a3454e900a4b4f11dd60eeb59101a9a1a36b017"),
    _Variant("mit_b5", _LARGE, (3, 6, 40, 3), 81_443_008, "ced04d96c586b6297fd59a7a1e244fc78fdb6531"),
)


def _spec(variant: _Variant) -> EncoderSpec:
    return EncoderSpec(
        name=variant.name,
        target="smp_mit.encoder:MixTransformerEncoder",
        options={"widths": variant.widths, "blocks": variant.blocks},
        out_channels=(3, *variant.widths),
        reductions=(1, 4, 8, 16, 32),
        weights={
            "imagenet": WeightsSpec(
                repo_id=f"smp-hub/{variant.name}.imagenet", revision=variant.revision, license=_WEIGHTS_LICENSE
            )
        },
        default_weights="imagenet",
        dilation=(8, 16),
        min_depth=2,
        license="MIT",
        paper=_PAPER,
        summary=f"Mix Transformer of SegFormer, {sum(variant.blocks)} blocks",
        num_parameters=variant.num_parameters,
    )


@hookimpl
def smp_encoders() -> list[EncoderSpec]:
    return [_spec(variant) for variant in _VARIANTS]

"""The encoders of this distribution, as data."""

from __future__ import annotations

from typing import NamedTuple

from smp_core.plugin import EncoderSpec, WeightsSpec, hookimpl

_PAPER = "Hu et al., Squeeze-and-Excitation Networks, arXiv:1709.01507"


# Name: commit of the Hub repository "smp-hub/<name>.imagenet".
_REVISIONS = {
    "senet154": "249f45efc9881ba560a0c480128edbc34ab87e40",
    "se_resnet50": "e6b4bc2dc85226c3d3474544410724a485455459",
    "se_resnet101": "71fe95cc0a27f444cf83671f354de02dc741b18b",
    "se_resnet152": "e79fc3d9d76f197bd76a2593c2054edf1083fe32",
    "se_resnext50_32x4d": "73246406d879a2b0e3fdfe6fddd56347d38f38ae",
    "se_resnext101_32x4d": "18808a4276f46421d358a9de554e0b93c2795df4",
}


class _Variant(NamedTuple):
    """One row of the family's table."""

    name: str
    model: str
    stem_channels: int
    num_parameters: int
    summary: str


_VARIANTS = (
    _Variant("senet154", "legacy_senet154", 128, 113_039_984, "SENet-154, 64 groups"),
    _Variant("se_resnet50", "legacy_seresnet50", 64, 26_039_024, "SE-ResNet, 16 blocks"),
    _Variant("se_resnet101", "legacy_seresnet101", 64, 47_277_872, "SE-ResNet, 33 blocks"),
    _Variant("se_resnet152", "legacy_seresnet152", 64, 64_772_848, "SE-ResNet, 50 blocks"),
    _Variant("se_resnext50_32x4d", "legacy_seresnext50_32x4d", 64, 25_510_896, "SE-ResNeXt, 16 blocks"),
    _Variant("se_resnext101_32x4d", "legacy_seresnext101_32x4d", 64, 46_906_416, "SE-ResNeXt, 33 blocks"),
)


def _spec(variant: _Variant) -> EncoderSpec:
    return EncoderSpec(
        name=variant.name,
        target="smp_senet.encoder:SENetEncoder",
        options={"model": variant.model},
        out_channels=(3, variant.stem_channels, 256, 512, 1024, 2048),
        reductions=(1, 2, 4, 8, 16, 32),
        # timm's index gives the licence of these weights.
        weights={
            "imagenet": WeightsSpec(
                repo_id=f"smp-hub/{variant.name}.imagenet", revision=_REVISIONS[variant.name], license="Apache-2.0"
            )
        },
        default_weights="imagenet",
        dilation=(8, 16),
        license="MIT",
        paper=_PAPER,
        summary=variant.summary,
        num_parameters=variant.num_parameters,
    )


@hookimpl
def smp_encoders() -> list[EncoderSpec]:
    return [_spec(variant) for variant in _VARIANTS]

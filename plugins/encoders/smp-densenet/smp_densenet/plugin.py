"""The encoders of this distribution, as data."""

from __future__ import annotations

from typing import NamedTuple

from smp_core.plugin import EncoderSpec, WeightsSpec, hookimpl

_PAPER = "Huang et al., Densely Connected Convolutional Networks, arXiv:1608.06993"


class _Variant(NamedTuple):
    """One row of the family's table."""

    name: str
    layers: tuple[int, int, int, int]
    growth: int
    stem: int
    out_channels: tuple[int, int, int, int, int, int]
    num_parameters: int
    imagenet: str
    """Commit of the Hub repository "smp-hub/<name>.imagenet"."""


_VARIANTS = (
    _Variant(
        *("densenet121", (6, 12, 24, 16), 32, 64, (3, 64, 256, 512, 1024, 1024), 6_953_856),
        "a17c96896a265b61338f66f61d3887b24f61995a",
    ),
    _Variant(
        *("densenet169", (6, 12, 32, 32), 32, 64, (3, 64, 256, 512, 1280, 1664), 12_484_480),
        "8facfba9fc72f7750879dac9ac6ceb3ab990de8d",
    ),
    _Variant(
        *("densenet201", (6, 12, 48, 32), 32, 64, (3, 64, 256, 512, 1792, 1920), 18_092_928),
        "ed5deb355d71659391d46fae5e7587460fbb5f84",
    ),
    _Variant(
        *("densenet161", (6, 12, 36, 24), 48, 96, (3, 96, 384, 768, 2112, 2208), 26_472_000),
        "9afe0fec51ab2a627141769d97d6f83756d78446",
    ),
)


def _spec(variant: _Variant) -> EncoderSpec:
    return EncoderSpec(
        name=variant.name,
        target="smp_densenet.encoder:DenseNetEncoder",
        options={"layers": variant.layers, "growth": variant.growth, "stem": variant.stem},
        out_channels=variant.out_channels,
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
        summary=f"DenseNet, {sum(variant.layers)} dense layers of growth {variant.growth}",
        num_parameters=variant.num_parameters,
    )


@hookimpl
def smp_encoders() -> list[EncoderSpec]:
    return [_spec(variant) for variant in _VARIANTS]

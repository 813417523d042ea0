"""The encoders of this distribution, as data."""

from __future__ import annotations

from typing import NamedTuple

from smp_core.plugin import EncoderSpec, WeightsSpec, hookimpl


class _Variant(NamedTuple):
    """One row of the family's table; the revision is that of the Hub repository "smp-hub/<name>.imagenet"."""

    name: str
    block: str
    layers: tuple[int, int, int, int]
    num_parameters: int
    revision: str


_VARIANTS = (
    _Variant("timm-skresnet18", "basic", (2, 2, 2, 2), 11_441_952, "6c97652bb744d89177b68274d2fda3923a7d1f95"),
    _Variant("timm-skresnet34", "basic", (3, 4, 6, 3), 21_764_720, "2367796924a8182cc835ef6b5dc303917f923f99"),
    _Variant(
        "timm-skresnext50_32x4d", "bottleneck", (3, 4, 6, 3), 23_939_056, "50207e407cc4c6ea9e6872963db6844ca7b7b9de"
    ),
)


def _spec(variant: _Variant) -> EncoderSpec:
    expansion = 4 if variant.block == "bottleneck" else 1
    weights = WeightsSpec(
        repo_id=f"smp-hub/{variant.name}.imagenet",
        revision=variant.revision,
        license="Apache-2.0",  # trained and published by the authors of timm
    )
    return EncoderSpec(
        name=variant.name,
        target="smp_sknet.encoder:SKNetEncoder",
        options={"block": variant.block, "layers": variant.layers},
        out_channels=(3, 64, *(expansion * width for width in (64, 128, 256, 512))),
        reductions=(1, 2, 4, 8, 16, 32),
        weights={"imagenet": weights},
        default_weights="imagenet",
        dilation=(8, 16),
        license="MIT",
        paper="Li et al., Selective Kernel Networks, arXiv:1903.06586",
        summary=f"SKNet, {sum(variant.layers)} {variant.block} blocks",
        num_parameters=variant.num_parameters,
    )


@hookimpl
def smp_encoders() -> list[EncoderSpec]:
    return [_spec(variant) for variant in _VARIANTS]

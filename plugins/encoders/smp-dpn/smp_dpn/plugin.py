"""The encoders of this distribution, as data."""

from __future__ import annotations

from typing import NamedTuple

from smp_core.plugin import EncoderSpec, WeightsSpec, hookimpl

_PAPER = "Chen et al., Dual Path Networks, arXiv:1707.01629"

# What the published weights were trained on: (124, 117, 104) and 1 / 0.0167 of 255.
_MEAN = (0.48627450980392156, 0.4588235294117647, 0.40784313725490196)
_STD = (0.23482446870963955, 0.23482446870963955, 0.23482446870963955)


# Name, weight set: commit of the Hub repository "smp-hub/<name>.<weight set>", "+" written as "-".
_REVISIONS = {
    ("dpn68", "imagenet"): "c209aefdeae6bc93937556629e974b44d4e58535",
    ("dpn68b", "imagenet+5k"): "6c6615e77688e390ae0eaa81e26821fbd83cee4b",
    ("dpn92", "imagenet+5k"): "d231f51ce4ad2c84ed5fcaf4ef0cfece6814a526",
    ("dpn98", "imagenet"): "b2836c86216c1ddce980d832f7deaa4ca22babd3",
    ("dpn107", "imagenet+5k"): "dab4cd6b8b79de3db970f2dbff85359a8847db05",
    ("dpn131", "imagenet"): "04bbb9f415ca2bb59f3d8227857967b74698515e",
}


class _Variant(NamedTuple):
    """One row of the family's table."""

    name: str
    out_channels: tuple[int, int, int, int, int]
    num_parameters: int


_VARIANTS = (
    _Variant("dpn68", (10, 144, 320, 704, 832), 11_778_602),
    _Variant("dpn68b", (10, 144, 320, 704, 832), 11_778_602),
    _Variant("dpn92", (64, 336, 704, 1552, 2688), 34_979_392),
    _Variant("dpn98", (96, 336, 768, 1728, 2688), 58_881_728),
    _Variant("dpn107", (128, 376, 1152, 2432, 2688), 84_228_800),
    _Variant("dpn131", (128, 352, 832, 1984, 2688), 76_565_504),
)


def _weights(name: str) -> dict[str, WeightsSpec]:
    """The licence is the one that timm's index gives for these weights."""
    return {
        weights: WeightsSpec(
            repo_id=f"smp-hub/{name}.{weights.replace('+', '-')}",
            revision=revision,
            mean=_MEAN,
            std=_STD,
            license="Apache-2.0",
        )
        for (owner, weights), revision in _REVISIONS.items()
        if owner == name
    }


def _spec(variant: _Variant) -> EncoderSpec:
    weights = _weights(variant.name)
    return EncoderSpec(
        name=variant.name,
        target="smp_dpn.encoder:DPNEncoder",
        options={"model": variant.name},
        out_channels=(3, *variant.out_channels),
        reductions=(1, 2, 4, 8, 16, 32),
        weights=weights,
        default_weights=next(iter(weights)),
        dilation=(8, 16),
        license="MIT",
        paper=_PAPER,
        summary=f"Dual path network, {variant.name.removeprefix('dpn').rstrip('b')} layers",
        num_parameters=variant.num_parameters,
    )


@hookimpl
def smp_encoders() -> list[EncoderSpec]:
    return [_spec(variant) for variant in _VARIANTS]

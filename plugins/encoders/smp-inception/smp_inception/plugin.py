"""The encoders of this distribution, as data."""

from __future__ import annotations

from typing import NamedTuple

from smp_core.plugin import EncoderSpec, WeightsSpec, hookimpl

_PAPER = (
    "Szegedy et al., Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning, "
    "arXiv:1602.07261"
)


# Name, weight set: commit of the Hub repository "smp-hub/<name>.<weight set>", "+" written as "-".
_REVISIONS = {
    ("inceptionv4", "imagenet"): "918fb54f07811d82a4ecde3a51156041d0facba9",
    ("inceptionv4", "imagenet+background"): "8c2a48e20d2709ee64f8421c61be309f05bfa536",
    ("inceptionresnetv2", "imagenet"): "120c5afdbb80a1c989db0a7423ebb7a9db9b1e6c",
    ("inceptionresnetv2", "imagenet+background"): "3ecf3491658dc0f6a76d69c9d1cb36511b1ee56c",
}


class _Variant(NamedTuple):
    """One row of the table."""

    name: str
    target: str
    out_channels: tuple[int, int, int, int, int]
    num_parameters: int
    summary: str


_VARIANTS = (
    _Variant("inceptionv4", "InceptionV4Encoder", (64, 192, 384, 1024, 1536), 41_142_816, "Inception-v4"),
    _Variant(
        "inceptionresnetv2", "InceptionResNetV2Encoder", (64, 192, 320, 1088, 1536), 54_306_464, "Inception-ResNet-v2"
    ),
)


def _weights(name: str) -> dict[str, WeightsSpec]:
    """The weights were converted from TensorFlow's models, whose licence is theirs."""
    return {
        weights: WeightsSpec(
            repo_id=f"smp-hub/{name}.{weights.replace('+', '-')}",
            revision=revision,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            license="Apache-2.0",
        )
        for (owner, weights), revision in _REVISIONS.items()
        if owner == name
    }


def _spec(variant: _Variant) -> EncoderSpec:
    return EncoderSpec(
        name=variant.name,
        target=f"smp_inception.encoder:{variant.target}",
        out_channels=(3, *variant.out_channels),
        reductions=(1, 2, 4, 8, 16, 32),
        weights=_weights(variant.name),
        default_weights="imagenet",
        license="MIT",
        paper=_PAPER,
        summary=variant.summary,
        num_parameters=variant.num_parameters,
    )


@hookimpl
def smp_encoders() -> list[EncoderSpec]:
    return [_spec(variant) for variant in _VARIANTS]

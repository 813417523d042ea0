"""The encoders of this distribution, as data."""

from __future__ import annotations

from typing import NamedTuple

from smp_core.plugin import EncoderSpec, WeightsSpec, hookimpl

_RESNET = "He et al., Deep Residual Learning for Image Recognition, arXiv:1512.03385"
_RESNEXT = "Xie et al., Aggregated Residual Transformations for Deep Neural Networks, arXiv:1611.05431"

# Licences of the weights: torchvision's are BSD-3; the weakly (arXiv:1805.00932) and semi-supervised
# (arXiv:1905.00546) ones were published for non-commercial use.
_LICENSES = {
    "imagenet": "BSD-3-Clause",
    "instagram": "CC-BY-NC-4.0",
    "ssl": "CC-BY-NC-4.0",
    "swsl": "CC-BY-NC-4.0",
}

# Name, weight set: commit of the Hub repository "smp-hub/<name>.<weight set>".
_REVISIONS = {
    ("resnet18", "imagenet"): "3f2325ff978283d47aa6a1d6878ca20565622683",
    ("resnet18", "ssl"): "d600d5116aac2e6e595f99f40612074c723c00b2",
    ("resnet18", "swsl"): "0e3a35d4d8e344088c14a96eee502a88ac70eae1",
    ("resnet34", "imagenet"): "7a57b34f723329ff020b3f8bc41771163c519d0c",
    ("resnet50", "imagenet"): "00cb74e366966d59cd9a35af57e618af9f88efe9",
    ("resnet50", "ssl"): "d07daf5b4377f3700c6ac61906b0aafbc4eca46b",
    ("resnet50", "swsl"): "b9520cce124f91c6fe7eee45721a2c7954f0d8c0",
    ("resnet101", "imagenet"): "cd7c15e8c51da86ae6a084515fdb962d0c94e7d1",
    ("resnet152", "imagenet"): "951dd835e9d086628e447b484584c8983f9e1dd0",
    ("resnext50_32x4d", "imagenet"): "329793c85d62fd340ae42ae39fb905a63df872e7",
    ("resnext50_32x4d", "ssl"): "9b67cff77d060c7044493a58c24d1007c1eb06c3",
    ("resnext50_32x4d", "swsl"): "52e6e49da61b8e26ca691e1aef2cbb952884057d",
    ("resnext101_32x4d", "ssl"): "b39796c8459084d13523b7016c3ef13a2e9e472b",
    ("resnext101_32x4d", "swsl"): "3f8355b4892a31f001a832b49b2b01484d48516a",
    ("resnext101_32x8d", "imagenet"): "221af6198d03a4ee88992f78a1ee81b46a52d339",
    ("resnext101_32x8d", "instagram"): "44cd927aa6e64673ffe9d31230bad44abc18b823",
    ("resnext101_32x8d", "ssl"): "723a95ddeed335c9488c37c6cbef13d779ac8f97",
    ("resnext101_32x8d", "swsl"): "58cf0bb65f91365470398080d9588b187d1777c4",
    ("resnext101_32x16d", "instagram"): "64e8e320eeae6501185b0627b2429a68e52d050c",
    ("resnext101_32x16d", "ssl"): "1283fe03fbb6aa2599b2df24095255acb93c3d5c",
    ("resnext101_32x16d", "swsl"): "30ba61bbd4d6af0d955c513dbb4f557b84eb094f",
    ("resnext101_32x32d", "instagram"): "c9405de121fdaa275a89de470fb19409e3eeaa86",
    ("resnext101_32x48d", "instagram"): "53e61a962b824ad7027409821f9ac3e3336dd024",
}


class _Variant(NamedTuple):
    """One row of the family's table."""

    name: str
    block: str
    layers: tuple[int, int, int, int]
    groups: int
    width_per_group: int
    num_parameters: int
    default_weights: str


_VARIANTS = (
    _Variant("resnet18", "basic", (2, 2, 2, 2), 1, 64, 11_176_512, "imagenet"),
    _Variant("resnet34", "basic", (3, 4, 6, 3), 1, 64, 21_284_672, "imagenet"),
    _Variant("resnet50", "bottleneck", (3, 4, 6, 3), 1, 64, 23_508_032, "imagenet"),
    _Variant("resnet101", "bottleneck", (3, 4, 23, 3), 1, 64, 42_500_160, "imagenet"),
    _Variant("resnet152", "bottleneck", (3, 8, 36, 3), 1, 64, 58_143_808, "imagenet"),
    _Variant("resnext50_32x4d", "bottleneck", (3, 4, 6, 3), 32, 4, 22_979_904, "imagenet"),
    _Variant("resnext101_32x4d", "bottleneck", (3, 4, 23, 3), 32, 4, 42_128_704, "swsl"),
    _Variant("resnext101_32x8d", "bottleneck", (3, 4, 23, 3), 32, 8, 86_742_336, "imagenet"),
    _Variant("resnext101_32x16d", "bottleneck", (3, 4, 23, 3), 32, 16, 191_977_792, "instagram"),
    _Variant("resnext101_32x32d", "bottleneck", (3, 4, 23, 3), 32, 32, 466_481_472, "instagram"),
    _Variant("resnext101_32x48d", "bottleneck", (3, 4, 23, 3), 32, 48, 826_362_176, "instagram"),
)


def _weights(name: str) -> dict[str, WeightsSpec]:
    return {
        weights: WeightsSpec(repo_id=f"smp-hub/{name}.{weights}", revision=revision, license=_LICENSES[weights])
        for (owner, weights), revision in _REVISIONS.items()
        if owner == name
    }


def _spec(variant: _Variant) -> EncoderSpec:
    bottleneck = variant.block == "bottleneck"
    expansion = 4 if bottleneck else 1
    return EncoderSpec(
        name=variant.name,
        target="smp_resnet.encoder:ResNetEncoder",
        options={
            "block": variant.block,
            "layers": variant.layers,
            "groups": variant.groups,
            "width_per_group": variant.width_per_group,
        },
        out_channels=(3, 64, *(expansion * width for width in (64, 128, 256, 512))),
        reductions=(1, 2, 4, 8, 16, 32),
        weights=_weights(variant.name),
        default_weights=variant.default_weights,
        dilation=(8, 16),
        license="MIT",
        paper=_RESNET if variant.groups == 1 else _RESNEXT,
        summary=f"{'ResNet' if variant.groups == 1 else 'ResNeXt'}, {sum(variant.layers)} {variant.block} blocks",
        num_parameters=variant.num_parameters,
    )


@hookimpl
def smp_encoders() -> list[EncoderSpec]:
    return [_spec(variant) for variant in _VARIANTS]

"""The encoders of this distribution, as data."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from smp_core.plugin import EncoderSpec, WeightsSpec, hookimpl

_PAPER = "Tan & Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, arXiv:1905.11946"

# Of EfficientNet-B0: channels of the stem and of each of the seven stages, and blocks of each stage.
_WIDTHS = (32, 16, 24, 40, 80, 112, 192, 320)
_REPEATS = (1, 2, 2, 3, 3, 4, 1)

# Name, weight set: commit of the Hub repository "smp-hub/<name>.<weight set>". All were trained by the authors of
# EfficientNet or by those of timm, who published them under Apache-2.0: "advprop" is adversarial propagation
# (arXiv:1911.09665), "noisy-student" self-training (arXiv:1911.04252), "-475" of which at 475 x 475.
_REVISIONS = {
    ("efficientnet-b0", "imagenet"): "1bbe7ecc1d5ea1d2058de1a2db063b8701aff314",
    ("efficientnet-b0", "advprop"): "29043c08140d9c6ee7de1468d55923f2b06bcec2",
    ("efficientnet-b1", "imagenet"): "5d637466a5215de300a8ccb13a39357df2df2bf4",
    ("efficientnet-b1", "advprop"): "2e518b8b0955bbab467f50525578dab6b6086afc",
    ("efficientnet-b2", "imagenet"): "a96d4f0295ffbae18ebba173bf7f3c0c8f21990e",
    ("efficientnet-b2", "advprop"): "be788c20dfb0bbe83b4c439f9cfe0dd937c0783e",
    ("efficientnet-b3", "imagenet"): "074c54a6c473e0d294690d49cedb6cf463e7127d",
    ("efficientnet-b3", "advprop"): "9ccc166d87bd9c08d6bed4477638c7f4bb3eec78",
    ("efficientnet-b4", "imagenet"): "05cd5dde5dab658f00c463f9b9aa0ced76784f40",
    ("efficientnet-b4", "advprop"): "f04caa809ea4eb08ee9e7fd555f5514ebe2a9ef5",
    ("efficientnet-b5", "imagenet"): "69f4d28460a4e421b7860bc26ee7d832e03e01ca",
    ("efficientnet-b5", "advprop"): "dabe78fc8ab7ce93ddc2bb156b01db227caede88",
    ("efficientnet-b6", "imagenet"): "8570752016f7c62ae149cffa058550fe44e21c8b",
    ("efficientnet-b6", "advprop"): "c2dbb4d1359151165ec7b96cfe54a9cac2142a31",
    ("efficientnet-b7", "imagenet"): "5a5dbe687d612ebc3dca248274fd1191111deda6",
    ("efficientnet-b7", "advprop"): "ce33edb4e80c0cde268f098ae2299e23f615577d",
    ("timm-efficientnet-b0", "imagenet"): "8419e9cc19da0b68dcd7bb12f19b7c92407ad7c4",
    ("timm-efficientnet-b0", "advprop"): "a5870af2d24ce79e0cc7fae2bbd8e0a21fcfa6d8",
    ("timm-efficientnet-b0", "noisy-student"): "bea8b0ff726a50e48774d2d360c5fb1ac4815836",
    ("timm-efficientnet-b1", "imagenet"): "63bdd65ef6596ef24f1cadc7dd4f46b624442349",
    ("timm-efficientnet-b1", "advprop"): "79b3d102080ef679b16c2748e608a871112233d0",
    ("timm-efficientnet-b1", "noisy-student"): "36856124a699f6032574ceeefab02040daa90a9a",
    ("timm-efficientnet-b2", "imagenet"): "e693adb39d3cb3847e71e3700a0c2aa58072cff1",
    ("timm-efficientnet-b2", "advprop"): "b58479bf78007cfbb365091d64eeee369bddfa21",
    ("timm-efficientnet-b2", "noisy-student"): "67c558827c6d3e0975ff9b4bce8557bc2ca80931",
    ("timm-efficientnet-b3", "imagenet"): "1666b835b5151d6bb2067c7cd67e67ada6c39edf",
    ("timm-efficientnet-b3", "advprop"): "70474cdb9f1ff4fcbd7434e66560ead1ab8e506b",
    ("timm-efficientnet-b3", "noisy-student"): "2367bc9f61e79ee97684169a71a87db280bcf4db",
    ("timm-efficientnet-b4", "imagenet"): "07868c28ab308f4de4cf1e7ec54b33b8b002ccdb",
    ("timm-efficientnet-b4", "advprop"): "8ea1772ee9a2a0d18c1b56dce0dfac8dd33d537d",
    ("timm-efficientnet-b4", "noisy-student"): "faeb77b6e8292a700380c840d39442d7ce4d6443",
    ("timm-efficientnet-b5", "imagenet"): "004153b4ddd93d30afd9bbf34329d7f57396d413",
    ("timm-efficientnet-b5", "advprop"): "1d1c5f05aab5ed9a1d5052847ddd4024c06a464d",
    ("timm-efficientnet-b5", "noisy-student"): "9bc3a1e5490de92b1af061d5c2c474ab3129e38c",
    ("timm-efficientnet-b6", "imagenet"): "dbbf28a5c33f021486db4070de693caad6b56c3d",
    ("timm-efficientnet-b6", "advprop"): "3b5d3412047f7711c56ffde997911cfefe79f835",
    ("timm-efficientnet-b6", "noisy-student"): "9b899ea9e8e0ce2ccada0f34a8cb8b5028e9bb36",
    ("timm-efficientnet-b7", "imagenet"): "8ef7ffccf54dad9baceb21d05b7ef86b6b70f4cc",
    ("timm-efficientnet-b7", "advprop"): "fcbc576ffb939c12d5cd8dad523fdae6eb0177ca",
    ("timm-efficientnet-b7", "noisy-student"): "6b1dd73e61bf934d485d7bd4381dc3e2ab374664",
    ("timm-efficientnet-b8", "imagenet"): "b5e9dde35605a3a6d17ea2a727382625f9066a37",
    ("timm-efficientnet-b8", "advprop"): "e43f381de72e7467383c2c80bacbb7fcb9572866",
    ("timm-efficientnet-l2", "noisy-student"): "cdc711e76d1becdd9197169f1a8bb1b2094e980c",
    ("timm-efficientnet-l2", "noisy-student-475"): "35f5ba667a64bf4f3f0689daf84fc6d0f8e1311b",
    ("timm-tf_efficientnet_lite0", "imagenet"): "f5729249af07e5d923fb8b16922256ce2865d108",
    ("timm-tf_efficientnet_lite1", "imagenet"): "7b5e3f8dbb0c13b74101773584bba7523721be72",
    ("timm-tf_efficientnet_lite2", "imagenet"): "cc5f6cd4c7409ebacc13292f09d369ae88547f6a",
    ("timm-tf_efficientnet_lite3", "imagenet"): "ab29c8402991591d66f813bbb1f061565d9b0cd0",
    ("timm-tf_efficientnet_lite4", "imagenet"): "91a822e0f03c255b34dfb7846d3858397e50ba39",
}


class _Variant(NamedTuple):
    """One row of a family's table; the nominal resolution and the taps (block indices) matter to efficientnet-*."""

    name: str
    width: float
    depth: float
    num_parameters: int
    resolution: int = 0
    taps: tuple[int, ...] = ()


_EFFICIENTNET = (
    _Variant("efficientnet-b0", 1.0, 1.0, 3_595_388, 224, (2, 4, 8, 15)),
    _Variant("efficientnet-b1", 1.0, 1.1, 6_101_024, 240, (4, 7, 15, 22)),
    _Variant("efficientnet-b2", 1.1, 1.2, 7_202_562, 260, (4, 7, 15, 22)),
    _Variant("efficientnet-b3", 1.2, 1.4, 10_103_336, 300, (4, 7, 17, 25)),
    _Variant("efficientnet-b4", 1.4, 1.8, 16_742_216, 380, (5, 9, 21, 31)),
    _Variant("efficientnet-b5", 1.6, 2.2, 27_288_112, 456, (7, 12, 26, 38)),
    _Variant("efficientnet-b6", 1.8, 2.6, 39_403_992, 528, (8, 14, 30, 44)),
    _Variant("efficientnet-b7", 2.0, 3.1, 62_143_440, 600, (10, 17, 37, 54)),
)

_TIMM_EFFICIENTNET = (
    _Variant("timm-efficientnet-b0", 1.0, 1.0, 3_595_388),
    _Variant("timm-efficientnet-b1", 1.0, 1.1, 6_101_024),
    _Variant("timm-efficientnet-b2", 1.1, 1.2, 7_202_562),
    _Variant("timm-efficientnet-b3", 1.2, 1.4, 10_103_336),
    _Variant("timm-efficientnet-b4", 1.4, 1.8, 16_742_216),
    _Variant("timm-efficientnet-b5", 1.6, 2.2, 27_288_112),
    _Variant("timm-efficientnet-b6", 1.8, 2.6, 39_403_992),
    _Variant("timm-efficientnet-b7", 2.0, 3.1, 62_143_440),
    _Variant("timm-efficientnet-b8", 2.2, 3.6, 82_608_046),
    _Variant("timm-efficientnet-l2", 4.3, 5.3, 467_219_796),
)

_LITE = (
    _Variant("timm-tf_efficientnet_lite0", 1.0, 1.0, 2_958_848),
    _Variant("timm-tf_efficientnet_lite1", 1.0, 1.1, 3_723_520),
    _Variant("timm-tf_efficientnet_lite2", 1.1, 1.2, 4_357_952),
    _Variant("timm-tf_efficientnet_lite3", 1.2, 1.4, 6_422_016),
    _Variant("timm-tf_efficientnet_lite4", 1.4, 1.8, 11_149_568),
)


def _scaled(width: int, multiplier: float) -> int:
    """Channels in multiples of 8, the nearest that is not below nine tenths."""
    wanted = width * multiplier
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


def _widths(variant: _Variant) -> tuple[int, ...]:
    return tuple(_scaled(width, variant.width) for width in _WIDTHS)


def _repeats(variant: _Variant) -> tuple[int, ...]:
    return tuple(math.ceil(count * variant.depth) for count in _REPEATS)


def _weights(name: str, *, inception_statistics: bool) -> dict[str, WeightsSpec]:
    """The weight sets of a name; those of adversarial propagation and of Lite were trained on [-1, 1]."""
    sets = {}
    for (owner, weights), revision in _REVISIONS.items():
        if owner == name:
            halves = inception_statistics or weights == "advprop"
            sets[weights] = WeightsSpec(
                repo_id=f"smp-hub/{name}.{weights}",
                revision=revision,
                mean=(0.5, 0.5, 0.5) if halves else (0.485, 0.456, 0.406),
                std=(0.5, 0.5, 0.5) if halves else (0.229, 0.224, 0.225),
                license="Apache-2.0",
            )
    return sets


def _spec(
    variant: _Variant,
    target: str,
    title: str,
    options: dict[str, Any],
    *,
    min_depth: int = 1,
    inception_statistics: bool = False,
) -> EncoderSpec:
    widths, repeats = options["widths"], options["repeats"]
    weights = _weights(variant.name, inception_statistics=inception_statistics)
    return EncoderSpec(
        name=variant.name,
        target=target,
        options=options,
        out_channels=(3, *(widths[index] for index in (0, 2, 3, 5, 7))),
        reductions=(1, 2, 4, 8, 16, 32),
        weights=weights,
        default_weights="imagenet" if "imagenet" in weights else "noisy-student",
        dilation=(8, 16),
        min_depth=min_depth,
        license="MIT",
        paper=_PAPER,
        summary=f"{title}, {sum(repeats)} blocks",
        num_parameters=variant.num_parameters,
    )


def _efficientnet(variant: _Variant) -> EncoderSpec:
    options = {
        "widths": _widths(variant),
        "repeats": _repeats(variant),
        "taps": variant.taps,
        "resolution": variant.resolution,
    }
    # The least depth is that of the reference.
    target, title = "smp_efficientnet.encoder:EfficientNetEncoder", "EfficientNet with TensorFlow's padding"
    return _spec(variant, target, title, options, min_depth=2)


def _timm_efficientnet(variant: _Variant) -> EncoderSpec:
    options = {"widths": _widths(variant), "repeats": _repeats(variant)}
    return _spec(variant, "smp_efficientnet.encoder:TimmEfficientNetEncoder", "EfficientNet", options)


def _lite(variant: _Variant) -> EncoderSpec:
    # Lite scales neither the stem nor the number of blocks of the first and the last stage.
    options = {
        "widths": (_WIDTHS[0], *_widths(variant)[1:]),
        "repeats": (_REPEATS[0], *_repeats(variant)[1:-1], _REPEATS[-1]),
        "activation": "relu6",
        "squeeze_excite": False,
    }
    target = "smp_efficientnet.encoder:TimmEfficientNetEncoder"
    return _spec(variant, target, "EfficientNet-Lite", options, inception_statistics=True)


@hookimpl
def smp_encoders() -> list[EncoderSpec]:
    return [
        *map(_efficientnet, _EFFICIENTNET),
        *map(_timm_efficientnet, _TIMM_EFFICIENTNET),
        *map(_lite, _LITE),
    ]

"""What each family of encoders draws in SMP: facts, measured of SMP 0.6.0 by the random numbers that it asks torch for.

Two things differ from what our encoders draw: layers that SMP builds and throws away (the classifier above all), and
how it initialises what is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from smp_core.plugin import EncoderSpec

Initialisation = Callable[[nn.Module], None]


@dataclass(frozen=True)
class Family:
    """What the encoders of one target draw.

    Attributes:
        classifier: builds the layers that come after all others and are thrown away.
        initialise: how a layer is initialised once all are built; None where it stays as torch makes it.
        made_first: children that are built before their siblings, though they are registered after them.
        extras: builds the layers that are thrown away before.
        units: names of the modules that are initialised as soon as they are built, and again with what they are in,
            as each member of a list is.
    """

    classifier: Callable[[EncoderSpec], list[nn.Module]] = lambda spec: [_linear(spec)]
    initialise: Initialisation | None = None
    made_first: frozenset[str] = frozenset()
    extras: Callable[[], list[nn.Module]] = list
    units: frozenset[str] = frozenset()


def _linear(spec: EncoderSpec, classes: int = 1000) -> nn.Module:
    return nn.Linear(spec.out_channels[-1], classes)


def _efficientnet_head(spec: EncoderSpec) -> list[nn.Module]:
    """One more convolution, which the lite variants do not widen, and the classifier."""
    features = spec.out_channels[-1]
    width = 4 * features if spec.options.get("squeeze_excite", True) else 1280
    return [nn.Conv2d(features, width, 1, bias=False), nn.Linear(width, 1000)]


def _vgg_classifier(spec: EncoderSpec) -> list[nn.Module]:
    return [nn.Linear(spec.out_channels[-1] * 7 * 7, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000)]


def _none(_spec: EncoderSpec) -> list[nn.Module]:
    return []


def _kaiming(mode: Literal["fan_in", "fan_out"], linear: float | None = None) -> Initialisation:
    """Kaiming normal for convolutions (He et al., arXiv:1502.01852), a normal distribution for linear layers."""

    def initialise(layer: nn.Module) -> None:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode=mode, nonlinearity="relu")
        elif isinstance(layer, nn.Linear) and linear is not None:
            nn.init.normal_(layer.weight, 0.0, linear)
        elif isinstance(layer, nn.Linear):
            return
        _zero_bias(layer)

    return initialise


def _by_outputs_of_group(layer: nn.Module) -> None:
    """The variance is kept for the outputs of each group (Tan & Le, arXiv:1905.11946)."""
    if isinstance(layer, nn.Conv2d):
        rows, columns = layer.kernel_size
        nn.init.normal_(layer.weight, 0.0, (2.0 / (rows * columns * layer.out_channels // layer.groups)) ** 0.5)
    elif isinstance(layer, nn.Linear):
        bound = 1.0 / layer.out_features**0.5
        nn.init.uniform_(layer.weight, -bound, bound)
    _zero_bias(layer)


def _transformer(layer: nn.Module) -> None:
    """MiT's (Xie et al., arXiv:2105.15203): truncated normal for linear layers, convolutions as EfficientNet's."""
    if isinstance(layer, nn.Linear):
        # Of uniform numbers, as SMP does; `nn.init.trunc_normal_` may draw otherwise.
        layer.weight.uniform_(-1.0, 1.0).erfinv_().mul_(0.02 * math.sqrt(2.0)).clamp_(-2.0, 2.0)
        _zero_bias(layer)
    else:
        _by_outputs_of_group(layer)


def _zero_bias(layer: nn.Module) -> None:
    if isinstance(layer.bias, nn.Parameter):
        nn.init.zeros_(layer.bias)


FAMILIES: dict[str, Family] = {
    "smp_resnet.encoder:ResNetEncoder": Family(initialise=_kaiming("fan_out"), made_first=frozenset({"downsample"})),
    "smp_sknet.encoder:SKNetEncoder": Family(initialise=_kaiming("fan_out"), made_first=frozenset({"downsample"})),
    "smp_densenet.encoder:DenseNetEncoder": Family(initialise=_kaiming("fan_in")),
    "smp_vgg.encoder:VGGEncoder": Family(_vgg_classifier, initialise=_kaiming("fan_out", linear=0.01)),
    "smp_mobilenet.encoder:MobileNetV2Encoder": Family(initialise=_kaiming("fan_out", linear=0.01)),
    "smp_efficientnet.encoder:TimmEfficientNetEncoder": Family(
        _efficientnet_head,
        initialise=_by_outputs_of_group,
        extras=lambda: [nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)],
    ),
    "smp_efficientnet.encoder:EfficientNetEncoder": Family(_efficientnet_head),
    "smp_dpn.encoder:DPNEncoder": Family(lambda spec: [nn.Conv2d(spec.out_channels[-1], 1000, 1)]),
    "smp_senet.encoder:SENetEncoder": Family(made_first=frozenset({"downsample"})),
    "smp_inception.encoder:InceptionV4Encoder": Family(lambda spec: [_linear(spec, 1001)]),
    "smp_inception.encoder:InceptionResNetV2Encoder": Family(),
    "smp_xception.encoder:XceptionEncoder": Family(),
    "smp_mobileone.encoder:MobileOneEncoder": Family(_none),
    "smp_mit.encoder:MixTransformerEncoder": Family(
        _none,
        initialise=_transformer,
        units=frozenset({"patch_embed1", "patch_embed2", "patch_embed3", "patch_embed4", "attn", "mlp"}),
    ),
}
"""By the target of their spec."""

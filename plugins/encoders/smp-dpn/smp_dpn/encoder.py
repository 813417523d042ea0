"""Dual path networks (Chen et al., Dual Path Networks, arXiv:1707.01629) as feature pyramids.

The blocks are those of timm's `dpn*` models, whose module names are those of the published weights.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, ClassVar

import timm
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from smp_core.encoder import EncoderBase
from smp_core.errors import OptionError
from smp_core.inference import Walk
from smp_core.inference.folding import split_norms
from smp_core.layers import initialise_encoder

# Channels of the features, the input apart.
_CHANNELS = {
    "dpn68": (10, 144, 320, 704, 832),
    "dpn68b": (10, 144, 320, 704, 832),
    "dpn92": (64, 336, 704, 1552, 2688),
    "dpn98": (96, 336, 768, 1728, 2688),
    "dpn107": (128, 376, 1152, 2432, 2688),
    "dpn131": (128, 352, 832, 1984, 2688),
}


class DPNEncoder(EncoderBase):
    """Networks of a residual and a densely connected path: features are the input, the stem, and the four stages.

    The feature of a stage is both its paths, concatenated, after a ReLU; that of the last stage after a norm as well.

    Args:
        model: timm's name of the model that the blocks are taken from.
        in_channels, depth, output_stride: see `smp_core.encoder.EncoderBase`; depth 1 to 5.

    Raises:
        OptionError: another model; lists the right ones.
    """

    first_convolution: ClassVar[str] = "features.conv1_1.conv"

    def __init__(self, model: str, *, in_channels: int = 3, depth: int = 5, output_stride: int = 32) -> None:
        if model not in _CHANNELS:
            raise OptionError(f"unknown model {model!r}; expected one of {', '.join(_CHANNELS)}")
        super().__init__(
            out_channels=(in_channels, *_CHANNELS[model]),
            reductions=(1, 2, 4, 8, 16, 32),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            # The classifier of published weights, and the stages that are not built.
            ignored_keys=(
                *("last_linear.", "classifier."),
                *(f"features.conv{stage}_" for stage in range(2, 6) if stage > depth),
            ),
        )
        # Without memory: only what is kept below is ever allocated, and initialised once.
        with torch.device("meta"):
            source: Any = timm.create_model(model, pretrained=False, in_chans=in_channels, num_classes=0)
        layers = dict(source.features.named_children())
        kept = ["conv1_1", "conv1_pool"][: min(depth, 2)]
        # The places of the layers whose results are features as they are, and of those whose results are both paths.
        self._activated: list[int] = [0]
        self._joined: list[int] = []
        for stage in range(2, depth + 1):
            names = [name for name in layers if name.startswith(f"conv{stage}_")]
            for name in names:
                self.dilate(layers[name], reduction=2**stage)
            kept += names
            (self._activated if stage == 5 else self._joined).append(len(kept) - 1)
        self.features = nn.Sequential(OrderedDict((name, layers[name]) for name in kept))
        self.to_empty(device=torch.get_default_device())
        initialise_encoder(self, mode="fan_in")

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: timm's norms, which hold an activation, taken apart."""
        split_norms(self, BatchNormAct2d, ("drop", "act"))
        return walk.over(self)

    def stage_modules(self) -> list[list[str]]:
        """See `smp_core.Encoder`."""
        return self.stages_of_list("features", sorted((*self._activated, *self._joined)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`."""
        features = [x]
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._activated:
                features.append(x)
            elif index in self._joined:
                features.append(nn.functional.relu(x))
        return features

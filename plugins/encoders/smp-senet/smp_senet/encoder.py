"""SENet, SE-ResNet and SE-ResNeXt (Hu et al., Squeeze-and-Excitation Networks, arXiv:1709.01507) as feature pyramids.

The stages are timm's `legacy_se*` models, whose module names are those of the published weights.
"""

from __future__ import annotations

from typing import Any, ClassVar

import timm
import torch
from torch import Tensor, nn

from smp_core.encoder import EncoderBase
from smp_core.errors import OptionError
from smp_core.layers import initialise_encoder
from smp_core.layers.recording import is_recording

_STEM_CHANNELS = {
    "legacy_senet154": 128,
    "legacy_seresnet50": 64,
    "legacy_seresnet101": 64,
    "legacy_seresnet152": 64,
    "legacy_seresnext50_32x4d": 64,
    "legacy_seresnext101_32x4d": 64,
}


class SENetEncoder(EncoderBase):
    """ResNets whose blocks gate their channels: features are the input, the stem after its ReLU, and the four stages.

    The pool after the stem rounds an odd size down, so a feature's size is that of the image divided by its reduction,
    rounded down from the second level on or up.

    Args:
        model: timm's name of the model that the stages are taken from.
        in_channels, depth, output_stride: see `smp_core.encoder.EncoderBase`; depth 1 to 5.

    Raises:
        OptionError: another model; lists the right ones.
    """

    first_convolution: ClassVar[str] = "layer0.conv1"
    channels_last: ClassVar[bool] = True

    def __init__(self, model: str, *, in_channels: int = 3, depth: int = 5, output_stride: int = 32) -> None:
        if model not in _STEM_CHANNELS:
            raise OptionError(f"unknown model {model!r}; expected one of {', '.join(_STEM_CHANNELS)}")
        super().__init__(
            out_channels=(in_channels, _STEM_CHANNELS[model], 256, 512, 1024, 2048),
            reductions=(1, 2, 4, 8, 16, 32),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            # The classifier of published weights, and the stages that are not built.
            ignored_keys=("last_linear.", *(f"layer{stage}." for stage in range(1, 5) if stage >= depth)),
        )
        # Without memory: only what is kept below is ever allocated, and initialised once.
        with torch.device("meta"):
            source: Any = timm.create_model(model, pretrained=False, in_chans=in_channels, num_classes=0)
        self.layer0: nn.Module = source.layer0
        self.pool = Pool()

        def stage(number: int) -> nn.Module:
            """The stage of reduction 2**(number + 1); empty where the depth does not reach it."""
            module: nn.Module = getattr(source, f"layer{number}") if number < depth else nn.Sequential()
            self.dilate(module, reduction=2 ** (number + 1))
            return module

        self.layer1, self.layer2, self.layer3, self.layer4 = stage(1), stage(2), stage(3), stage(4)
        self.to_empty(device=torch.get_default_device())
        initialise_encoder(self)

    def stage_modules(self) -> list[list[str]]:
        """See `smp_core.Encoder`."""
        return [[f"layer{number}"] for number in range(self.depth)]

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `smp_core.Encoder.forward`."""
        features = [x]
        x = self.layer0(x)
        features.append(x)
        if self.depth >= 2:
            x = self.layer1(self.pool(x))
            features.append(x)
        if self.depth >= 3:
            x = self.layer2(x)
            features.append(x)
        if self.depth >= 4:
            x = self.layer3(x)
            features.append(x)
        if self.depth >= 5:
            x = self.layer4(x)
            features.append(x)
        return features


class Pool(nn.MaxPool2d):
    """The largest of 3x3, without padding, of values that are not negative: (N, C, H, W) -> (N, C, H // 2, W // 2).

    A height or width of 1 stays 1.

    >>> Pool()(torch.zeros(1, 8, 17, 1)).shape
    torch.Size([1, 8, 8, 1])
    """

    def __init__(self) -> None:
        super().__init__(3, stride=2, ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        # A row and a column of zeros at the end change no maximum after a ReLU, and the size is rounded as here.
        if is_recording(x):  # a recorded graph cannot hold the case distinction of the ceil mode
            return nn.functional.max_pool2d(nn.functional.pad(x, [0, 1, 0, 1]), 3, stride=2)
        if x.shape[2] < 2 or x.shape[3] < 2:  # no window would begin, and reach its second pixel, inside the map
            x = nn.functional.pad(x, [0, 1, 0, 1])
        return nn.functional.max_pool2d(x, 3, stride=2, ceil_mode=True)

import torch
from torch import nn
from torch.nn import functional

from smp_core.errors import OptionError
from smp_core.heads import SegmentationHead, build_classification_head
from smp_core.model import SegmentationModel


class Decoder(nn.Module):
    def __init__(self, channels, reduction):
        super().__init__()
        self.convolution = nn.Conv2d(channels, 8, 1)
        self.norm = nn.BatchNorm2d(8)
        self.out_channels = 8
        self.reduction = reduction

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        x = self.norm(self.convolution(features[-1]))
        height, width = features[0].shape[2], features[0].shape[3]
        return functional.interpolate(x, size=[height, width], mode="nearest")


class Right(SegmentationModel):
    decoder_type = Decoder

    def __init__(self, encoder, *, classes=1, activation=None, aux_params=None):
        decoder = self.decoder_type(encoder.out_channels[-1], encoder.reductions[-1])
        head = SegmentationHead(decoder.out_channels, classes, kernel_size=1, activation=activation)
        auxiliary = build_classification_head(encoder.out_channels[-1], aux_params)
        super().__init__(encoder, decoder, head, auxiliary, size_multiple=max(encoder.reductions))


class TokenDecoder(Decoder):
    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        x = self.norm(self.convolution(features[-1]))
        return functional.interpolate(x, size=[16 * x.shape[2], 16 * x.shape[3]], mode="nearest")


class Tokens(Right):
    decoder_type = TokenDecoder

    def forward(self, x: torch.Tensor):
        features, _ = self.encoder(self._pad(x))
        masks = self._crop(self.segmentation_head(self.decoder(features)), x.shape[2], x.shape[3])
        if self.classification_head is not None:
            return masks, self.classification_head(features[-1])
        return masks


class KeepsPadding(Right):
    def _crop(self, masks, height: int, width: int):
        return masks


class RefusesDepthFour(Right):
    def __init__(self, encoder, *, classes=1, activation=None, aux_params=None):
        if len(encoder.reductions) == 4:
            raise OptionError("four levels are unlucky")
        super().__init__(encoder, classes=classes, activation=activation, aux_params=aux_params)


class FixedUpsampling(Decoder):
    def forward(self, features):
        return functional.interpolate(self.norm(self.convolution(features[-1])), scale_factor=8.0)


class UpsamplesByEight(Right):
    decoder_type = FixedUpsampling


class InputDecoder(Decoder):
    def __init__(self, channels, reduction):
        super().__init__(channels, reduction)
        self.stem = nn.Conv2d(3, 8, 1)

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        image = features[0]
        x = self.norm(self.convolution(features[-1]))
        x = functional.interpolate(x, size=[image.shape[2], image.shape[3]], mode="nearest")
        return x + self.stem(image[:, :3])


class UsesThreeChannels(Right):
    decoder_type = InputDecoder


class IgnoresHead(Right):
    def __init__(self, encoder, *, classes=1, activation=None, aux_params=None):
        super().__init__(encoder, classes=classes, activation=activation)


class IgnoresActivation(Right):
    def __init__(self, encoder, *, classes=1, activation=None, aux_params=None):
        super().__init__(encoder, classes=classes, aux_params=aux_params)


class IgnoresClasses(Right):
    def __init__(self, encoder, *, classes=1, activation=None, aux_params=None):
        super().__init__(encoder, classes=2, activation=activation, aux_params=aux_params)


class StaysInEvaluation(Right):
    def predict(self, x):
        self.eval()
        with torch.no_grad():
            return self(x)


class ForgetfulDecoder(Decoder):
    def __init__(self, channels, reduction):
        super().__init__(channels, reduction)
        self.scale = 1 + torch.rand(1)

    def forward(self, features):
        return super().forward(features) * self.scale


class ForgetsTensor(Right):
    decoder_type = ForgetfulDecoder

"""Each is right but for one thing."""

import torch
from acme_wrong.architectures import Decoder, Right
from torch import nn


class SpareDecoder(Decoder):
    def __init__(self, channels, reduction):
        super().__init__(channels, reduction)
        self.spare = nn.Conv2d(8, 8, 1)


class HasUnusedLayer(Right):
    decoder_type = SpareDecoder


class RememberingDecoder(Decoder):
    def forward(self, features):
        self.last = features
        return super().forward(features)


class KeepsFeatures(Right):
    decoder_type = RememberingDecoder


class CountingDecoder(Decoder):
    def __init__(self, channels, reduction):
        super().__init__(channels, reduction)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, features):
        self.calls += 1
        return super().forward(features)


class CountsCalls(Right):
    decoder_type = CountingDecoder


class FloatDecoder(Decoder):
    def forward(self, features):
        return super().forward([*features[:-1], features[-1].float().to(features[-1].dtype)])


class RoundsToFloat32(Right):
    decoder_type = FloatDecoder


class ScalingDecoder(Decoder):
    def forward(self, features):
        features[0].mul_(2)
        return super().forward(features)


class WritesIntoImage(Right):
    decoder_type = ScalingDecoder


class CentringDecoder(Decoder):
    def forward(self, features):
        x = super().forward(features)
        return x - 0.5 * x.mean(dim=0, keepdim=True)


class MixesBatch(Right):
    decoder_type = CentringDecoder


class DividingDecoder(Decoder):
    def forward(self, features):
        x = super().forward(features)
        return x / features[0].std((1, 2, 3), keepdim=True)


class DividesByContrast(Right):
    decoder_type = DividingDecoder


class SeedsItself(Right):
    def __init__(self, encoder, *, classes=1, activation=None, aux_params=None):
        torch.manual_seed(0)
        super().__init__(encoder, classes=classes, activation=activation, aux_params=aux_params)


class ReturnsList(Right):
    def _crop(self, masks, height, width):
        return super()._crop(masks, height, width)

    def forward(self, x):
        return [super().forward(x)]

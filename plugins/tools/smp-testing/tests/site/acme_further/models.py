"""An architecture and a neck, each right but for one thing."""

import torch
from acme_wrong.architectures import Decoder
from acme_wrong.architectures import Right as RightModel
from acme_wrong_necks.necks import Right as RightNeck
from torch import nn


class FlippingDecoder(Decoder):
    def forward(self, features):
        return super().forward(features).flip(3)


class FlipsMasks(RightModel):
    decoder_type = FlippingDecoder


class NoisyDecoder(Decoder):
    def forward(self, features):
        x = super().forward(features)
        return x + 0.1 * torch.randn_like(x)


class AddsNoise(RightModel):
    decoder_type = NoisyDecoder


class FlipsLevel(RightNeck):
    def forward(self, features):
        levels = super().forward(features)
        return [levels[0].flip(2), *levels[1:]]


class DropsAlways(RightNeck):
    def forward(self, features):
        return [nn.functional.dropout(level, 0.2) for level in super().forward(features)]

"""Architectures as people write them, and a neck."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.heads import SegmentationHead, build_classification_head
from smp_core.model import SegmentationModel


class Merging(nn.Module):
    """Every feature but the image, projected, enlarged to the largest of them, and added."""

    def __init__(self, out_channels, reductions, width):
        super().__init__()
        self.out_channels, self.reduction = width, reductions[1]
        self.projections = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in out_channels[1:])
        self.fuse = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, features: list[Tensor]) -> Tensor:
        height, width = features[1].shape[2], features[1].shape[3]
        total = torch.zeros(1, dtype=features[1].dtype, device=features[1].device)
        for index, projection in enumerate(self.projections):
            total = total + functional.interpolate(
                projection(features[index + 1]), size=[height, width], mode="bilinear", align_corners=False
            )
        return self.fuse(total)


class Plain(SegmentationModel):
    """The template, with a decoder of its own."""

    def __init__(self, encoder, *, decoder_width=16, classes=1, activation=None, aux_params=None):
        decoder = Merging(encoder.out_channels, encoder.reductions, decoder_width)
        super().__init__(
            encoder,
            decoder,
            SegmentationHead(decoder.out_channels, classes, activation=activation, upsampling=decoder.reduction),
            build_classification_head(encoder.out_channels[-1], aux_params),
            size_multiple=encoder.reductions[-1],
        )


class Lateral(nn.Module):
    """A neck: a pyramid of four levels out of the deepest feature and, where there are, larger ones."""

    def __init__(self, *, out_channels, reductions, tokens, output_stride=32, width=12):
        super().__init__()
        self.reductions = tuple(item for item in (4, 8, 16, 32) if item <= output_stride)
        self.out_channels = (width,) * len(self.reductions)
        self.targets, self.source = list(self.reductions), int(reductions[-1])
        self.project = nn.Conv2d(out_channels[-1], width, 1)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in self.reductions)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        deepest = self.project(features[-1])
        levels: list[Tensor] = []
        for index, layer in enumerate(self.smooth):
            target = self.targets[index]
            height = (deepest.shape[2] * self.source + target - 1) // target
            width = (deepest.shape[3] * self.source + target - 1) // target
            levels.append(layer(functional.interpolate(deepest, size=[height, width], mode="nearest")))
        return levels

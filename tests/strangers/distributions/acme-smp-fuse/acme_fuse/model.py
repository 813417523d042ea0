import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.heads import SegmentationHead, build_classification_head
from smp_core.layers import ConvNormAct
from smp_core.model import SegmentationModel


class Fuse(nn.Module):
    def __init__(self, channels, reductions, width):
        super().__init__()
        self.first = next(index for index, reduction in enumerate(reductions) if reduction > 1)
        self.maps = nn.ModuleList(nn.Conv2d(item, width, 1) for item in channels[self.first :])
        self.fuse = ConvNormAct(width * len(self.maps), width, kernel_size=1)
        self.out_channels, self.reduction = width, reductions[self.first]

    def forward(self, features: list[Tensor]) -> Tensor:
        height, width = features[self.first].shape[2], features[self.first].shape[3]
        maps: list[Tensor] = []
        for index, linear in enumerate(self.maps):
            maps.append(functional.interpolate(linear(features[self.first + index]), size=[height, width]))
        fused: Tensor = self.fuse(torch.cat(maps, dim=1))
        return fused


class AcmeFuse(SegmentationModel):
    """All levels at the size of the finest one.

    Args:
        decoder_channels: width of every level.
    """

    def __init__(self, encoder, *, decoder_channels=16, classes=1, activation=None, aux_params=None):
        decoder = Fuse(encoder.out_channels, encoder.reductions, decoder_channels)
        super().__init__(
            encoder,
            decoder,
            SegmentationHead(decoder_channels, classes, activation=activation, upsampling=decoder.reduction),
            build_classification_head(encoder.out_channels[-1], aux_params),
            size_multiple=encoder.reductions[-1],
        )

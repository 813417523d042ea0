from torch import nn
from transformers import ConvNextV2Backbone, ConvNextV2Config

from smp_core.encoder import cut_features, whole_patches

WIDTHS, REDUCTIONS = [8, 16, 24, 32], [4, 8, 16, 32]


class ConvNeXtV2(nn.Module):
    first_convolution = "backbone.embeddings.patch_embeddings"

    def __init__(self, *, in_channels=3, depth=5, output_stride=32):
        super().__init__()
        count = depth - 1
        config = ConvNextV2Config(
            num_channels=in_channels,
            num_stages=count,
            hidden_sizes=WIDTHS[:count],
            depths=[1] * count,
            out_features=[f"stage{index + 1}" for index in range(count)],
        )
        self.backbone = ConvNextV2Backbone(config)
        self.in_channels = in_channels
        self.out_channels = (in_channels, *WIDTHS[:count])
        self.reductions = (1, *REDUCTIONS[:count])

    def forward(self, x):
        found = self.backbone(whole_patches(x, self.reductions[-1])).feature_maps
        return [x, *cut_features(list(found), x, list(self.reductions[1:]))]

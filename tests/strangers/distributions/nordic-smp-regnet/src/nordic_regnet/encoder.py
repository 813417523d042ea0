import torch
from torch import nn
from torchvision.models.regnet import BlockParams
from torchvision.models.regnet import RegNet as Published

from smp_core.encoder import EncoderBase


class RegNet(EncoderBase):
    """torchvision's RegNet.

    Args:
        depth_of_trunk, w_0, w_a, w_m, group_width: the five numbers that make its widths.
        gates: whether its blocks have a squeeze-and-excitation gate.
    """

    first_convolution = "stages.0.0"

    def __init__(
        self, depth_of_trunk, w_0, w_a, w_m, group_width, *, gates=True, in_channels=3, depth=5, output_stride=32
    ):
        ratio = 0.25 if gates else None
        with torch.device("cpu"):  # it computes widths with tensors, which a model without memory does not have
            params = BlockParams.from_init_params(depth_of_trunk, w_0, w_a, w_m, group_width, se_ratio=ratio)
        published = Published(params, num_classes=1, stem_width=32)
        stages = [published.stem, *published.trunk_output]
        super().__init__(
            out_channels=(in_channels, 32, *params.widths),
            reductions=(1, 2, 4, 8, 16, 32),
            in_channels=in_channels,
            depth=depth,
            output_stride=output_stride,
            ignored_keys=[f"stages.{index}." for index in range(depth, 5)],
        )
        if in_channels != 3:
            stages[0][0] = nn.Conv2d(in_channels, 32, 3, 2, 1, bias=False)
        self.stages = nn.Sequential(*(nn.Sequential(*stage.children()) for stage in stages[:depth]))

    def stage_modules(self):
        return [[f"stages.{index}"] for index in range(len(self.stages))]

    def forward(self, x):
        features = [x]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features

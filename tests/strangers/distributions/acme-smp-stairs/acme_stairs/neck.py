from torch import Tensor, nn
from torch.nn import functional


class Stairs(nn.Module):
    """The last block's features at four scales."""

    def __init__(self, *, out_channels, reductions, tokens, output_stride=None, channels=16):
        super().__init__()
        self.reductions = tuple(item for item in (4, 8, 16, 32) if item <= (output_stride or 32))
        self.out_channels = (channels,) * len(self.reductions)
        self.targets, self.source = list(self.reductions), reductions[-1]
        self.steps = nn.ModuleList(nn.Conv2d(out_channels[-1], channels, 1) for _ in self.targets)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        last = features[-1]
        levels: list[Tensor] = []
        for index, step in enumerate(self.steps):
            target = self.targets[index]
            rows = (last.shape[2] * self.source + target - 1) // target
            columns = (last.shape[3] * self.source + target - 1) // target
            levels.append(functional.interpolate(step(last), size=[rows, columns], mode="bilinear"))
        return levels

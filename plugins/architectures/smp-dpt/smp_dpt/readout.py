"""What becomes of a transformer's prefix tokens (Ranftl et al., arXiv:2103.13413, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.errors import OptionError
from smp_core.inference import Walk
from smp_core.layers import Fusing, is_stock, may_fuse

READOUTS = ("ignore", "add", "cat")


class ReadoutIgnore(nn.Module):
    """The feature as it is: (N, C, h, w) and (N, prefix tokens, C) -> (N, C, h, w)."""

    def forward(self, feature: Tensor, prefix_tokens: Tensor) -> Tensor:  # noqa: ARG002
        return feature


class ReadoutAdd(nn.Module):
    """The mean of the prefix tokens added to every pixel: (N, C, h, w) and (N, prefix tokens, C) -> (N, C, h, w)."""

    def forward(self, feature: Tensor, prefix_tokens: Tensor) -> Tensor:
        return feature + prefix_tokens.mean(dim=1)[:, :, None, None]


class ReadoutConcat(Fusing):
    """The first prefix token concatenated to every pixel, a linear layer, GELU; the same shapes.

    The token is the same for every pixel, so its half of the linear layer is a bias for each image.

    State-dict keys: ``project.0.weight`` (C, 2 C), or (C, C) for a transformer without prefix tokens, and
    ``project.0.bias`` (C,).
    """

    def __init__(self, channels: int, has_prefix: bool) -> None:
        super().__init__()
        self.channels = channels
        self.has_prefix = has_prefix
        self.project = nn.Sequential(nn.Linear(2 * channels if has_prefix else channels, channels), nn.GELU())

    def inference_form(self, walk: Walk) -> nn.Module:
        """See `smp_core.inference.HasInferenceForm`: its fast form reads what is in its parts then."""
        return walk.parts(self)

    def forward(self, feature: Tensor, prefix_tokens: Tensor) -> Tensor:
        if not torch.jit.is_scripting():
            fuses = may_fuse(feature) and self.has_stock_parts()
            out = self.fused(feature, prefix_tokens) if fuses else self.plain(feature, prefix_tokens)
        elif self.fuses_in_script:
            out = self.fused(feature, prefix_tokens)
        else:
            out = self.plain(feature, prefix_tokens)
        return out

    def plain(self, feature: Tensor, prefix_tokens: Tensor) -> Tensor:
        """As `forward`, by calling the parts."""
        x = feature.permute(0, 2, 3, 1)
        if self.has_prefix:
            x = torch.cat([x, prefix_tokens[:, :1, None].expand(-1, x.shape[1], x.shape[2], -1)], dim=3)
        out: Tensor = self.project(x).permute(0, 3, 1, 2)
        return out

    def has_stock_parts(self) -> bool:
        """See `smp_core.layers.Fusing`."""
        return is_stock(self.project, nn.Sequential) and is_stock(self.project[0], nn.Linear)

    def fused(self, feature: Tensor, prefix_tokens: Tensor) -> Tensor:
        """As `plain`, the token's half multiplied once for each image."""
        linear = self.project[0]
        weight: Tensor = linear.weight  # type: ignore[assignment]
        bias: Tensor = linear.bias  # type: ignore[assignment]
        x = functional.conv2d(feature, weight[:, : self.channels, None, None], bias)
        if self.has_prefix:
            x += functional.linear(prefix_tokens[:, 0], weight[:, self.channels :])[:, :, None, None]
        for index, layer in enumerate(self.project):
            if index > 0:
                x = layer(x)
        return x


def build_readout(readout: str, channels: int, num_prefix_tokens: int) -> nn.Module:
    """Build what an option names: ``ignore``, ``add`` or ``cat``.

    Args:
        readout: the name.
        channels: of the feature and of the tokens.
        num_prefix_tokens: of the encoder; with 0, ``add`` has nothing to add.

    Raises:
        OptionError: another name; lists the names.
    """
    if readout not in READOUTS:
        raise OptionError(f"unknown decoder_readout {readout!r}; expected one of {', '.join(READOUTS)}")
    if readout == "cat":
        return ReadoutConcat(channels, num_prefix_tokens > 0)
    return ReadoutAdd() if readout == "add" and num_prefix_tokens else ReadoutIgnore()

"""The last features of an encoder as one map, normalised."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from smp_core.errors import OptionError
from smp_core.layers.recording import is_eager
from smp_core.options import check_positive, check_probability


class LinearDecoder(nn.Module):
    """Resize the last features to the finest of them, concatenate, batch norm, dropout.

    State-dict keys: ``norm``, a batch norm over all channels of the concatenation.

    Args:
        encoder_channels: ``out_channels`` of the encoder.
        encoder_reductions: ``reductions`` of the encoder.
        first_is_image: whether the first of the encoder's features is the image itself, which is never among those that
            are taken.
        num_features: how many features are taken, the deepest and those before it.
        dropout: probability that a channel of the result is dropped in training.

    Attributes:
        out_channels, reduction: of the result: all channels together, the reduction of the finest feature.

    Raises:
        OptionError: an option has a value that it cannot take, or the encoder has fewer features.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        encoder_reductions: Sequence[int],
        *,
        first_is_image: bool,
        num_features: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_features = check_positive("decoder_features", num_features)
        available = len(encoder_channels) - int(first_is_image)
        if self.num_features > available:
            beside = " beside the image itself" if first_is_image else ""
            raise OptionError(
                f"decoder_features is {num_features}, but the encoder has {available} "
                f"{'feature' if available == 1 else 'features'}{beside}"
            )
        taken = tuple(encoder_reductions[-self.num_features :])
        self.reduction = taken[0]
        self.out_channels = sum(encoder_channels[-self.num_features :])
        # Said here and not seen in the maps, so that a graph for every size has no case distinctions.
        self.is_resized: list[bool] = [reduction != self.reduction for reduction in taken]
        self.norm = nn.BatchNorm2d(self.out_channels)
        probability = check_probability("decoder_dropout", dropout)
        self.dropout = nn.Dropout2d(probability) if probability else nn.Identity()

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features -> (N, out_channels, H / reduction, W / reduction)."""
        taken = features[-self.num_features :]
        height, width = taken[0].shape[2], taken[0].shape[3]
        maps: list[Tensor] = []
        for index, is_resized in enumerate(self.is_resized):
            # A map cut out of a sequence of tokens has its channels innermost, which a dynamic graph would hold to.
            x = taken[index] if is_eager(taken[index]) else taken[index].contiguous()
            if is_resized:
                x = functional.interpolate(x, size=[height, width], mode="bilinear", align_corners=False)
            maps.append(x)
        out: Tensor = self.dropout(self.norm(maps[0] if self.num_features == 1 else torch.cat(maps, dim=1)))
        return out

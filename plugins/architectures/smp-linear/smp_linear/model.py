"""A linear probe (Oquab et al., arXiv:2304.07193; Siméoni et al., arXiv:2508.10104) over any encoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from smp_core.heads import build_classification_head
from smp_core.model import SegmentationModel
from smp_linear.decoder import LinearDecoder
from smp_linear.head import LinearSegmentationHead


class Linear(SegmentationModel):
    """Batch norm and a 1x1 convolution over the last features: (N, C, H, W) -> (N, classes, H, W), any H and W.

    The protocol by which DINOv2 and DINOv3 judge a frozen encoder: what a linear map of each patch tells of its class,
    upsampled to the image. With ``decoder_features=4`` over the last four blocks of a transformer, that of their
    stronger variant.

    Args:
        encoder: an `smp_core.Encoder`, of a pyramid or of tokens; prefix tokens are ignored.
        decoder_features: how many of the last features are taken, each resized to the finest of them. The image itself,
            which many encoders return as their first, is never one of them.
        decoder_dropout: probability that a channel of the normalised features is dropped in training.
        classes: channels of the mask.
        activation: of the mask; see `smp_core.layers.build_activation`.
        aux_params: a classification head on the deepest feature; see `smp_core.heads.ClassificationHead`.

    Raises:
        OptionError: an option has a value that it cannot take, or the encoder has fewer features than are asked for.

    >>> import smp_core
    >>> Linear(smp_core.create_encoder("resnet18", weights=None), classes=3).eval()(torch.zeros(1, 3, 64, 50)).shape
    torch.Size([1, 3, 64, 50])
    """

    # TorchScript compiles only the branch that a constant chooses: the other one has the types of another encoder.
    __constants__: ClassVar[list[str]] = ["_has_tokens"]

    def __init__(
        self,
        encoder: nn.Module,
        *,
        decoder_features: int = 1,
        decoder_dropout: float = 0.0,
        classes: int = 1,
        activation: str | Callable[..., object] | None = None,
        aux_params: Mapping[str, Any] | None = None,
    ) -> None:
        channels, reductions = tuple(encoder.out_channels), tuple(encoder.reductions)  # type: ignore[arg-type]
        has_tokens = bool(getattr(encoder, "tokens", False))
        is_stage = has_tokens or bool(getattr(encoder, "full_resolution", False))
        decoder = LinearDecoder(
            channels,
            reductions,
            first_is_image=reductions[0] == 1 and not is_stage,
            num_features=decoder_features,
            dropout=decoder_dropout,
        )
        super().__init__(
            encoder,
            decoder,
            LinearSegmentationHead(decoder.out_channels, classes, activation, decoder.reduction),
            build_classification_head(channels[-1], aux_params),
            size_multiple=math.lcm(*reductions),
        )
        self._has_tokens = has_tokens

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """As `SegmentationModel.forward`; of what a token encoder returns, the features alone."""
        output = self.encoder(self._prepared(x))
        features = output[0] if self._has_tokens else output
        return self._results(self.decoder(features), features, x)

    _ends_in_results = forward

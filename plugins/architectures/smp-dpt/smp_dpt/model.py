"""DPT (Ranftl et al., arXiv:2103.13413) over any token encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from smp_core.heads import build_classification_head
from smp_core.model import SegmentationModel
from smp_dpt.decoder import DPTDecoder
from smp_dpt.head import DPTSegmentationHead

_DEFAULT_CHANNELS = (256, 512, 1024, 1024)


class DPT(SegmentationModel):
    """A plain transformer's tokens, reassembled into a pyramid and fused: (N, C, H, W) -> (N, classes, H, W).

    Any H and W that the encoder takes once padded to whole patches.

    Args:
        encoder: an `smp_core.Encoder` with ``tokens``: its ``forward`` returns features and prefix tokens.
        decoder_readout: what becomes of the prefix tokens: ``ignore``; ``add`` their mean to the feature; ``cat``, a
            linear layer over the feature and the first of them.
        decoder_intermediate_channels: channels of each feature while it is reassembled. Left at its default it is cut,
            or its last entry repeated, to the number of features.
        decoder_fusion_channels: channels of the pyramid.
        classes: channels of the mask.
        activation: of the mask; see `smp_core.layers.build_activation`.
        aux_params: a classification head on the last feature; see `smp_core.heads.ClassificationHead`.

    Raises:
        OptionError: an option has a value that it cannot take.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        decoder_readout: str = "cat",
        decoder_intermediate_channels: Sequence[int] = _DEFAULT_CHANNELS,
        decoder_fusion_channels: int = 256,
        classes: int = 1,
        activation: str | Callable[..., object] | None = None,
        aux_params: Mapping[str, Any] | None = None,
    ) -> None:
        channels, reductions = tuple(encoder.out_channels), tuple(encoder.reductions)  # type: ignore[arg-type]
        intermediate = tuple(decoder_intermediate_channels)
        if intermediate == _DEFAULT_CHANNELS:
            intermediate = (intermediate + intermediate[-1:] * len(channels))[: len(channels)]
        decoder = DPTDecoder(
            channels,
            reductions,
            int(getattr(encoder, "num_prefix_tokens", 1)),
            readout=decoder_readout,
            intermediate_channels=intermediate,
            fusion_channels=decoder_fusion_channels,
        )
        super().__init__(
            encoder,
            decoder,
            DPTSegmentationHead(decoder.out_channels, classes, activation, decoder.exact_reduction),
            build_classification_head(channels[-1], aux_params),
            size_multiple=decoder.size_multiple,
        )

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """As `SegmentationModel.forward`, with the prefix tokens that the encoder returns beside its features."""
        features, prefix_tokens = self.encoder(self._prepared(x))
        return self._results(self.decoder(features, prefix_tokens), features, x)

    _ends_in_results = forward

"""The decoder of Unet++ (Zhou et al., arXiv:1807.10165)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from smp_core.layers import UnetBlock, decoder_widths, initialise_decoder, skip_indices
from smp_core.layers.norm import Norm


class UnetPlusPlusDecoder(nn.Module):
    """A triangle of blocks: every feature of the encoder starts a chain that climbs to the shallowest skip.

    Block ``x_{chain}_{level}`` upsamples what its chain has at the level below, and takes as skips the results of all
    blocks of its level whose chains start higher, and the encoder's feature of that level. The chain of the deepest
    feature, number 0, climbs on to the resolution of the input and is the result. A level that the encoder lacks has
    no skip, so only chain 0 passes it.

    Args:
        encoder_channels: ``out_channels`` of the encoder.
        encoder_reductions: ``reductions`` of the encoder, powers of two.
        decoder_channels: channels of chain 0 after each level, deepest first; see `smp_core.layers.decoder_widths`.
            The blocks of other chains have as many as the encoder's feature of their level.
        norm, attention_type, interpolation: see `smp_core.layers.UnetBlock`.
        ignored_keys: prefixes of state-dict keys that are dropped when loading.

    Attributes:
        out_channels, reduction: of the result.

    Raises:
        OptionError: an option has a value that it cannot take.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        encoder_reductions: Sequence[int],
        decoder_channels: Sequence[int],
        *,
        norm: Norm = "batchnorm",
        attention_type: str | None = None,
        interpolation: str = "nearest",
        ignored_keys: Sequence[str] = (),
    ) -> None:
        super().__init__()
        widths = decoder_widths(decoder_channels, encoder_reductions)
        self.blocks = nn.ModuleDict()
        # For each block, in the order of the blocks: its chain, and the feature of its level, -1 where there is none.
        # The blocks are in segmentation_models_pytorch's order, in which an optimizer's state is numbered.
        self.chains: list[int] = []
        self.skip_indices: list[int] = []
        # The numbers of the blocks in the order in which they run: of a level the chains that start higher come first,
        # as the others take their results as skips.
        self.order: list[int] = []
        below = [encoder_channels[-1]]  # channels that each chain has at the level below
        for level, index in enumerate(skip_indices(encoder_reductions)):
            chains = len(below) if index >= 0 else 1
            width = encoder_channels[index] if index >= 0 else 0
            self.order += reversed(range(len(self.blocks), len(self.blocks) + chains))
            for chain in range(chains):
                self.blocks[f"x_{chain}_{level}"] = UnetBlock(
                    below[chain],
                    width * (chains - chain),
                    widths[level] if chain == 0 else width,
                    norm=norm,
                    attention_type=attention_type,
                    interpolation=interpolation,
                )
                self.chains.append(chain)
                self.skip_indices.append(index)
            below = [widths[level], *[width] * (chains if index >= 0 else 0)]
        self.out_channels = widths[-1]
        self.reduction = 1
        self._ignored_keys = list(ignored_keys)
        initialise_decoder(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features -> (N, out_channels, H, W), twice the size of the shallowest level."""
        below: list[Tensor] = [features[-1]]
        here: list[Tensor] = []
        # Level by level, so that only the maps of two levels are held.
        for wanted in self.order:
            # TorchScript takes modules out of a dict in no other way.
            for number, block in enumerate(self.blocks.values()):
                if number == wanted:
                    chain, index = self.chains[number], self.skip_indices[number]
                    x = below[chain]
                    # Taken off before the block runs: nothing but the block needs it any more.
                    below = below[:chain]
                    skip: Tensor | None = None
                    if index >= 0:
                        skip = features[index]
                    # The list is copied, as the block may run again, for its gradient.
                    out = block(x, skip, 2 * x.shape[2], 2 * x.shape[3], here.copy())
                    here.insert(0, out)
                    if chain == 0:
                        below = here
                        if index >= 0:
                            below.append(features[index])
                        here = []
        return below[0]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        # torch hands every module a dict of its own, so nothing is taken from the caller's.
        ignored = tuple(prefix + key for key in self._ignored_keys)
        for key in [key for key in state_dict if ignored and key.startswith(ignored)]:
            del state_dict[key]
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

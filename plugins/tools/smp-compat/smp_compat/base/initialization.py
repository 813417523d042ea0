"""How decoders and heads are initialised."""

from __future__ import annotations

from torch import nn

from smp_core.layers import initialise_head as initialize_head

__all__ = ["initialize_decoder", "initialize_head"]


def initialize_decoder(module: nn.Module) -> None:
    """Kaiming uniform (fan in, ReLU) for convolutions, ones and zeros for norms, Xavier uniform for linear layers.

    Transposed convolutions stay as they are, as in SMP.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            if layer.weight.numel():
                nn.init.kaiming_uniform_(layer.weight, mode="fan_in", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
        elif isinstance(layer, (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)):
            if layer.weight is not None:
                nn.init.ones_(layer.weight)
        else:
            continue
        if layer.bias is not None and layer.bias.numel():
            nn.init.zeros_(layer.bias)

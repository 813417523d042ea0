"""How encoders, decoders and heads are initialised."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn


def initialise_encoder(
    module: nn.Module,
    *,
    mode: Literal["fan_in", "fan_out"] = "fan_out",
    nonlinearity: Literal["relu", "linear"] = "relu",
) -> None:
    """Kaiming normal for convolutions (He et al., arXiv:1502.01852), zero biases; batch norms start as the identity.

    Also for a module whose parameters were allocated and never set.

    Args:
        module: an encoder, changed in place.
        mode: whose number the variance is kept for: of inputs, right for grouped convolutions, or of outputs.
        nonlinearity: what follows most convolutions.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode=mode, nonlinearity=nonlinearity)
            _zero_bias(layer)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()


def initialise_decoder(module: nn.Module) -> None:
    """Kaiming uniform (fan in, ReLU) for convolutions, ones and zeros for norms, Xavier uniform for linear layers."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            if layer.weight.numel():
                nn.init.kaiming_uniform_(layer.weight, mode="fan_in", nonlinearity="relu")
            _zero_bias(layer)
        elif isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            _zero_bias(layer)
        elif isinstance(layer, (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)):
            # A norm without affine parameters (InstanceNorm2d by default) has None for both.
            if layer.weight is not None:
                nn.init.ones_(layer.weight)
            _zero_bias(layer)


def initialise_head(module: nn.Module) -> None:
    """Xavier uniform for weights, zero for biases."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(layer.weight)
            _zero_bias(layer)


def _zero_bias(layer: nn.Module) -> None:
    bias = layer.bias
    if isinstance(bias, Tensor) and bias.numel():
        nn.init.zeros_(bias)

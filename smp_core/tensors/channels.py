"""Fitting pretrained weights to another number of input channels than they were trained with."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from smp_core.errors import WeightsError

_TRAINED = 3


def fit_channels(
    state_dict: dict[str, Tensor], module: nn.Module, in_channels: int, fitting: str, *, title: str, encoder: str
) -> dict[str, Tensor]:
    """A state dict whose first convolutions take ``in_channels``; the same one where they do already.

    Args:
        state_dict: with the module's own keys.
        module: the encoder; its ``first_convolution`` names the convolution that sees the input, and its
            ``further_first_convolutions`` others that do.
        in_channels: wanted.
        fitting: see `fit_weight`.
        title: how errors call the weights.
        encoder: name of the encoder, for errors.

    Raises:
        WeightsError: they were trained with another number of channels than 3, or the encoder does not say which
            convolution sees the input.
    """
    first = getattr(module, "first_convolution", "")
    if f"{first}.weight" not in state_dict:
        if in_channels == _TRAINED:
            return state_dict
        raise WeightsError(
            f"encoder {encoder!r} does not say which convolution sees the input (first_convolution={first!r}), so "
            f"3-channel weights cannot be fitted to in_channels={in_channels}; pass encoder_weights=None"
        )
    weight = state_dict[f"{first}.weight"]
    found = weight.shape[1] if weight.dim() > 1 else 0
    if found == in_channels or weight.dim() != 4:
        return state_dict  # what has another shape altogether is refused when it is loaded
    if found == 0:
        raise WeightsError(f"{title} hold a first convolution {first + '.weight'!r} of no input channels")
    if found != _TRAINED:
        raise WeightsError(
            f"{title} were trained on {found} input channels, and the encoder {encoder!r} is to have "
            f"in_channels={in_channels}; only 3-channel weights can be fitted to other channels: pass "
            f"in_channels={found}, or cut or repeat the weight {first + '.weight'!r} yourself as your channels ask for"
        )
    names = (first, *getattr(module, "further_first_convolutions", ()))
    fitted = {
        f"{name}.weight": fit_weight(state_dict[f"{name}.weight"], in_channels, fitting)
        for name in names
        if f"{name}.weight" in state_dict
    }
    return {**state_dict, **fitted}


def fit_weight(weight: Tensor, in_channels: int, fitting: str = "smp") -> Tensor:
    """The weight of a first convolution for another number of input channels.

    One channel gets the sum of the pretrained ones. More repeat them in turn, and are scaled,

    - ``"smp"``: all by trained / in_channels, as segmentation_models_pytorch does. A grey image (all channels equal)
      gives what it gave for 1 channel and for multiples of the trained ones; otherwise nearly.
    - ``"mean_preserving"``: each by the number of channels that repeat it, so that a grey image gives exactly what it
      gave, and so does an image that repeats the trained channels in turn. Fewer channels than the trained ones each
      get their mean, times trained / in_channels.

    Args:
        weight: (out_channels, trained, h, w).
        in_channels: wanted.
        fitting: as above.

    Returns:
        (out_channels, in_channels, h, w).
    """
    trained = weight.shape[1]
    if in_channels == 1:
        return weight.sum(dim=1, keepdim=True)
    if fitting == "mean_preserving" and in_channels < trained:
        return weight.mean(dim=1, keepdim=True).repeat(1, in_channels, 1, 1) * (trained / in_channels)
    source = torch.arange(in_channels) % trained
    if fitting == "mean_preserving":
        times = torch.bincount(source, minlength=trained).to(weight.dtype)
        return weight[:, source] / times[source].view(1, -1, 1, 1)
    return weight[:, source] * (trained / in_channels)


def patch_first_convolution(
    state_dict: Mapping[str, Tensor], convolution: str, in_channels: int, fitting: str = "smp"
) -> dict[str, Tensor]:
    """Fit the weight of one convolution of pretrained weights to another number of input channels; see `fit_weight`.

    Args:
        state_dict: of the encoder; not changed.
        convolution: name of the first convolution; its weight is (out_channels, 3, h, w).
        in_channels: wanted number of input channels.
        fitting: see `fit_weight`.

    Returns:
        A new dict, whose first convolution's weight is (out_channels, in_channels, h, w).
    """
    key = f"{convolution}.weight"
    return {**state_dict, key: fit_weight(state_dict[key], in_channels, fitting)}

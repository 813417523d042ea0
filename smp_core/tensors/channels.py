"""Fitting pretrained weights to another number of input channels than they were trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smp_core.errors import WeightsError
from smp_core.options import ZERO_NEW, check_bands_known

_TRAINED = 3


@dataclass(frozen=True)
class Channels:
    """The input channels that weights are fitted to.

    Attributes:
        count: how many.
        names: of them; empty where they have none.
        trained: names of those that the weights were trained on; empty where they have none.
        fitting: how weights are fitted by number; see `fit_weight`.
    """

    count: int
    names: tuple[str, ...] = ()
    trained: tuple[str, ...] = ()
    fitting: str = "smp"

    @property
    def by_name(self) -> bool:
        """Whether both have names, and others."""
        return bool(self.names and self.trained) and self.names != self.trained

    def fit(self, weight: Tensor, *, by_name: bool) -> Tensor:
        """The weight of a first convolution for these channels."""
        if by_name:
            return fit_bands(weight, self.trained, self.names)
        return fit_weight(weight, self.count, self.fitting)


def fit_channels(
    state_dict: dict[str, Tensor], module: nn.Module, wanted: Channels, *, title: str, encoder: str
) -> dict[str, Tensor]:
    """A state dict whose first convolutions take the channels wanted; the same one where they do already.

    Args:
        state_dict: with the module's own keys.
        module: the encoder; its ``first_convolution`` names the convolution that sees the input, and its
            ``further_first_convolutions`` others that do.
        wanted: the channels.
        title: how errors call the weights.
        encoder: name of the encoder, for errors.

    Raises:
        WeightsError: they were trained with another number of channels than 3, without names, or the encoder does not
            say which convolution sees the input.
        OptionError: a band is wanted that they were not trained on.
    """
    in_channels = wanted.count
    first = getattr(module, "first_convolution", "")
    if f"{first}.weight" not in state_dict:
        if in_channels == (len(wanted.trained) or _TRAINED) and not wanted.by_name:
            return state_dict
        raise WeightsError(
            f"encoder {encoder!r} does not say which convolution sees the input (first_convolution={first!r}), so "
            f"3-channel weights cannot be fitted to in_channels={in_channels}; pass encoder_weights=None"
        )
    weight = state_dict[f"{first}.weight"]
    found = weight.shape[1] if weight.dim() > 1 else 0
    by_name = wanted.by_name and found == len(wanted.trained)
    if (found == in_channels and not by_name) or weight.dim() != 4:
        return state_dict  # what has another shape altogether is refused when it is loaded
    if found == 0:
        raise WeightsError(f"{title} hold a first convolution {first + '.weight'!r} of no input channels")
    if by_name:
        check_bands_known(wanted.trained, wanted.names, wanted.fitting, title)
    elif found != _TRAINED:
        named = found == len(wanted.trained)
        remedy = f"bands=, names out of {', '.join(wanted.trained)}" if named else f"in_channels={found}"
        raise WeightsError(
            f"{title} were trained on {found} input channels, and the encoder {encoder!r} is to have "
            f"in_channels={in_channels}; only 3-channel weights can be fitted to other channels: pass "
            f"{remedy}, or cut or repeat the weight {first + '.weight'!r} yourself as your channels ask for"
        )
    names = (first, *getattr(module, "further_first_convolutions", ()))
    fitted = {
        f"{name}.weight": wanted.fit(state_dict[f"{name}.weight"], by_name=by_name)
        for name in names
        if f"{name}.weight" in state_dict
    }
    return {**state_dict, **fitted}


def fit_bands(weight: Tensor, trained: Sequence[str], bands: Sequence[str]) -> Tensor:
    """The weight of a first convolution for other bands than it was trained on, by their names.

    A band keeps its own weights, and a new one gets zeros, so that an image gives exactly what it gave with zeros in
    the bands that it lacks (normalised images have zeros where a band is at its mean).

    Args:
        weight: (out_channels, len(trained), h, w).
        trained: names of its channels.
        bands: wanted.

    Returns:
        (out_channels, len(bands), h, w).
    """
    nothing = torch.zeros_like(weight[:, :1])
    parts = [weight[:, trained.index(name)].unsqueeze(1) if name in trained else nothing for name in bands]
    return torch.cat(parts, dim=1)


def fit_weight(weight: Tensor, in_channels: int, fitting: str = "smp") -> Tensor:
    """The weight of a first convolution for another number of input channels.

    One channel gets the sum of the pretrained ones. More repeat them in turn, and are scaled,

    - ``"smp"``: all by trained / in_channels, as segmentation_models_pytorch does. A grey image (all channels equal)
      gives what it gave for 1 channel and for multiples of the trained ones; otherwise nearly.
    - ``"mean_preserving"``: each by the number of channels that repeat it, so that a grey image gives exactly what it
      gave, and so does an image that repeats the trained channels in turn. Fewer channels than the trained ones each
      get their mean, times trained / in_channels.
    - ``"zero_new"``: not repeated; the channels beyond the trained ones get zeros. Fewer are the first ones.

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
    if fitting == ZERO_NEW:
        return torch.nn.functional.pad(weight, (0, 0, 0, 0, 0, in_channels - trained))
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

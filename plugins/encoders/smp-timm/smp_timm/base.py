"""What every encoder over a timm model has in common, whatever the shape of its features."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from smp_core.encoder import EncoderBase
from smp_core.errors import OptionError
from smp_timm import keys, models, stages
from smp_timm.sizes import Sizes, sizes_with


class TimmBased(EncoderBase):
    """An encoder over a timm model: how that is built, its keys, its stages and its sizes.

    A subclass names the features that it wants of the model (`build`), and says how it takes images of other sizes
    (`take_sizes`), in this order.

    Args:
        model: name of the timm model.
        out_channels, reductions: of all features.
        in_channels: channels of the input.
        depth: as the user counts it; the base class counts in powers of two, which reductions need not be here.
        any_channels: whether the model takes other than 3 input channels.
        options: arguments of the timm model that a user chose.

    Raises:
        OptionError: other input channels where the model takes 3 alone.
    """

    def __init__(
        self,
        model: str,
        *,
        out_channels: Sequence[int],
        reductions: Sequence[int],
        in_channels: int,
        depth: int,
        any_channels: bool,
        options: Mapping[str, Any],
    ) -> None:
        super().__init__(out_channels=out_channels, reductions=reductions, in_channels=in_channels, depth=1)
        if in_channels != 3 and not any_channels:
            raise OptionError(f"timm's {model!r} takes images of 3 channels alone, got in_channels={in_channels}")
        self.name = model
        self.options = dict(options)
        self.depth = depth

    def build(self, **arguments: Any) -> None:
        """Make ``model``, with arguments of timm's, none of which a user's options may contradict.

        Raises:
            OptionError: it does not take the user's options, or no features could be made with them.
            PluginError: the installed timm does not have it.
        """
        # Some models are free by default, others by an argument that was measured.
        for name, value in {"dynamic_img_size": True, **arguments}.items():
            if self.options.get(name, value) != value:
                raise OptionError(
                    f"encoder_options: {name}={self.options[name]!r} would bind timm's {self.name!r} to one size, and "
                    f"an encoder takes images of any; leave it out, or choose that size with img_size"
                )
        for name, value in self.options.items():
            if "drop" in name and name.endswith("rate") and not _is_rate(value):
                raise OptionError(f"encoder_options: {name} must be a number of at least 0 and below 1, got {value!r}")
        if self.options.get("patch_drop_rate"):
            raise OptionError(
                f"encoder_options: patch_drop_rate={self.options['patch_drop_rate']!r} leaves patches out, of which "
                "features are made; leave it out, or drop blocks with drop_path_rate"
            )
        self.model_arguments = arguments
        self.model = models.build(self.name, options=self.options, in_chans=self.in_channels, **arguments)

    def take_sizes(
        self,
        sizes: Mapping[str, Any],
        first_convolutions: Sequence[str],
        *,
        reductions: Sequence[int],
        channels: Sequence[int],
    ) -> None:
        """Say what sizes of images the model that was built takes, and which of its layers see them.

        Args:
            sizes: arguments of `smp_timm.sizes.Sizes`.
            first_convolutions: names in the whole timm model.
            reductions, channels: of what timm measures the model by.
        """
        self._sizes = sizes_with(
            self.options,
            Sizes(**sizes),
            model=self.name,
            reductions=reductions,
            channels=channels,
            tokens=bool(getattr(self, "tokens", False)),
        )
        self.first_convolution, self.further_first_convolutions = keys.first_convolutions(  # type: ignore[misc]
            self, first_convolutions
        )
        if "img_size" in self.options:
            self._try()

    def _try(self) -> None:
        """Run without memory, as some sizes are refused only then.

        Raises:
            OptionError: it fails.
        """
        tensors = {
            name: item.to("meta") for name, item in itertools.chain(self.named_parameters(), self.named_buffers())
        }
        try:
            with torch.no_grad():
                functional_call(self, tensors, (torch.empty(2, self.in_channels, 224, 224, device="meta"),))
        except Exception as error:  # whatever a model raises that cannot
            if "meta tensor" in str(error):  # it asks for values, of which there are none
                return
            raise models.refused(self.name, self.options, error) from error

    @functools.cached_property
    def whole_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the whole timm model, its classifier included, by its keys. Asked once: it has to be built."""
        return keys.shapes_of(keys.whole(self))

    def to_own_keys(self, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `smp_core.encoder.EncoderBase`; takes timm's own keys, too."""
        return keys.to_own(self, state_dict)

    def other_keys(self) -> set[str]:
        """See `smp_core.encoder.EncoderBase`: those of timm's own models."""
        return keys.other_keys(self)

    def stage_modules(self) -> list[list[str]]:
        """See `smp_core.Encoder`."""
        return stages.stage_modules(self)

    def no_weight_decay(self) -> set[str]:
        """See `smp_core.Encoder`: by timm's own metadata."""
        return stages.no_weight_decay(self)


def _is_rate(value: object) -> bool:
    """Whether it is a share of what is dropped, or nothing."""
    return value is None or (isinstance(value, (int, float)) and 0 <= value < 1)

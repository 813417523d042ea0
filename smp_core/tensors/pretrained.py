"""Pretrained weights of encoders: obtained, converted, fitted, and put into a module."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from smp_core._specs.chosen import Chosen
from smp_core._specs.registered import Registered
from smp_core.errors import WeightsError
from smp_core.plugin import EncoderSpec
from smp_core.tensors.channels import Channels, fit_channels
from smp_core.tensors.fitting import unlike
from smp_core.tensors.places import obtain
from smp_core.tensors.spelling import all_keys, to_own
from smp_core.tensors.translation import translate


def load_weights(
    module: nn.Module,
    encoder: Registered[EncoderSpec],
    chosen: Chosen,
    in_channels: int,
    channel_fitting: str = "smp",
    *,
    bands: Sequence[str] | None = None,
) -> None:
    """Load pretrained weights into a freshly built encoder.

    Args:
        module: the encoder, built for ``in_channels``.
        encoder: its spec, which says where the weights are.
        chosen: what `smp_core.sources.weights.choose_weights` returned.
        in_channels: where it is not 3, the weights of the convolutions that see the input are made to fit.
        bands: names of the input channels; weights that name theirs are fitted by them.
        channel_fitting: how; see `smp_core.tensors.channels`.

    Raises:
        WeightsError: they cannot be fetched, differ from their checksum, are damaged, or do not fit the module.
        OptionError: a repository that a user named holds no obvious weight file.
        PluginError: the plugin's conversion of the weights fails.
    """
    spec = encoder.spec
    source = spec.weights.get(chosen.name) if chosen.name is not None else None
    own = all_keys(module)
    state_dict, path = obtain(chosen, source, f"{chosen} of encoder {spec.name!r}", own)
    expected = module.state_dict()
    state_dict = translate(state_dict, module, own, source, f"weights {chosen.name!r} of {encoder.qualified_name}")
    title = str(chosen) if chosen.place == path else f"{chosen} ({path})"
    for key, tensor in to_own(module, state_dict).items():
        wrong = unlike(key, tensor, expected[key].dtype) if key in expected else None
        if wrong is not None:
            raise WeightsError(f"{title} do not fit encoder {spec.name!r}: {wrong}")
    wanted = Channels(in_channels, tuple(bands or ()), spec.trained_bands(chosen.name), channel_fitting)
    state_dict = fit_channels(state_dict, module, wanted, title=title, encoder=spec.name)
    try:
        module.load_state_dict(state_dict)
    except RuntimeError as error:
        raise WeightsError(f"{title} do not fit encoder {spec.name!r}: {error}") from error

"""Pretrained weights of encoders: obtained, converted, fitted, and put into a module."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from smp_core._specs.registered import Registered
from smp_core.encoder import EncoderBase
from smp_core.errors import FAILURES, PluginError, WeightsError
from smp_core.parts.targets import load_target
from smp_core.plugin import EncoderSpec
from smp_core.sources.weights import Chosen
from smp_core.tensors.channels import fit_channels
from smp_core.tensors.places import obtain
from smp_core.tensors.unwrapping import unwrap


def load_weights(
    module: nn.Module,
    encoder: Registered[EncoderSpec],
    chosen: Chosen,
    in_channels: int,
    channel_fitting: str = "smp",
) -> None:
    """Load pretrained weights into a freshly built encoder.

    Args:
        module: the encoder, built for ``in_channels``.
        encoder: its spec, which says where the weights are.
        chosen: what `smp_core.sources.weights.choose_weights` returned.
        in_channels: where it is not 3, the weights of the convolutions that see the input are made to fit.
        channel_fitting: how; see `smp_core.tensors.channels`.

    Raises:
        WeightsError: they cannot be fetched, differ from their checksum, are damaged, or do not fit the module.
        OptionError: a repository that a user named holds no obvious weight file.
        PluginError: the plugin's conversion of the weights fails.
    """
    spec = encoder.spec
    source = spec.weights.get(chosen.name) if chosen.name is not None else None
    own = own_keys(module)
    state_dict, path = obtain(chosen, source, f"{chosen} of encoder {spec.name!r}", own)
    if source is not None and source.convert is not None:
        state_dict = _convert(state_dict, source.convert, f"weights {chosen.name!r} of {encoder.qualified_name}")
    state_dict = _part_of_encoder(state_dict, own)
    if isinstance(module, EncoderBase):
        state_dict = module.to_own_keys(state_dict)
    title = f"{chosen} ({path})"
    state_dict = fit_channels(state_dict, module, in_channels, channel_fitting, title=title, encoder=spec.name)
    try:
        module.load_state_dict(state_dict)
    except RuntimeError as error:
        raise WeightsError(f"{title} do not fit encoder {spec.name!r}: {error}") from error


def own_keys(module: nn.Module) -> set[str]:
    """The keys of a module's state dict, in our spelling and in that of its published weights."""
    own = module.state_dict()
    return {*own, *(module.to_published_keys(own) if isinstance(module, EncoderBase) else ())}


def _part_of_encoder(state_dict: dict[str, Tensor], own: Iterable[str]) -> dict[str, Tensor]:
    """What is the encoder's of a whole model's state dict, or of one that was wrapped; its own stays as it is."""
    inside, _, prefix = unwrap(state_dict, set(own))
    if prefix or not set(own).isdisjoint(inside):
        return inside
    # Nothing fits: of a whole model over another encoder, it is that encoder which does not.
    part = {key[len("encoder.") :]: value for key, value in inside.items() if key.startswith("encoder.")}
    return part or inside


def _convert(state_dict: dict[str, Tensor], target: str, owner: str) -> dict[str, Tensor]:
    convert = load_target(target, owner)
    try:
        converted: dict[str, Tensor] = convert(state_dict)
    except FAILURES as error:
        raise PluginError(f"{owner}: converting them raised {type(error).__name__}: {error}") from error
    return converted

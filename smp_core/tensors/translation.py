"""A state dict of pretrained weights as it lies in its file, turned into the encoder's own."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from smp_core.encoder import EncoderBase
from smp_core.errors import FAILURES, PluginError
from smp_core.parts.targets import load_target
from smp_core.plugin import WeightsSpec
from smp_core.tensors.unwrapping import unwrap


def translate(
    state_dict: Mapping[str, Tensor], module: nn.Module, own: set[str], source: WeightsSpec | None, owner: str
) -> dict[str, Tensor]:
    """Convert it where the weight set says so, take the encoder's part, and give that our keys.

    Args:
        state_dict: of the encoder, of a whole model over it, or of either in some wrapper; not changed.
        module: the encoder.
        own: its keys, in every spelling.
        source: the weight set, where one was chosen.
        owner: how errors call the weight set.

    Raises:
        PluginError: the plugin's conversion fails.
    """
    result = dict(state_dict)
    if source is not None and source.convert is not None:
        convert = load_target(source.convert, owner)
        try:
            result = convert(result)
        except FAILURES as error:
            raise PluginError(f"{owner}: converting them raised {type(error).__name__}: {error}") from error
    inside, _, prefix = unwrap(result, own)
    if not prefix and own.isdisjoint(inside):
        # Nothing fits: of a whole model over another encoder, it is that encoder which does not.
        part = {key[len("encoder.") :]: value for key, value in inside.items() if key.startswith("encoder.")}
        inside = part or inside
    return module.to_own_keys(inside) if isinstance(module, EncoderBase) else inside

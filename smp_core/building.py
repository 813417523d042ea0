"""From a blueprint to a model. Each line enters one room."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from smp_core.announcement import announce
from smp_core.blueprints.modules import check_given
from smp_core.blueprints.value import Blueprint
from smp_core.model import SegmentationModel, adopt
from smp_core.parts.assembly import assemble, assemble_empty
from smp_core.tensors.pretrained import load_weights


def build(
    blueprint: Blueprint, *, encoder: nn.Module | None = None, on_encoder: Callable[[nn.Module], None] | None = None
) -> SegmentationModel:
    """Build the model that a blueprint describes, with the encoder weights that it names.

    Args:
        blueprint: of `smp_core.blueprint`, `Blueprint.from_config`, or another model.
        encoder: the built encoder, where the blueprint names none.
        on_encoder: told of the encoder that the blueprint names when it is built with random parameters, before any
            other part is and before weights are loaded: what it draws comes before what the other parts draw.

    Returns:
        The model, on the CPU, in training mode.

    Raises:
        OptionError, WeightsError, PluginError: as `smp_core.create`.

    >>> import smp_core
    >>> wanted = smp_core.blueprint("unet", "resnet18", encoder_weights=None)
    >>> build(wanted).blueprint == wanted
    True
    """
    check_given(blueprint.encoder, encoder)
    model = adopt(assemble(blueprint, encoder, on_encoder=on_encoder), blueprint)
    if blueprint.encoder is not None and blueprint.weights is not None:
        module: nn.Module = model.encoder.encoder if blueprint.neck is not None else model.encoder  # type: ignore[assignment]
        load_weights(
            module,
            blueprint.encoder,
            blueprint.weights,
            blueprint.in_channels,
            blueprint.channel_fitting,
            bands=blueprint.bands,
        )
    announce(model)
    return model


def build_to_fill(blueprint: Blueprint, encoder: nn.Module | None = None, *, empty: bool) -> SegmentationModel:
    """Build a model for tensors that are at hand, in evaluation mode; no weights are loaded, no plugin is told.

    Args:
        blueprint: what to build.
        encoder: the built encoder, where the blueprint names none.
        empty: whether without memory for parameters, where that can be done; otherwise with their initialisation.
    """
    return adopt((assemble_empty if empty else assemble)(blueprint, encoder), blueprint, training=False)

"""From the arguments of a user to a blueprint: names are resolved, and what was asked for is drafted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from smp_core.blueprints import drafting, findings
from smp_core.blueprints.compatibility import Compatibility
from smp_core.blueprints.modules import is_module
from smp_core.blueprints.request import Request
from smp_core.blueprints.value import Blueprint
from smp_core.errors import IncompatibleError, OptionError
from smp_core.inputs import Preprocessing
from smp_core.registry import resolve_parts
from smp_core.sources.weights import Weights


def blueprint(
    arch: str,
    encoder: Any = None,
    *,
    encoder_weights: Weights = True,
    in_channels: int | None = None,
    bands: Sequence[str] | None = None,
    classes: int = 1,
    activation: str | Callable[..., object] | None = None,
    aux_params: Mapping[str, Any] | None = None,
    encoder_depth: int | None = None,
    encoder_output_stride: int | None = None,
    encoder_output_indices: Sequence[int] | None = None,
    encoder_options: Mapping[str, Any] | None = None,
    neck: str | None = None,
    channel_fitting: str = "smp",
    preprocessing: Preprocessing | Mapping[str, Any] | None = None,
    **options: Any,
) -> Blueprint:
    """Say which model is wanted: names resolved, defaults filled in, the parts compared; nothing is built.

    Imports torch only for an architecture whose spec does not declare its options.

    Args:
        arch, encoder, encoder_weights, in_channels, bands, classes, activation, aux_params, encoder_depth,
            encoder_output_stride, encoder_output_indices, encoder_options, neck, channel_fitting, preprocessing,
            **options: as `smp_core.create`. Where the encoder is a module, the blueprint does not hold it:
            `smp_core.build` is given it again.

    Returns:
        The blueprint; `smp_core.build` makes the model.

    Raises:
        RegistryError: a name means nothing, or too much.
        IncompatibleError, OptionError, BlueprintError: lists everything that is wrong.
        EncoderProtocolError: the module is not an encoder.

    >>> blueprint("unet", "resnet18", encoder_weights=None, classes=4).options["decoder_channels"]
    (256, 128, 64, 32, 16)
    """
    if encoder is None:
        raise OptionError(_no_encoder(options))
    written = {"arch": arch, "encoder": encoder, "neck": neck}
    module = encoder if is_module(encoder) else None
    found = resolve_parts(arch, None if module is not None else encoder, neck)
    parts = drafting.Parts(
        **found._asdict(),
        written={key: value for key, value in written.items() if isinstance(value, str)},
        module=module,
    )
    request = Request(
        encoder_weights=encoder_weights,
        in_channels=in_channels,
        bands=bands,
        classes=classes,
        activation=activation,
        aux_params=aux_params,
        encoder_depth=encoder_depth,
        encoder_output_stride=encoder_output_stride,
        encoder_output_indices=encoder_output_indices,
        encoder_options=encoder_options,
        channel_fitting=channel_fitting,
        preprocessing=preprocessing,
        options=options,
    )
    return Blueprint(**drafting.draft(parts, request))


def _no_encoder(options: Mapping[str, Any]) -> str:
    name = options.get("encoder_name")
    if isinstance(name, str):
        return f"no argument is called 'encoder_name': write encoder={name!r}"
    return "no encoder given: pass its name, as in encoder='resnet34', or a built module"


def compatible(
    arch: str,
    encoder: str,
    *,
    encoder_depth: int | None = None,
    encoder_output_stride: int | None = None,
    neck: str | None = None,
) -> Compatibility:
    """Whether an architecture takes an encoder: ``bool(answer)``, and ``answer.reasons`` where it does not.

    Where it takes the encoder only with a neck between, and none is named, the one that `create` would choose counts.

    Raises:
        RegistryError: one of the names means nothing, or too much.
        OptionError: a depth or stride that is no int.
    """
    if encoder is None:
        raise OptionError(_no_encoder({}))
    parts = drafting.Parts(**resolve_parts(arch, encoder, neck)._asdict(), written={})
    request = Request(encoder_weights=None, encoder_depth=encoder_depth, encoder_output_stride=encoder_output_stride)
    found = drafting.compare(parts, request).found
    findings.refuse([error for error in found if not isinstance(error, IncompatibleError)])
    return Compatibility(not found, tuple(map(str, found)))

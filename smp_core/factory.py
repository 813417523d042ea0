"""From a name to a model: the one straight way, drawn in docs/design.md. Each line enters one room."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from smp_core import registry
from smp_core.blueprints import architecture_options as options_room
from smp_core.blueprints import channels, compatibility, findings
from smp_core.blueprints import encoder_options as encoder_options_room
from smp_core.blueprints.asking import blueprint
from smp_core.blueprints.former import warn_of_name
from smp_core.blueprints.request import Request
from smp_core.building import build
from smp_core.errors import IncompatibleError
from smp_core.inputs import Preprocessing
from smp_core.model import SegmentationModel
from smp_core.parts.assembly import build_encoder
from smp_core.sources.weights import Weights, choose_weights
from smp_core.tensors.pretrained import load_weights


def create(
    arch: str,
    encoder: str | nn.Module | None = None,
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
) -> SegmentationModel:
    """Build a segmentation model: `build` of the `blueprint` with these arguments.

    Args:
        arch: name of an architecture (`smp_core.list_architectures`), in upper or lower case, or its qualified name.
        encoder: name of an encoder (`smp_core.list_encoders`), its qualified name, or a built module that satisfies
            the `smp_core.Encoder` protocol.
        encoder_weights: True (the default weights), the name of a weight set, a local file or folder,
            ``"hf-hub:owner/name[@revision]"``, a pair (name of a weight set, file, folder or repository that holds it),
            or None (random); a module comes with its own: leave True, or pass None.
        in_channels: channels of the input; by default as many as the weights, or else the encoder, are made for, nearly
            always 3. A module's own where it has an attribute of that name.
        bands: names of the channels, in the order of the input, as ``("B04", "B03", "B02")``: weights that name the
            bands they were trained on are fitted by name, and so is the preprocessing. A name that they do not know
            is an error, unless ``channel_fitting="zero_new"``.
        classes: channels of the mask.
        activation: of the mask; see `smp_core.layers.build_activation`.
        aux_params: a classification head beside the mask: ``classes``, ``pooling``, ``dropout``, ``activation``.
        encoder_depth: features down to a reduction of 2**depth; by default the architecture's.
        encoder_output_stride: for architectures that dilate the encoder; by default the architecture's.
        encoder_output_indices: for token encoders: the transformer blocks whose outputs are the features, one index
            each; by default the encoder's choice.
        encoder_options: further arguments of the encoder, by name, where it has some (`smp_core.describe`:
            ``user_options``).
        neck: name of a neck (`smp_core.list_necks`) that turns the encoder's features into another pyramid; None for
            none, or, where the architecture does not take the encoder without one, the first that fits.
        channel_fitting: how pretrained weights are fitted to other input channels than theirs: ``"smp"``, or
            ``"mean_preserving"``, so that a grey image gives exactly what it gave, or ``"zero_new"``; see
            `smp_core.tensors.channels.fit_weight`.
        preprocessing: how pixel values become the input: a `smp_core.inputs.Preprocessing`, or a dict of its values; by
            default that of the weights, where they are a weight set's and fit ``in_channels``.
        **options: the architecture's own (`architecture_options`); an unknown one is an error.

    Returns:
        The model, on the CPU, in training mode: (N, in_channels, H, W) -> (N, classes, H, W), any H and W.

    Raises:
        RegistryError: a name means nothing, or too much.
        IncompatibleError: the encoder lacks what the architecture needs; nothing was built.
        OptionError: an unknown option, or a value that it cannot take.
        BlueprintError: both; it lists everything.
        EncoderProtocolError: the module is not an encoder.
        WeightsError: the weights cannot be fetched, or do not fit.
        PluginError: a plugin's implementation does not import, or does not build what its spec declares.

    >>> import torch
    >>> create("unet", "resnet18", encoder_weights=None, classes=4)(torch.zeros(2, 3, 64, 96)).shape
    torch.Size([2, 4, 64, 96])
    """
    wanted = blueprint(
        arch,
        encoder,
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
        neck=neck,
        channel_fitting=channel_fitting,
        preprocessing=preprocessing,
        **options,
    )
    return build(wanted, encoder=encoder if isinstance(encoder, nn.Module) else None)


def create_encoder(
    name: str,
    *,
    in_channels: int | None = None,
    bands: Sequence[str] | None = None,
    depth: int | None = None,
    weights: Weights = True,
    output_stride: int | None = None,
    output_indices: Sequence[int] | None = None,
    options: Mapping[str, Any] | None = None,
    channel_fitting: str = "smp",
) -> nn.Module:
    """Build an encoder alone.

    Args:
        name: name or qualified name.
        in_channels, bands: as for `create`.
        depth: features down to a reduction of 2**depth; by default the encoder's largest.
        weights, channel_fitting: as ``encoder_weights`` and ``channel_fitting`` of `create`.
        output_stride: 8 or 16 dilates the stages beyond, where the encoder can; None and 32 do not.
        output_indices: of a token encoder: the transformer blocks whose outputs are the features, one index each.
        options: as ``encoder_options`` of `create`.

    Returns:
        A module that satisfies the `smp_core.Encoder` protocol.

    Raises:
        IncompatibleError: a depth or output stride that the encoder does not have.
        RegistryError, OptionError, WeightsError, PluginError: as `create`.

    >>> import torch
    >>> [tuple(f.shape) for f in create_encoder("resnet18", depth=2, weights=None)(torch.zeros(1, 3, 64, 64))]
    [(1, 3, 64, 64), (1, 64, 32, 32), (1, 64, 16, 16)]
    """
    wanted = Request(in_channels=in_channels, bands=bands, channel_fitting=channel_fitting)
    wanted, wrong = wanted.checked()
    findings.refuse(wrong)
    encoder = registry.resolve_encoder(name)
    warn_of_name("name", name, encoder)
    choice, reasons = compatibility.settle_alone(encoder.spec, depth, output_stride, output_indices)
    chosen_options, problems = encoder_options_room.check(encoder.spec, options)
    findings.refuse([*map(IncompatibleError, reasons), *problems])
    chosen = choose_weights(encoder.spec, weights)
    wanted, problems = channels.settle(encoder.spec, chosen, wanted)
    findings.refuse(problems)
    count = wanted.in_channels or encoder.spec.in_channels
    module = build_encoder(
        encoder,
        in_channels=count,
        depth=choice.depth,
        output_stride=choice.output_stride,
        output_indices=choice.output_indices,
        options=chosen_options,
    )
    if chosen is not None:
        load_weights(module, encoder, chosen, count, channel_fitting, bands=wanted.bands)
    return module


def architecture_options(arch: str) -> dict[str, Any]:
    """Names and defaults of an architecture's own options."""
    return dict(options_room.known_options(registry.resolve_architecture(arch)))

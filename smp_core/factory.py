"""The only place that turns names into parts and parts into a model."""

from __future__ import annotations

import copy
import inspect
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from smp_core import __version__
from smp_core._discovery import FAILURES
from smp_core._targets import load_target
from smp_core.compatibility import (
    Choice,
    as_indices,
    choose,
    describe_dilation,
    dilates,
    features_at_depth,
    index_violations,
    spec_of_module,
    violations,
)
from smp_core.encoder import check_encoder
from smp_core.errors import EncoderProtocolError, IncompatibleError, OptionError, PluginError
from smp_core.inputs import Preprocessing
from smp_core.model import SegmentationModel
from smp_core.plugin import ArchitectureSpec, EncoderSpec
from smp_core.registry import Registered, loaded_plugins, resolve_architecture, resolve_encoder
from smp_core.sources import Weights, choose_weights
from smp_core.weights import load_weights

# What create passes to every architecture by itself; the rest of the target's keywords are the architecture's options.
_COMMON = ("classes", "activation", "aux_params")
_OF_ENCODER = ("encoder_depth", "encoder_output_stride", "encoder_output_indices")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks `create` for, encoder weights excepted."""

    in_channels: int = 3
    classes: int = 1
    activation: str | Callable[..., object] | None = None
    aux_params: Mapping[str, Any] | None = None
    encoder_depth: int | None = None
    encoder_output_stride: int | None = None
    encoder_output_indices: Sequence[int] | None = None
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        _check_count("in_channels", self.in_channels)
        _check_count("classes", self.classes)


def _check_count(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise OptionError(f"{name} must be an int of at least 1, got {value!r}")


def create(
    arch: str,
    encoder: str | nn.Module,
    *,
    encoder_weights: Weights = True,
    in_channels: int = 3,
    classes: int = 1,
    activation: str | Callable[..., object] | None = None,
    aux_params: Mapping[str, Any] | None = None,
    encoder_depth: int | None = None,
    encoder_output_stride: int | None = None,
    encoder_output_indices: Sequence[int] | None = None,
    **options: Any,
) -> SegmentationModel:
    """Build a segmentation model.

    Args:
        arch: name of an architecture (`smp_core.list_architectures`), or its qualified name.
        encoder: name of an encoder (`smp_core.list_encoders`), its qualified name, or a built module that satisfies
            the `smp_core.Encoder` protocol.
        encoder_weights: True (the default weights), the name of a weight set, a local file or folder,
            ``"hf-hub:owner/name[@revision]"``, or None (random); a module comes with its own: leave True, or pass None.
        in_channels: channels of the input; a module's own where it has an attribute of that name.
        classes: channels of the mask.
        activation: of the mask; see `smp_core.layers.build_activation`.
        aux_params: a classification head beside the mask: ``classes``, ``pooling``, ``dropout``, ``activation``.
        encoder_depth: features down to a reduction of 2**depth; by default the architecture's.
        encoder_output_stride: for architectures that dilate the encoder; by default the architecture's.
        encoder_output_indices: for architectures over token encoders: the transformer blocks whose outputs are the
            features, one index each; by default the encoder's choice.
        **options: the architecture's own (`architecture_options`); an unknown one is an error.

    Returns:
        The model, on the CPU, in training mode: (N, in_channels, H, W) -> (N, classes, H, W), any H and W.

    Raises:
        RegistryError: a name means nothing, or too much.
        IncompatibleError: the encoder lacks what the architecture needs; nothing was built.
        OptionError: an unknown option, or a value that it cannot take.
        EncoderProtocolError: the module is not an encoder.
        WeightsError: the weights cannot be fetched, or do not fit.
        PluginError: a plugin's implementation does not import, or does not build what its spec declares.

    >>> create("unet", "resnet18", encoder_weights=None, classes=4)(torch.zeros(2, 3, 64, 96)).shape
    torch.Size([2, 4, 64, 96])
    """
    request = Request(
        in_channels=in_channels,
        classes=classes,
        activation=activation,
        aux_params=aux_params,
        encoder_depth=encoder_depth,
        encoder_output_stride=encoder_output_stride,
        encoder_output_indices=encoder_output_indices,
        options=options,
    )
    architecture = resolve_architecture(arch)
    if isinstance(encoder, nn.Module):
        model = build_over(architecture, encoder, encoder_weights, request)
    else:
        model = build_named(architecture, resolve_encoder(encoder), encoder_weights, request)
    announce(model)
    return model


def create_encoder(
    name: str,
    *,
    in_channels: int = 3,
    depth: int | None = None,
    weights: Weights = True,
    output_stride: int | None = None,
    output_indices: Sequence[int] | None = None,
) -> nn.Module:
    """Build an encoder alone.

    Args:
        name: name or qualified name.
        in_channels: channels of the input.
        depth: features down to a reduction of 2**depth; by default the encoder's largest.
        weights: as ``encoder_weights`` of `create`.
        output_stride: 8 or 16 dilates the stages beyond, where the encoder can; None and 32 do not.
        output_indices: of a token encoder: the transformer blocks whose outputs are the features, one index each.

    Returns:
        A module that satisfies the `smp_core.Encoder` protocol.

    Raises:
        IncompatibleError: a depth or output stride that the encoder does not have.
        RegistryError, OptionError, WeightsError, PluginError: as `create`.

    >>> [tuple(f.shape) for f in create_encoder("resnet18", depth=2, weights=None)(torch.zeros(1, 3, 64, 64))]
    [(1, 3, 64, 64), (1, 64, 32, 32), (1, 64, 16, 16)]
    """
    _check_count("in_channels", in_channels)
    encoder = resolve_encoder(name)
    spec = encoder.spec
    indices = as_indices(output_indices)
    if depth is None:
        depth = spec.max_depth if indices is None else len(indices)
    choice = Choice(depth=depth, output_stride=output_stride, output_indices=indices)
    found = []
    if not spec.min_depth <= choice.depth <= spec.max_depth:
        found.append(f"encoder {spec.name!r} takes depth {spec.min_depth}..{spec.max_depth}, not {choice.depth}")
    elif output_stride not in (None, 32, *spec.dilation):
        found.append(f"{describe_dilation(spec)}, asked for output stride {output_stride}")
    if indices is not None and not spec.tokens:
        found.append(f"encoder {spec.name!r} yields no prefix tokens and takes no output_indices, got {list(indices)}")
    found.extend(index_violations(choice))
    if found:
        raise IncompatibleError("; ".join(found))
    return _build_encoder(encoder, weights, in_channels, choice)


def architecture_options(arch: str) -> dict[str, Any]:
    """Names and defaults of an architecture's own options; imports its implementation, and so torch."""
    return _options_of(*_target_of(resolve_architecture(arch)))


def build_named(
    architecture: Registered[ArchitectureSpec],
    encoder: Registered[EncoderSpec],
    encoder_weights: Weights,
    request: Request,
) -> SegmentationModel:
    """Build a model over a registered encoder; everything that can be refused is refused before anything is built."""
    choice = choose(
        architecture.spec,
        encoder.spec,
        request.encoder_depth,
        request.encoder_output_stride,
        request.encoder_output_indices,
    )
    _refuse(architecture, encoder.spec, choice)
    target, title = _target_of(architecture)
    _check_options(target, title, architecture, request.options)
    chosen = choose_weights(encoder.spec, encoder_weights)
    module = _build_encoder(encoder, encoder_weights, request.in_channels, choice)
    model = _build_model(target, title, module, request)
    source = encoder.spec.weights[chosen] if isinstance(chosen, str) else None
    # Weights fitted to another number of channels say nothing of how those channels are normalised.
    fits = source is not None and len(source.mean) == request.in_channels
    model.preprocessing = Preprocessing.of_weights(source) if source is not None and fits else None
    model._config = _config(architecture, encoder, choice, request, target, chosen if source else None)
    return model


def build_over(
    architecture: Registered[ArchitectureSpec], module: nn.Module, encoder_weights: Weights, request: Request
) -> SegmentationModel:
    """Build a model over a module that is an encoder already; refuses what `build_named` refuses."""
    check_encoder(module)
    if encoder_weights not in (True, None, False):
        raise OptionError(
            f"encoder_weights={encoder_weights!r} goes with an encoder's name; a module comes with its own: pass None"
        )
    own = getattr(module, "in_channels", request.in_channels)
    if request.in_channels not in (3, own):
        raise OptionError(f"in_channels={request.in_channels}, but the encoder given has in_channels={own}")
    if any(getattr(request, name) is not None for name in _OF_ENCODER):
        raise OptionError(f"{', '.join(_OF_ENCODER)} go with an encoder's name; a module is built already")
    spec = spec_of_module(module, architecture.spec)
    stride = max(spec.reductions) if max(spec.reductions) in architecture.spec.dilation else None
    choice = choose(architecture.spec, spec, None, stride)
    _refuse(architecture, spec, choice)
    target, title = _target_of(architecture)
    _check_options(target, title, architecture, request.options)
    model = _build_model(target, title, module, request)
    model._config = _config(architecture, None, choice, request, target, None) | {"in_channels": own}
    return model


def _refuse(architecture: Registered[ArchitectureSpec], encoder: EncoderSpec, choice: Choice) -> None:
    found = violations(architecture.spec, encoder, choice)
    if found:
        raise IncompatibleError("; ".join(found))


def import_target(item: Registered[Any]) -> Callable[..., Any]:
    """Import what builds an encoder or architecture."""
    target: Callable[..., Any] = load_target(item.spec.target, _title(item))
    return target


def _title(item: Registered[Any]) -> str:
    kind = "architecture" if isinstance(item.spec, ArchitectureSpec) else "encoder"
    return f"{kind} {item.qualified_name!r}"


def _target_of(architecture: Registered[ArchitectureSpec]) -> tuple[Callable[..., Any], str]:
    return import_target(architecture), _title(architecture)


def _options_of(target: Callable[..., Any], title: str) -> dict[str, Any]:
    parameters = list(inspect.signature(target).parameters.values())[1:]
    sinks = [item.name for item in parameters if item.kind is inspect.Parameter.VAR_KEYWORD]
    if sinks:
        raise PluginError(
            f"{title}: its target takes **{sinks[0]}, so that wrong options would pass; name them instead"
        )
    return {item.name: item.default for item in parameters if item.name not in _COMMON}


def _check_options(
    target: Callable[..., Any], title: str, architecture: Registered[ArchitectureSpec], options: Mapping[str, Any]
) -> None:
    known = _options_of(target, title)
    unknown = [name for name in options if name not in known]
    if unknown:
        common = ["encoder_weights", "in_channels", *_COMMON, "encoder_depth"]
        if architecture.spec.dilation:
            common.append("encoder_output_stride")
        if architecture.spec.tokens:
            common.append("encoder_output_indices")
        raise OptionError(
            f"{title} has no option {', '.join(map(repr, unknown))}; its options are {', '.join(known) or 'none'}, "
            f"and every architecture takes {', '.join(common)}"
        )


def _check_call(
    target: Callable[..., Any], title: str, arguments: Mapping[str, Any], encoder: nn.Module | None = None
) -> None:
    """Tell a plugin whose target has the wrong parameters from an error inside of it."""
    try:
        signature = inspect.signature(target)
    except ValueError:  # not written in Python
        return
    try:
        signature.bind(*([] if encoder is None else [encoder]), **arguments)
    except TypeError as error:
        given = f"{'an encoder and ' if encoder is not None else ''}the keywords {', '.join(arguments)}"
        raise PluginError(f"{title}: its target cannot be called with {given}: {error}") from error


def _build_encoder(encoder: Registered[EncoderSpec], weights: Weights, in_channels: int, choice: Choice) -> nn.Module:
    spec = encoder.spec
    chosen = choose_weights(spec, weights)
    title, target = _title(encoder), import_target(encoder)
    stride = choice.output_stride if dilates(spec, choice) else 32  # not asked of one too shallow to be dilated
    asked: dict[str, Any] = {"in_channels": in_channels, "depth": choice.depth, "output_stride": stride}
    arguments = copy.deepcopy(dict(spec.options)) | asked
    if choice.output_indices is not None:
        arguments["output_indices"] = choice.output_indices
    _check_call(target, title, arguments)
    module: nn.Module = target(**arguments)
    try:
        check_encoder(module)
    except EncoderProtocolError as error:
        raise PluginError(f"{title}: {error}") from error
    _check_against_spec(module, spec, title, in_channels, choice)
    if chosen is not None:
        load_weights(module, encoder, chosen, in_channels)
    return module


def _check_against_spec(module: nn.Module, spec: EncoderSpec, title: str, in_channels: int, choice: Choice) -> None:
    channels, reductions = features_at_depth(spec, choice.depth)
    if not spec.tokens:
        reductions = tuple(min(item, choice.output_stride or item) for item in reductions)
    if reductions[0] == 1 and not getattr(module, "full_resolution", False):
        channels = (in_channels, *channels[1:])
    built = (tuple(module.out_channels), tuple(module.reductions))  # type: ignore[arg-type]
    if built != (channels, reductions):
        raise PluginError(
            f"{title}: at depth {choice.depth} its spec declares out_channels {channels} and reductions {reductions}, "
            f"but the built module has {built[0]} and {built[1]}"
        )


def _build_model(target: Callable[..., Any], title: str, encoder: nn.Module, request: Request) -> SegmentationModel:
    arguments = {name: getattr(request, name) for name in _COMMON} | dict(request.options)
    _check_call(target, title, arguments, encoder)
    model = target(encoder, **arguments)
    if not isinstance(model, SegmentationModel):
        raise PluginError(f"{title}: its target built a {type(model).__name__}; expected an smp_core.SegmentationModel")
    return model


def _config(
    architecture: Registered[ArchitectureSpec],
    encoder: Registered[EncoderSpec] | None,
    choice: Choice,
    request: Request,
    target: Callable[..., Any],
    weights: object,
) -> dict[str, Any]:
    """SMP's keys, plus who provided what."""
    config: dict[str, Any] = {
        "_model_class": architecture.spec.class_name,
        "encoder_name": encoder.spec.name if encoder is not None else None,
        "encoder_depth": choice.depth,
        "encoder_weights": weights,
        "in_channels": request.in_channels,
        "classes": request.classes,
        "activation": request.activation,
        "aux_params": dict(request.aux_params) if request.aux_params is not None else None,
    }
    if architecture.spec.dilation and choice.output_stride is not None:
        config["encoder_output_stride"] = choice.output_stride
    if architecture.spec.tokens:
        config["encoder_output_indices"] = list(choice.output_indices) if choice.output_indices is not None else None
    config |= _options_of(target, architecture.qualified_name) | dict(request.options)
    config["_smp_core"] = {
        "smp_core": __version__,
        "torch": str(torch.__version__),
        "architecture": _provenance(architecture),
        "encoder": _provenance(encoder) if encoder is not None else None,
    }
    return copy.deepcopy(config)


def _provenance(item: Registered[Any]) -> dict[str, str]:
    return {"distribution": item.distribution, "version": item.version, "name": item.qualified_name}


def announce(model: SegmentationModel) -> None:
    """Call every plugin's ``smp_model_created``; one that raises becomes a warning, and the others are still called."""
    for plugin in loaded_plugins():
        if plugin.manager is None or not plugin.manager.hook.smp_model_created.get_hookimpls():
            continue
        try:
            plugin.manager.hook.smp_model_created(model=model, config=model.config)
        except FAILURES as error:
            record = plugin.record
            warnings.warn(
                f"plugin {record.distribution!r} {record.version}: hook 'smp_model_created' raised "
                f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}",
                RuntimeWarning,
                stacklevel=3,
            )

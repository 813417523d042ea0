"""Reading a saved model: ours or SMP's, from a folder or from the Hub.

Names resolve through the registry alone; nothing named in a file is imported, and nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from smp_core.encoder import EncoderBase
from smp_core.errors import CheckpointError, IncompatibleError, NameConflictError, OptionError, RegistryError
from smp_core.factory import Request, announce, build_named, build_over, import_target
from smp_core.hub import NotFetchedError, fetch
from smp_core.inputs import Preprocessing
from smp_core.model import SegmentationModel
from smp_core.plugin import ArchitectureSpec
from smp_core.registry import Registered, find_class, resolve_architecture, resolve_encoder
from smp_core.renaming import change_keys_under
from smp_core.saving import CONFIG_FILE, WEIGHTS_FILE

_ENCODER_KEYS = ("encoder_depth", "encoder_output_stride", "encoder_output_indices")
_REQUEST_KEYS = ("in_channels", "classes", "activation", "aux_params", *_ENCODER_KEYS)
_OTHER_KEYS = ("_model_class", "_smp_core", "encoder_name", "encoder_weights")


def from_pretrained(
    source: str | Path,
    *,
    revision: str | None = None,
    encoder: nn.Module | None = None,
    token: str | None = None,
) -> SegmentationModel:
    """Load a model that `SegmentationModel.save_pretrained`, or SMP's, wrote.

    No encoder weights are downloaded, and no parameter is initialised only to be overwritten.

    Args:
        source: a folder, or a Hub repository ``"owner/name"``.
        revision: commit, tag or branch of the repository.
        encoder: for a model that was created over a module: that module; its parameters are overwritten.
        token: access token for a private repository.

    Returns:
        The model, on the CPU, in evaluation mode; parameters have the dtype that the model is built with (float32).

    Raises:
        CheckpointError: a file is missing or damaged, or does not fit the model that it describes.
        MissingPluginError: a plugin that the model needs is not installed; says what to install.
        RegistryError: a name in the file means nothing, or too much.
    """
    folder = _fetch(source, revision, token)
    config = _read_config(folder / CONFIG_FILE)
    tensors = _read_tensors(folder / WEIGHTS_FILE)
    try:
        model = _load(config, encoder, tensors, folder)
    except (OptionError, IncompatibleError) as error:
        raise CheckpointError(f"{CONFIG_FILE} in {str(folder)!r} asks for what cannot be built: {error}") from error
    model.preprocessing = _preprocessing(config, folder)
    announce(model)
    return model.eval()


def _fetch(source: str | Path, revision: str | None, token: str | None) -> Path:
    if source and isinstance(source, (str, Path)) and Path(source).is_dir():
        return Path(source)
    if not isinstance(source, str) or source.count("/") != 1 or Path(source).exists():
        raise CheckpointError(f"{str(source)!r} is neither a folder nor a Hub repository of the form 'owner/name'")
    try:
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            path = fetch(source, name, revision, token=token)
    except NotFetchedError as error:
        raise CheckpointError(
            f"{source!r} is not a local folder, and could not be fetched from the Hub "
            f"(revision {revision or 'main'}): {error}"
        ) from error
    return path.parent


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"no {CONFIG_FILE} in {str(path.parent)!r}: not a saved model") from None
    except ValueError as error:
        raise CheckpointError(f"{str(path)!r} is not valid JSON: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("_model_class"), str):
        raise CheckpointError(f"{str(path)!r} has no '_model_class': not written by save_pretrained")
    details = config.get("_smp_core") or {}
    parts = ("architecture", "encoder", "preprocessing")
    if not isinstance(details, dict) or not all(isinstance(details.get(part) or {}, dict) for part in parts):
        raise CheckpointError(f"{str(path)!r} is damaged: '_smp_core' and what it holds must be objects")
    return config


def _preprocessing(config: Mapping[str, Any], folder: Path) -> Preprocessing | None:
    values = (config.get("_smp_core") or {}).get("preprocessing")
    if not values:
        return None
    try:
        return Preprocessing.from_dict(values)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{CONFIG_FILE} in {str(folder)!r} is damaged: its preprocessing has a wrong or missing value "
            f"({type(error).__name__}: {error})"
        ) from error


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"no {WEIGHTS_FILE} in {str(path.parent)!r}: not a saved model") from None
    except Exception as error:  # safetensors' own exception is not importable by a stable name
        raise CheckpointError(f"{str(path)!r} is damaged: {type(error).__name__}: {error}") from error


def _load(
    config: Mapping[str, Any], encoder: nn.Module | None, tensors: Mapping[str, Tensor], folder: Path
) -> SegmentationModel:
    try:
        model = _build(config, encoder, "meta")
        _assign(model, tensors, folder)
        if not _has_meta_tensors(model):
            return model
    except RuntimeError:
        pass  # a constructor that looks into its tensors (``linspace(...).tolist()``), which have no values here
    # Or a module has tensors that no state dict holds: only its own initialisation can make them.
    model = _build(config, encoder, "cpu")
    _assign(model, tensors, folder)
    return model


def _has_meta_tensors(model: nn.Module) -> bool:
    for module in model.modules():
        # Parameters and buffers are in dicts among the attributes; a plain attribute may hold tensors, too.
        for value in vars(module).values():
            held = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]
            if any(isinstance(item, Tensor) and item.is_meta for item in held):
                return True
    return False


def _build(config: Mapping[str, Any], encoder: nn.Module | None, device: str) -> SegmentationModel:
    """Build the described model; on the meta device nothing is initialised."""
    details = config.get("_smp_core") or {}
    architecture = _architecture(config, details)
    options = {key: value for key, value in config.items() if key not in (*_REQUEST_KEYS, *_OTHER_KEYS)}
    asked = {key: config[key] for key in _REQUEST_KEYS if key in config}
    name = config.get("encoder_name")
    if encoder is not None or name is None:
        if encoder is None:
            raise CheckpointError("this model was created over a module, not a named encoder: pass it as encoder=")
        for key in _ENCODER_KEYS:
            asked.pop(key, None)
        import_target(architecture)
        with torch.device(device):
            return build_over(architecture, encoder, None, Request(**asked, options=options))
    with _naming(details.get("encoder")):
        qualified = (details.get("encoder") or {}).get("name")
        registered = resolve_encoder(qualified or name)
    # Not under the device: a module may make tensors of its own when it is imported.
    import_target(architecture)
    import_target(registered)
    with torch.device(device):
        model = build_named(architecture, registered, None, Request(**asked, options=options))
    model._config["encoder_weights"] = config.get("encoder_weights")
    return model


def _architecture(config: Mapping[str, Any], details: Mapping[str, Any]) -> Registered[ArchitectureSpec]:
    recorded = details.get("architecture") or {}
    with _naming(recorded):
        if recorded.get("name"):
            return resolve_architecture(recorded["name"])
        class_name = config["_model_class"]
        found = find_class(class_name)
        if len(found) > 1:
            names = ", ".join(item.qualified_name for item in found)
            raise NameConflictError(f"model class {class_name!r} is provided by several plugins: {names}")
        return found[0] if found else resolve_architecture(class_name.lower())


@contextlib.contextmanager
def _naming(recorded: Mapping[str, Any] | None) -> Iterator[None]:
    """Begin the registry's error, which says what to install, with what the file says about the plugin."""
    try:
        yield
    except RegistryError as error:
        if not recorded:
            raise
        name, who, version = (recorded.get(key) for key in ("name", "distribution", "version"))
        raise type(error)(f"this model was saved with {name!r} of {who!r} {version}: {error}") from error


def _assign(model: SegmentationModel, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Give the model the tensors of the file themselves, cast where its dtype differs, without a copy where not."""
    expected = model.state_dict()
    if isinstance(model.encoder, EncoderBase):
        tensors = change_keys_under("encoder.", tensors, model.encoder.to_own_keys)
    cast = {name: tensor.to(expected[name].dtype) if name in expected else tensor for name, tensor in tensors.items()}
    try:
        model.load_state_dict(cast, assign=True)
    except RuntimeError as error:
        raise CheckpointError(f"{WEIGHTS_FILE} in {str(folder)!r} does not fit its {CONFIG_FILE}: {error}") from error

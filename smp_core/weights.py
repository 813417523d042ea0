"""Pretrained weights of encoders: where they are, whether they are what they claim, and how they get into a module."""

from __future__ import annotations

import hashlib
import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from smp_core._discovery import FAILURES
from smp_core._targets import load_target
from smp_core.encoder import EncoderBase, patch_first_convolution
from smp_core.errors import OptionError, PluginError, WeightsError
from smp_core.plugin import EncoderSpec, WeightsSpec
from smp_core.registry import Registered

Weights = bool | str | Path | None
"""True (the default weights), a name, a local file, or None (and False) for random initialisation."""


def choose_weights(spec: EncoderSpec, weights: Weights) -> str | Path | None:
    """What ``encoder_weights`` means for an encoder: the name of a weight set, a file, or None.

    Raises:
        OptionError: neither a name of this encoder's weights nor an existing file; lists the names.
    """
    if weights is None or weights is False:
        return None
    if weights is True:
        if spec.default_weights is None:
            raise OptionError(
                f"encoder {spec.name!r} has no pretrained weights; pass encoder_weights=None, or a local file"
            )
        return spec.default_weights
    if isinstance(weights, str) and weights in spec.weights:
        return weights
    if isinstance(weights, (str, Path)) and Path(weights).is_file():
        return Path(weights)
    names = ", ".join(spec.weights) or "none"
    raise OptionError(
        f"encoder_weights={weights!r} is neither a weight set of encoder {spec.name!r} ({names}) nor a local file; "
        "expected True, None, one of these names, or the path of a .safetensors or torch file"
    )


def load_weights(module: nn.Module, encoder: Registered[EncoderSpec], chosen: str | Path, in_channels: int) -> None:
    """Load pretrained weights into a freshly built encoder.

    Args:
        module: the encoder, built for ``in_channels``.
        encoder: its spec, which says where the weights are.
        chosen: what `choose_weights` returned.
        in_channels: where it is not 3, the first convolution's weight is summed or repeated to fit.

    Raises:
        WeightsError: they cannot be fetched, differ from their checksum, or do not fit the module.
    """
    spec = encoder.spec
    source: WeightsSpec | None = None
    if isinstance(chosen, Path):
        path, title = chosen, f"file {str(chosen)!r}"
    else:
        source = spec.weights[chosen]
        title = f"weights {chosen!r}"
        path = locate(source, title=f"{title} of encoder {spec.name!r}")
    state_dict = read_state_dict(path)
    if source is not None and source.convert is not None:
        state_dict = _convert(state_dict, source.convert, f"weights {chosen!r} of {encoder.qualified_name}")
    if isinstance(module, EncoderBase):
        state_dict = module.to_own_keys(state_dict)
    name = getattr(module, "first_convolution", "")
    if in_channels != 3:
        if f"{name}.weight" not in state_dict:
            raise WeightsError(
                f"encoder {spec.name!r} does not say which convolution sees the input (first_convolution={name!r}), so "
                f"3-channel weights cannot be fitted to in_channels={in_channels}; pass encoder_weights=None"
            )
        if state_dict[f"{name}.weight"].shape[1] != in_channels:
            state_dict = patch_first_convolution(state_dict, name, in_channels)
    try:
        module.load_state_dict(state_dict)
    except RuntimeError as error:
        raise WeightsError(f"{title} ({path}) do not fit encoder {spec.name!r}: {error}") from error


def _convert(state_dict: dict[str, Tensor], target: str, owner: str) -> dict[str, Tensor]:
    convert = load_target(target, owner)
    try:
        converted: dict[str, Tensor] = convert(state_dict)
    except FAILURES as error:
        raise PluginError(f"{owner}: converting them raised {type(error).__name__}: {error}") from error
    return converted


def locate(weights: WeightsSpec, title: str) -> Path:
    """The local path of a weight set, downloaded where it is not cached, checked against its checksum.

    Args:
        weights: where they are.
        title: how to call them in errors.

    Raises:
        WeightsError: cannot be fetched, or the checksum differs; names the repository and the ways out.
    """
    if weights.file is not None:
        path = _bundled(weights.file, title)
        if not path.is_file():
            raise WeightsError(f"{title}: the file {str(path)!r} is missing; reinstall the plugin that ships it")
    else:
        path = _download(weights, title)
    if weights.sha256 is not None:
        digest = _sha256(path)
        if digest != weights.sha256:
            raise WeightsError(
                f"{title}: {path} has sha256 {digest}, expected {weights.sha256}; delete the file and try again"
            )
    return path


def _bundled(file: str, title: str) -> Path:
    package, separator, inside = file.partition(":")
    if not separator or not package.replace(".", "").isidentifier() or Path(file).exists():
        return Path(file)
    try:
        return Path(str(importlib.resources.files(package))) / inside
    except ModuleNotFoundError as error:
        raise WeightsError(f"{title}: the package {package!r} of {file!r} is not installed") from error


def _download(weights: WeightsSpec, title: str) -> Path:
    from huggingface_hub import hf_hub_download  # a third of a second that a local file should not cost

    assert weights.repo_id is not None
    try:
        return Path(hf_hub_download(weights.repo_id, weights.filename, revision=weights.revision))
    except Exception as error:  # the client's own, and those of its HTTP library, which changes between versions
        raise WeightsError(
            f"{title} could not be fetched from the Hub repository {weights.repo_id!r} "
            f"(file {weights.filename!r}, revision {weights.revision or 'main'}): {type(error).__name__}: {error}\n"
            "Two ways out: pass a local file of these weights, encoder_weights='path/to/model.safetensors', "
            "or start from random ones, encoder_weights=None."
        ) from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read a state dict from a safetensors file, or from a torch file without running code from it.

    Raises:
        WeightsError: the file is damaged, or does not hold a mapping of names to tensors.
    """
    path = Path(path)
    try:
        content: Any
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # safetensors, pickle and zip each have their own exceptions for a damaged file
        raise WeightsError(f"cannot read weights from {str(path)!r}: {type(error).__name__}: {error}") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{str(path)!r} does not hold a state dict: expected a mapping of names to tensors")
    return dict(content)

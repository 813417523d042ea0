"""Writing a model: a folder, or a Hub repository, that both smp-core and SMP read.

``config.json`` holds SMP's keys plus ``_smp_core``: who provided architecture and encoder, and with which versions.
``model.safetensors`` holds the parameters and buffers. ``README.md`` is the model card.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from smp_core.encoder import EncoderBase
from smp_core.errors import CheckpointError
from smp_core.renaming import change_keys_under

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"


def save_pretrained(model: nn.Module, config: Mapping[str, Any], folder: str | Path) -> Path:
    """Write a model into a folder, which is made where it is missing; files of the same name are replaced.

    Args:
        model: the model; its dtype and device do not matter.
        config: what rebuilds it (``SegmentationModel.config``).
        folder: where to.

    Returns:
        The folder.

    Raises:
        CheckpointError: the model was not built by `smp_core.create`, so that nothing could rebuild it.
    """
    if not config:
        raise CheckpointError(
            f"this {type(model).__name__} was not built by smp_core.create, so its config is unknown and nothing could "
            "load it back; build it with smp_core.create, or save model.state_dict() yourself"
        )
    try:
        text = json.dumps(_jsonable(config), indent=2, sort_keys=True) + "\n"
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"an option of this model cannot be written to {CONFIG_FILE}: {error}") from error
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / CONFIG_FILE, lambda path: path.write_text(text, encoding="utf-8"))
    # One storage may be seen through several names (tied weights); each is written out, as each is read back.
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in _published(model).items()}
    _replace(folder / WEIGHTS_FILE, lambda path: save_file(tensors, path, metadata={"format": "pt"}))
    card = model_card(config)
    _replace(folder / CARD_FILE, lambda path: path.write_text(card, encoding="utf-8"))
    return folder


def _published(model: nn.Module) -> dict[str, Tensor]:
    """The model's state dict, with the keys under which the encoder's weights are published."""
    tensors: dict[str, Tensor] = dict(model.state_dict())
    encoder = getattr(model, "encoder", None)
    if not isinstance(encoder, EncoderBase):
        return tensors
    return change_keys_under("encoder.", tensors, encoder.to_published_keys)


def _replace(target: Path, write: Any) -> None:
    """Write beside the target and move into place.

    A reader never sees half a file, and a model that is still mapped from the old file keeps it.
    """
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _jsonable(config: Mapping[str, Any], stacklevel: int = 4) -> dict[str, Any]:
    """The config with callables, which JSON cannot hold, left out aloud."""
    result: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            result[key] = _jsonable(value, stacklevel + 1)
        elif callable(value):
            warnings.warn(
                f"{key}={value!r} cannot be written to {CONFIG_FILE}, only names can; "
                f"the loaded model will have {key}=None",
                UserWarning,
                stacklevel=stacklevel,
            )
            result[key] = None
        else:
            result[key] = list(value) if isinstance(value, tuple) else value
    return result


def model_card(config: Mapping[str, Any]) -> str:
    """The README of a saved model: what it is, how to load it, how its input is prepared."""
    details = config["_smp_core"]
    distributions = sorted({"smp-core", *_distributions(details)})
    preprocessing = details.get("preprocessing")
    input_lines = (
        [f"- {key}: `{value}`" for key, value in preprocessing.items()]
        if preprocessing
        else ["Not recorded: prepare images as they were prepared in training."]
    )
    options = [f"- {key}: `{value}`" for key, value in sorted(config.items()) if not key.startswith("_")]
    lines = [
        "---",
        "library_name: smp-core",
        "pipeline_tag: image-segmentation",
        "tags:",
        "- semantic-segmentation",
        "- pytorch",
        "---",
        f"# {config['_model_class']} over {config['encoder_name'] or 'a custom encoder'}",
        "",
        "```",
        f"pip install {' '.join(distributions)}",
        "```",
        "```python",
        "import smp_core",
        "",
        'model = smp_core.from_pretrained("<this folder or repository>")',
        f"mask = model.predict(image)  # (N, {config['in_channels']}, H, W) -> (N, {config['classes']}, H, W)",
        "```",
        "",
        "## Input",
        "",
        *input_lines,
        "",
        "## Options",
        "",
        *options,
        "",
    ]
    return "\n".join(lines)


def _distributions(details: Mapping[str, Any]) -> list[str]:
    parts = (details.get("architecture"), details.get("encoder"))
    return [part["distribution"] for part in parts if part and part.get("distribution")]


def push_to_hub(
    model: nn.Module, config: Mapping[str, Any], repo_id: str, *, private: bool = False, token: str | None = None
) -> str:
    """Upload a model to the Hugging Face Hub, making the repository where it is missing.

    Args:
        model, config: as for `save_pretrained`.
        repo_id: ``"owner/name"``.
        private: whether a new repository is private.
        token: access token; by default the one that ``hf auth login`` stored.

    Returns:
        The URL of the repository.

    Raises:
        CheckpointError: the model cannot be saved, or not be uploaded: no connection, no permission.
    """
    from huggingface_hub import HfApi  # a third of a second that only the Hub's users should pay

    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(model, config, folder)
        api = HfApi(token=token)
        try:
            url = api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload model")
        except Exception as error:  # the client's own, and those of its HTTP library, which changes between versions
            raise CheckpointError(
                f"could not upload to the Hub repository {repo_id!r}: {type(error).__name__}: {error}"
            ) from error
    return str(url)

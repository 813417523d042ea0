"""Saving and loading a class of a user's own that builds itself: by the arguments that it was called with, as SMP does.

``config.json`` holds these and the name of the class; the class alone can read it.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from smp_compat._not_provided import refuse_force_download
from smp_core.errors import FAILURES, CheckpointError
from smp_core.sources.saved import CONFIG_FILE, open_saved
from smp_core.tensors.card import front_matter
from smp_core.tensors.files import tensors_in
from smp_core.tensors.fitting import describe, listed, load
from smp_core.tensors.rebuilding import other_tensors
from smp_core.tensors.saving import write_folder

_Module = TypeVar("_Module", bound=nn.Module)

# The attribute that holds the arguments.
_ARGUMENTS = "_smp_compat_arguments"

# Where encoder weights would be fetched only to be overwritten.
_WEIGHTS = "encoder_weights"


def builds_itself(kind: type[nn.Module]) -> bool:
    """Whether it is a user's, with a constructor of its own."""
    return kind.__init__.__module__.partition(".")[0] != __name__.partition(".")[0]


def keeping_arguments(init: Callable[..., None]) -> Callable[..., None]:
    """The same constructor, which keeps the arguments that a class was called with."""

    @functools.wraps(init)
    def keep(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        if type(self).__init__ is keep:  # not that of a base, which its subclass calls
            vars(self)[_ARGUMENTS] = _arguments(init, args, kwargs)
        init(self, *args, **kwargs)

    return keep


def _arguments(init: Callable[..., None], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, with defaults; those that JSON cannot hold are left out.

    Empty where the constructor does not take them, which says so itself.
    """
    signature = inspect.signature(init)
    try:
        bound = signature.bind(None, *args, **kwargs)
    except TypeError:
        return {}
    bound.apply_defaults()
    named: dict[str, Any] = {}
    for (name, value), parameter in [*zip(bound.arguments.items(), signature.parameters.values(), strict=True)][1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            named |= value
        elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            named[name] = value
    return {name: json.loads(text) for name, value in named.items() if (text := _as_json(value)) is not None}


def _as_json(value: object) -> str | None:
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return None


def save(model: nn.Module, folder: str | Path, card: Mapping[str, Any]) -> None:
    """Write the arguments of a class that builds itself, and its tensors.

    Raises:
        CheckpointError: the arguments do not build a model with these tensors, so that nothing could load it back.
    """
    name, arguments = type(model).__name__, vars(model).get(_ARGUMENTS, {})
    twin = _built(type(model), arguments, f"{name} cannot be saved: from_pretrained would call")
    wrong = [*other_tensors(model, twin)]
    if wrong:
        raise CheckpointError(
            f"{name} cannot be saved: its arguments build another model than this one is now, so that nothing could "
            f"load it back: {listed(wrong, '; ')}. Let {name}.__init__ do what was done to it, or save "
            "model.state_dict() yourself"
        )
    config = {**arguments, "_model_class": name, "_smp_core": {}}
    text = _card(name, card)
    write_folder(Path(folder), config, model.state_dict(), text)


def load_own(
    kind: type[_Module],
    source: str | Path,
    *,
    force_download: bool = False,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    revision: str | None = None,
    strict: bool = True,
    map_location: str | torch.device | None = None,
    **changes: Any,
) -> _Module:
    """Build a class with the saved arguments that it takes, and load the tensors.

    Args:
        kind: the class.
        source: a folder, or a Hub repository.
        force_download, token, cache_dir, local_files_only, revision, strict, map_location: as
            `SegmentationModel.from_pretrained`.
        **changes: arguments that replace what was saved.

    Raises:
        CheckpointError: it cannot be read, or does not fit.
    """
    refuse_force_download(force_download)
    saved = open_saved(
        source,
        revision=revision,
        token=token if isinstance(token, str) else None,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
    )
    if not isinstance(saved.config, dict) or not saved.files:
        raise CheckpointError(f"{saved.config_path!r} is no config of a model")
    parameters = inspect.signature(kind.__init__).parameters
    takes_any = any(item.kind is item.VAR_KEYWORD for item in parameters.values())
    public = {key: value for key, value in saved.config.items() if not key.startswith("_")}
    arguments = {key: value for key, value in public.items() if takes_any or key in parameters}
    where = f"{CONFIG_FILE} in {saved.title!r} makes from_pretrained call"
    model = _built(kind, {**arguments, **changes}, where)
    tensors = {key: tensor for file in saved.files for key, tensor in tensors_in(file).items()}
    difference = load(model, tensors)
    if difference and strict:
        raise CheckpointError(
            f"{saved.weights_name} in {saved.title!r} does not fit {kind.__name__}, which its {CONFIG_FILE} builds: "
            f"{describe(difference, model.state_dict(), tensors)}"
        )
    return model.to(map_location).eval() if map_location is not None else model.eval()


def _built(kind: type[_Module], arguments: Mapping[str, Any], where: str) -> _Module:
    """The class called with arguments, without encoder weights, and without changing what is drawn next."""
    if _WEIGHTS in arguments or _WEIGHTS in inspect.signature(kind.__init__).parameters:
        arguments = {**arguments, _WEIGHTS: None}
    try:
        with torch.random.fork_rng(devices=[]):
            return kind(**arguments)
    except FAILURES as error:
        shown = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise CheckpointError(
            f"{where} {kind.__name__}({shown}), which raised {type(error).__name__}: {error}; arguments that JSON "
            "cannot hold are not saved: give them to from_pretrained, or defaults to the class"
        ) from error


def _card(name: str, given: Mapping[str, Any]) -> str:
    metrics = [f"- {key}: {value}" for key, value in (given.get("metrics") or {}).items()]
    parts = {
        f"# {name}": ["```python", f'model = {name}.from_pretrained("<this folder or repository>")', "```"],
        "## Dataset": [given.get("dataset") or "Not recorded."],
        "## Metrics": metrics or ["Not recorded."],
    }
    return "\n".join([*front_matter(), *(line for title, lines in parts.items() for line in (title, "", *lines, ""))])

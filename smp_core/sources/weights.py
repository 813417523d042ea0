"""What ``encoder_weights`` means: a weight set of the encoder, a file, a folder, a Hub repository, or nothing.

Nothing here imports torch, and nothing is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from smp_core._specs.checks import shown
from smp_core._specs.chosen import HUB_PREFIX, Chosen, HubRepository, Place
from smp_core.errors import OptionError
from smp_core.plugin import EncoderSpec
from smp_core.sources.saved import INDEX_FILE

Weights = bool | str | Path | tuple[str, str | Path] | None
"""True (the default weights), a name, a local file or folder, a Hub repository, or None (and False) for random ones.

A pair ``(name, place)`` is the weight set of that name, from a file, folder or repository of the user's.
"""

_REPOSITORY = re.compile(r"(?P<repo_id>[\w.-]+/[\w.-]+)(@(?P<revision>[^\s@]+))?")

# The first of these that a folder or repository holds is its weight file.
PREFERRED_FILES = ("model.safetensors", "pytorch_model.bin")
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


def choose(spec: EncoderSpec, weights: Weights) -> tuple[Chosen | None, list[OptionError]]:
    """As `choose_weights`, with what is wrong as a list."""
    try:
        return choose_weights(spec, weights), []
    except OptionError as error:
        return None, [error]


def choose_weights(spec: EncoderSpec, weights: Weights) -> Chosen | None:
    """What ``encoder_weights`` means for an encoder.

    A name of a weight set means that set, also where there is a file or folder of the same name: ``"./imagenet"`` is
    the file. A `Path` always means the file or folder.

    Returns:
        What was chosen, or None for random weights.

    Raises:
        OptionError: nothing of all that, a folder without one obvious weight file, or a malformed repository.
    """
    if weights is None or weights is False:
        return None
    if weights is True:
        if spec.default_weights is None:
            raise OptionError(
                f"encoder {spec.name!r} has no pretrained weights; pass encoder_weights=None, or a local file"
            )
        return Chosen(spec.default_weights)
    if isinstance(weights, str) and weights in spec.weights:
        return Chosen(weights)
    if isinstance(weights, tuple) and len(weights) == 2:
        return _of_set(weights, spec)
    place = _place(weights, spec)
    if place is not None:
        return Chosen(place=place)
    raise OptionError(
        f"encoder_weights={shown(weights)} is neither a weight set of encoder {spec.name!r} ({_names(spec)}) nor a "
        "local file or folder; expected True, None, one of these names, the path of a .safetensors or torch file or of "
        f"a folder with one, or '{HUB_PREFIX}owner/name[@revision]'"
    )


def _of_set(pair: tuple[object, object], spec: EncoderSpec) -> Chosen:
    name, where = pair
    if not isinstance(name, str) or name not in spec.weights:
        raise OptionError(
            f"encoder_weights={shown(pair)}: encoder {spec.name!r} has no weight set {shown(name)}; it has "
            f"{_names(spec)}"
        )
    place = _place(where, spec)
    if place is None:
        raise OptionError(
            f"encoder_weights={shown(pair)}: {shown(where)} is no local file or folder, and no "
            f"'{HUB_PREFIX}owner/name[@revision]'"
        )
    return Chosen(name, place)


def _place(weights: object, spec: EncoderSpec) -> Place | None:
    """The file or repository that is meant, or None where it is neither."""
    if isinstance(weights, str) and weights.startswith(HUB_PREFIX):
        return _repository(weights)
    if isinstance(weights, (str, Path)) and str(weights):
        path = Path(weights)
        try:
            is_folder, is_file = path.is_dir(), path.is_file()
        except OSError as error:  # a name that is too long
            raise OptionError(f"encoder_weights={shown(weights)} cannot be read: {error.strerror}") from error
        if is_file:
            return path
        if is_folder:
            return _file_in(path, spec)
    return None


def _names(spec: EncoderSpec) -> str:
    return ", ".join(spec.weights) or "none"


def _repository(weights: str) -> HubRepository:
    found = _REPOSITORY.fullmatch(weights.removeprefix(HUB_PREFIX))
    if found is None:
        raise OptionError(
            f"encoder_weights={weights!r} names no Hub repository; expected '{HUB_PREFIX}owner/name', or "
            f"'{HUB_PREFIX}owner/name@revision' with a commit, tag or branch"
        )
    return HubRepository(found["repo_id"], found["revision"])


def _file_in(folder: Path, spec: EncoderSpec) -> Path:
    names = sorted(item.name for item in folder.iterdir() if item.is_file())
    chosen = obvious_file(names) or (INDEX_FILE if INDEX_FILE in names else None)
    if chosen is None:
        raise OptionError(
            f"encoder_weights={str(folder)!r} is a folder (and no weight set of encoder {spec.name!r}: {_names(spec)}) "
            f"{describe_files(names)}; pass the path of the file"
        )
    return folder / chosen


def obvious_file(names: Iterable[str]) -> str | None:
    """The file of a folder or repository that holds the weights, where that is beyond doubt.

    ``model.safetensors``, else ``pytorch_model.bin``, else the only file that ends as weights do; files in folders
    of their own (checkpoints, optimizer states) do not count.
    """
    here = [name for name in names if "/" not in name]
    for name in PREFERRED_FILES:
        if name in here:
            return name
    weights = [name for name in here if name.endswith(_SUFFIXES)]
    return weights[0] if len(weights) == 1 else None


def describe_files(names: Iterable[str]) -> str:
    """Why there is no obvious weight file among these, for an error: what was expected, and what is there."""
    names = list(names)
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    expected = f"{' or '.join(PREFERRED_FILES)}, or one file that ends in {', '.join(_SUFFIXES)}"
    return f"without one obvious weight file: expected {expected}; it holds {shown or 'no file'}"

"""Torch files, read without ever running code from them.

torch's own safe loader refuses a whole file for one object that it does not know: a training program's options, a
callback, a number of another library. The weights beside it are harmless. So where torch refuses a zip file, it is read
once more, with an inert `Unread` in place of every such object.
"""

from __future__ import annotations

import re
import sys
import threading
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smp_core.errors import WeightsError
from smp_core.tensors.unpickling import DeepKeyError, RefusedError, Unread, unpickle

__all__ = ["Unread", "read_torch_file", "state_dict_of"]

_BLOCK = 1 << 20
_MANY_TUPLES = 20_000

# Silencing warnings is the affair of the whole process, and goes wrong where two threads do so at once.
_SILENCE = threading.Lock()
_DEEPEST_MODULE = 100
_MOST_MODULES = 100_000


def read_torch_file(path: Path) -> tuple[Any, tuple[str, ...]]:
    """Read what `torch.save` wrote, on the CPU, without running code from it.

    Args:
        path: of a zip file, or of one in torch's older format, which is read only where torch's safe loader reads it.

    Returns:
        The content, in which an `Unread` stands for every object that is not read, and the sorted names of the classes
        and functions of these objects. Where any is unread, all tensors are plain ones that require no gradient.

    Raises:
        WeightsError: there is no such file, it is damaged, or nothing in it that is not refused is a tensor.
    """
    try:
        _refuse_deep_keys(path)
        with _SILENCE, warnings.catch_warnings():
            # torch warns of kinds of files that it may fail to read; what counts is whether it does.
            warnings.simplefilter("ignore")
            # Not memory-mapped, whatever is configured: a file that is cut short while mapped kills the process.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=False), ()
    except Exception as error:  # torch, pickle and zip each have their own exceptions for a damaged file
        refusal = error
    reason = f"{type(refusal).__name__}: {_without_advice(str(refusal))}"
    message = f"cannot read weights from {str(path)!r}: {_other_kind(path) or reason}"
    if isinstance(refusal, RefusedError):
        raise WeightsError(message) from refusal
    try:
        content, unread = _read_zip(path) if _is_zip(path) else (None, ())
    except Exception as error:  # a hostile pickle makes any operation fail, in any way
        reason = str(error) if isinstance(error, RefusedError) else f"{type(error).__name__}: {error}"
        raise WeightsError(
            f"{message}\nReading it without the objects that torch refuses failed too: {reason}"
        ) from refusal
    if not _holds_tensor(content):
        raise WeightsError(message) from refusal
    return content, unread


def state_dict_of(unread: Unread) -> dict[str, Tensor]:
    """The state dict of a module that was pickled as a whole, rebuilt from its placeholder.

    Returns:
        Parameters and persistent buffers by their dotted names, in the order of `torch.nn.Module.state_dict`; empty
        where the placeholder is not that of a module.

    Raises:
        WeightsError: modules are nested so deeply, or so many times over, that the file is not one of a real model.
    """
    found: dict[str, Tensor] = {}
    waiting = [("", unread, 0)]
    visited = 0
    while waiting:
        prefix, module, depth = waiting.pop()
        parts = _parts_of_module(module)
        if parts is None:
            continue
        visited += 1
        if depth > _DEEPEST_MODULE or visited > _MOST_MODULES:
            raise WeightsError(
                f"the pickled {unread.name!r} has more than {_MOST_MODULES} modules, or nests them more than "
                f"{_DEEPEST_MODULE} deep; save the state dict of the model instead, model.state_dict()"
            )
        tensors, children = parts
        found |= {prefix + name: tensor for name, tensor in tensors.items()}
        # The last that is put there is the first that is taken.
        waiting += [(f"{prefix}{name}.", child, depth + 1) for name, child in reversed(children.items())]
    return found


def _parts_of_module(module: Unread) -> tuple[dict[str, Tensor], dict[str, Unread]] | None:
    """A module's own tensors and its children, by name; None where it is no module."""
    # An object that has __slots__ as well is pickled with a pair of states.
    state = module.state[0] if isinstance(module.state, tuple) and module.state else module.state
    if not isinstance(state, Mapping):
        return None
    parameters, buffers, children = (state.get(f"_{kind}") for kind in ("parameters", "buffers", "modules"))
    if not (isinstance(parameters, Mapping) and isinstance(buffers, Mapping) and isinstance(children, Mapping)):
        return None
    hidden = state.get("_non_persistent_buffers_set")
    hidden = hidden if isinstance(hidden, (set, frozenset)) else frozenset()
    shown = {name: value for name, value in buffers.items() if name not in hidden}
    tensors = {
        name: value
        for name, value in [*parameters.items(), *shown.items()]
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    return tensors, {
        name: child for name, child in children.items() if isinstance(name, str) and isinstance(child, Unread)
    }


def _other_kind(path: Path) -> str | None:
    """What a file is that is no torch file, and what to do; None where that does not show."""
    if not path.exists():
        return None
    if not path.is_file():
        return "it is no regular file"
    with path.open("rb") as file:
        head = file.read(100)
    if not head:
        return "it is empty"
    if head.startswith(b"version https://git-lfs"):
        return "it is a pointer of git-lfs, not the file itself; run: git lfs pull"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "it is a page of a web site, not the file itself; download it anew"
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return "it is a safetensors file; its name must end in .safetensors"
    return None


def _without_advice(text: str) -> str:
    """What torch says is wrong, without its advice on how to run the code of the file after all."""
    if "weights_only" not in text:
        return text
    told = text.rpartition("WeightsUnpickler error:")[2]
    advice = re.compile(r"(?i)weights only load failed|weights_only.*false|trust|check the documentation|an issue")
    sentences = (sentence.strip() for sentence in re.split(r"(?<=\.)\s+|\n+", told))
    return next(
        (sentence for sentence in sentences if sentence and not advice.search(sentence)),
        "torch's safe loader refuses an object in it",
    )


def _holds_tensor(content: Any) -> bool:
    waiting, seen = [content], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            return True
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, (list, tuple, set, frozenset)):
            waiting += item
        elif isinstance(item, Unread):
            waiting.append(item.state)
    return False


# --- the archive


def _is_zip(path: Path) -> bool:
    if not path.is_file():
        return False
    # An older torch file may well contain something that ends like a zip file.
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04" and zipfile.is_zipfile(path)


def _root(archive: zipfile.ZipFile) -> str:
    return archive.infolist()[0].filename.partition("/")[0]


def _refuse_deep_keys(path: Path) -> None:
    """Keep from torch's loader what would end the process: it takes the hash of tuples that are nested without end."""
    if not _is_zip(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            root = _root(archive)
            member = archive.getinfo(f"{root}/data.pkl")
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > path.stat().st_size:
                return  # could be made to fill the memory; torch reads it in its own way
            data = archive.read(member)
            # Most files have too few tuples for any harm; reading them once more would take time for nothing.
            if sum(data.count(operation) for operation in (b"t", b"\x85", b"\x86", b"\x87")) >= _MANY_TUPLES:
                sizes = {member.filename: member.file_size for member in archive.infolist()}
                unpickle(data, lambda key: torch.UntypedStorage(sizes[f"{root}/data/{key}"], device="meta"))
    except DeepKeyError:
        raise
    except Exception:
        # What else is wrong is for torch to judge, which may well read what is not read here.
        return


def _read_zip(path: Path) -> tuple[Any, tuple[str, ...]]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        # Members that are compressed or overlap could be made to fill the memory.
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise RefusedError("its members are compressed, which torch.save never does")
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise RefusedError("its members are together larger than the file")
        names = set(archive.namelist())
        root = _root(archive)
        if f"{root}/constants.pkl" in names:
            raise RefusedError("a TorchScript archive is a program; save the state dict of the model instead")
        order = archive.read(f"{root}/byteorder").decode("ascii") if f"{root}/byteorder" in names else "little"
        if order != sys.byteorder:
            raise RefusedError(
                f"the byte order of its tensors is {order!r}, that of this machine {sys.byteorder!r}; save it again on "
                "a machine of this kind, or only the state dict of the model"
            )
        return unpickle(archive.read(f"{root}/data.pkl"), lambda key: _read_member(archive, f"{root}/data/{key}"))


def _read_member(archive: zipfile.ZipFile, name: str) -> torch.UntypedStorage:
    size = archive.getinfo(name).file_size
    if size == 0:
        return torch.UntypedStorage(0)
    buffer = bytearray(size)
    view = memoryview(buffer)
    with archive.open(name) as member:
        # In blocks, as all of it at once would be held twice.
        for start in range(0, size, _BLOCK):
            block = member.read(_BLOCK)
            view[start : start + len(block)] = block
        # What follows the last byte is the comparison with the checksum.
        if member.read(1):
            raise RefusedError(f"its member {name!r} is longer than it says")
    return torch.frombuffer(buffer, dtype=torch.uint8).untyped_storage()

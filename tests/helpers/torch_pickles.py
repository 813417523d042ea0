"""Pickles and torch files that torch.save would not write."""

from __future__ import annotations

import argparse
import collections
import io
import pickle
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from smp_core.errors import WeightsError
from smp_core.tensors.torch_files import read_torch_file

PROTOCOLS = [2, 3, 4, 5]


def written(path: Path, content: Any, **how: Any) -> Path:
    torch.save(content, path, **how)
    return path


def archived(path: Path, pickled: bytes, storages: dict[str, bytes] | None = None, **members: bytes) -> Path:
    """A zip file as torch.save writes it, with any pickle in it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, content in members.items():
            archive.writestr(f"archive/{name}", content)
        for key, content in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", content)
    return path


class Referring(pickle.Pickler):
    """Pickles what was made with `stored` as a reference to a storage."""

    def persistent_id(self, item: Any) -> Any:
        return item.identity if isinstance(item, Stored) else None


class Stored:
    def __init__(self, *identity: Any) -> None:
        self.identity = identity


class Called:
    """Pickles as a call of a function, with arguments, a state, items and pairs."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments, state) if state is not None else (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def pickled(content: Any, protocol: int = 2) -> bytes:
    file = io.BytesIO()
    Referring(file, protocol).dump(content)
    return file.getvalue()


def strided(offset: Any, size: Any, stride: Any, stored: Any = None) -> Called:
    stored = Stored("storage", torch.FloatStorage, "0", "cpu", 4) if stored is None else stored
    hooks: Any = collections.OrderedDict()
    return Called(torch._utils._rebuild_tensor_v2, stored, offset, size, stride, False, hooks)


FLOATS = struct.pack("<4f", 1, 2, 3, 4)
UNKNOWN = argparse.Namespace(lr=0.1)


def no_storage(key: str) -> torch.UntypedStorage:
    raise AssertionError(f"the storage {key!r} is asked for")


def failure(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read_torch_file(path)
    message = str(caught.value)
    assert message.startswith(f"cannot read weights from {str(path)!r}: ")
    assert "weights_only=False" not in message
    assert not re.search("set to `False`|arbitrary code", message)
    return message


REFUSED = "Reading it without the objects that torch refuses failed too: "

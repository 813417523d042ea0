"""Telling models, functions and images apart, so that a cut run goes on only with what it was begun with.

A digest is of what a value is made of: tensors and arrays, the code of functions with what they refer to, the
attributes of objects. What cannot be looked into gets a digest of its own each time, so that nothing goes on from it.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import secrets
import types
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_PLAIN = (type(None), bool, int, float, complex, str, bytes, Enum, os.PathLike, torch.dtype, torch.device)


class _UnknownError(Exception):
    """A value that cannot be looked into."""


def digest_of(value: object) -> str:
    """32 hexadecimal digits; of what cannot be looked into others each time."""
    found = _Digest()
    try:
        found.add(value)
    except _UnknownError:
        return secrets.token_hex(16)
    return found.hash.hexdigest()


def digest_of_file(path: str | os.PathLike[str]) -> str:
    """32 hexadecimal digits of where a file lies, its size and time; of a folder, those of all that it holds.

    Raises:
        OSError: it is not there.
    """
    found = _Digest()
    found.file(path)
    return found.hash.hexdigest()


class _Digest:
    def __init__(self) -> None:
        self.hash = hashlib.blake2b(digest_size=16)
        self._seen: dict[int, int] = {}
        self._kept: list[object] = []  # or another object could get the address of one that is gone

    def add(self, value: Any) -> None:
        """Whatever a callable may hold."""
        if isinstance(value, _PLAIN):
            self._text(type(value).__qualname__, str(os.fspath(value) if isinstance(value, os.PathLike) else value))
            return
        if id(value) in self._seen:  # and nothing goes round in circles
            self._text("seen", self._seen[id(value)])
            return
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        for kind, adds in _KINDS:
            if isinstance(value, kind):
                adds(self, value)
                return
        self._object(value)

    def _text(self, *parts: object) -> None:
        self.hash.update(repr(parts).encode("utf-8", "surrogatepass"))

    def _all(self, what: str, values: Iterable[object]) -> None:
        self._text(what)
        for value in values:
            self.add(value)
        self._text("end")

    def _tensor(self, value: Tensor) -> None:
        self._text("tensor", value.dtype, tuple(value.shape))
        try:
            flat = value.detach().cpu().contiguous().reshape(-1)
            self.hash.update(flat.view(torch.uint8).numpy().data)
        except (RuntimeError, TypeError, NotImplementedError) as error:  # sparse, quantised, on no device
            raise _UnknownError from error

    def _array(self, value: np.ndarray[Any, Any]) -> None:
        if value.dtype.hasobject:
            raise _UnknownError
        self._text("array", value.dtype.str, value.shape)
        if isinstance(value, np.memmap) and value.filename is not None:
            self.file(value.filename)  # read once more it would take as long as predicting
            self._text(value.offset, value.strides)
            return
        for rows in value if value.ndim > 1 else (value,):
            self.hash.update(np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data)

    def file(self, path: str | os.PathLike[str]) -> None:
        """Where it lies, its size and time; of a folder, those of all that it holds."""
        self._text(os.path.abspath(path))
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                self._status(os.path.join(folder, name))
        self._status(path)

    def _status(self, path: str | os.PathLike[str]) -> None:
        status = os.stat(path)
        self._text(os.fspath(path), status.st_size, status.st_mtime_ns)

    def _mapping(self, value: Mapping[Any, Any]) -> None:
        self._all("mapping", (part for item in value.items() for part in item))

    def _set(self, value: Iterable[Any]) -> None:
        self._text("set", sorted(digest_of(item) for item in value))

    def _module(self, value: nn.Module) -> None:
        """Weights, and at each place the class, hooks, what it shows of itself, and plain attributes."""
        for name, module in value.named_modules():
            self._text(name, _without_addresses(module.extra_repr()), getattr(module, "code", None))
            self.add(type(module))
            self._all("hooks", [*module._forward_pre_hooks.values(), *module._forward_hooks.values()])
            plain = {key: item for key, item in vars(module).items() if isinstance(item, (int, float, str))}
            self._text(sorted((key, item) for key, item in plain.items() if key[0] != "_" and key != "training"))
        for name, item in [*value.named_parameters(), *value.named_buffers()]:
            self._text(name)
            self._tensor(item)

    def _class(self, value: type[Any]) -> None:
        """Its name, and the code of its methods and of those that it inherits."""
        for item in value.__mro__:
            self._text(item.__module__, item.__qualname__)
            for name, method in vars(item).items():
                code = getattr(getattr(method, "__func__", method), "__code__", None)
                if isinstance(code, types.CodeType):
                    self._text(name)
                    self._code(code)

    def _code(self, code: types.CodeType) -> None:
        self._text(code.co_code, code.co_names, code.co_varnames, code.co_freevars)
        for item in code.co_consts:
            if isinstance(item, types.CodeType):
                self._code(item)
            else:
                self.add(item)

    def _function(self, value: types.FunctionType) -> None:
        """Its code, defaults, and what it refers to: of its own module what that is, of others its name."""
        self._code(value.__code__)
        self.add(value.__defaults__)
        self.add(value.__kwdefaults__)
        self._all("closure", map(_content, value.__closure__ or ()))
        for name in sorted(_names_in(value.__code__)):
            if name in value.__globals__:
                self._text(name)
                self._global(value.__globals__[name], value.__module__)

    def _global(self, value: object, home: str | None) -> None:
        named = isinstance(value, (types.FunctionType, type))
        if named and getattr(value, "__module__", None) != home:
            self._text(getattr(value, "__module__", None), getattr(value, "__qualname__", None))
        else:
            self.add(value)

    def _named(self, value: Any) -> None:
        """A module of Python, or a function of a compiled one."""
        owner = getattr(value, "__self__", None)
        self._text(value.__name__, getattr(value, "__module__", None))
        if owner is not None and not isinstance(owner, (types.ModuleType, type)):
            self.add(owner)

    def _method(self, value: types.MethodType) -> None:
        self.add(value.__func__)
        self.add(value.__self__)

    def _partial(self, value: functools.partial[Any]) -> None:
        self._all("partial", (value.func, value.args, value.keywords))

    def _object(self, value: object) -> None:
        """Its class and attributes."""
        if hasattr(value, "run") and hasattr(value, "get_inputs"):  # a session of ONNX Runtime
            self._session(value)
            return
        attributes = getattr(value, "__dict__", None)
        if attributes is None and not (slots := _slots(value)):
            raise _UnknownError
        self._class(type(value))
        self._mapping(attributes if attributes is not None else slots)

    def _session(self, value: Any) -> None:
        path, content = getattr(value, "_model_path", None), getattr(value, "_model_bytes", None)
        if content:
            self.add(content)
        elif path and os.path.isfile(path):
            self.file(path)
        else:
            raise _UnknownError


_KINDS: tuple[tuple[Any, Callable[[_Digest, Any], None]], ...] = (
    (Tensor, _Digest._tensor),
    (np.ndarray, _Digest._array),
    ((list, tuple), lambda digest, value: digest._all("list", value)),
    (Mapping, _Digest._mapping),
    ((set, frozenset), _Digest._set),
    (nn.Module, _Digest._module),
    (type, _Digest._class),
    (types.FunctionType, _Digest._function),
    (types.MethodType, _Digest._method),
    ((types.ModuleType, types.BuiltinFunctionType, np.ufunc), _Digest._named),
    (functools.partial, _Digest._partial),
    ((np.generic, np.dtype, range, slice), lambda digest, value: digest._text(type(value).__name__, str(value))),
)


def _content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # nothing is in it yet
        return None


def _names_in(code: types.CodeType) -> set[str]:
    found = set(code.co_names)
    for item in code.co_consts:
        if isinstance(item, types.CodeType):
            found |= _names_in(item)
    return found


def _slots(value: object) -> dict[str, object]:
    names = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _without_addresses(text: str) -> str:
    return re.sub(r"0x[0-9a-fA-F]+", "0x", text)

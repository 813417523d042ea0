"""Pickles of torch files, read by a machine that can neither import nor call what a pickle names.

The opcodes are interpreted here, on a stack. What a pickle asks to be called is looked up by its name in a short table
of functions of this module, which return plain containers, numbers and tensors; every other object becomes an inert
`Unread`. The machine of the standard library is not restricted instead, as it would still run the ``__setstate__`` of
what the table returns, and make room for whatever size a pickle claims.
"""

from __future__ import annotations

import pickletools
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import torch

__all__ = ["DeepKeyError", "RefusedError", "Unread", "unpickle"]

_DEEPEST_KEY = 8


class Unread:
    """What stands for a pickled object that was not read: a class or function by its name, or an instance of one.

    Attributes:
        name: the qualified name of the class or function, such as ``argparse.Namespace``.
        state: the attributes that an instance was pickled with, as far as they are read; None where there are none.
    """

    __slots__ = ("name", "state")

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: Any = None

    def __repr__(self) -> str:
        return f"<unread {self.name}>"


class _Storage(Unread):
    """The bytes of a member of the archive, and as what they are to be read."""

    __slots__ = ("data", "dtype")

    def __init__(self, name: str, data: torch.UntypedStorage, dtype: torch.dtype) -> None:
        super().__init__(name)
        self.data = data
        self.dtype = dtype


class RefusedError(Exception):
    """Why a pickle is not read. It becomes part of a WeightsError; nobody else sees it."""


class DeepKeyError(RefusedError):
    """A key is nested so deeply that its hash could not be taken."""


# --- what a pickle may ask for


def _items(of: object) -> Iterable[Any]:
    # Numbers and ranges are refused: bytes(10**12) or set(range(10**12)) would fill the memory.
    if not isinstance(of, (list, tuple, set, frozenset, dict, bytes, bytearray)):
        raise RefusedError(f"its pickle makes a container from {type(of).__name__!r}, which is none")
    return of


def _fill(into: dict[Any, Any], pairs: object) -> dict[Any, Any]:
    for key, value in pairs.items() if isinstance(pairs, dict) else _items(pairs):
        into[_checked(key)] = value
    return into


def _checked(key: Any, depth: int = 0) -> Any:
    # The hash of a tuple is taken by recursion in C, which no exception ends: it would overflow the stack.
    if isinstance(key, tuple):
        if depth == _DEEPEST_KEY:
            raise DeepKeyError(f"its pickle takes tuples that are nested more than {_DEEPEST_KEY} deep as a key")
        for part in key:
            _checked(part, depth + 1)
    return key


def _bytes(value: object = b"", encoding: object = "latin1") -> bytes:
    if isinstance(value, str):
        # A codec is a module that its name imports, so only the one that pickles of bytes use is taken.
        if encoding not in ("latin1", "latin-1"):
            raise RefusedError(f"its pickle encodes text as {encoding!r:.40}, not as 'latin1'")
        return value.encode("latin-1")
    return bytes(_items(value))


def _number(kind: Callable[..., Any]) -> Callable[..., Any]:
    def make(*arguments: object) -> Any:
        if not all(isinstance(argument, (int, float, str)) for argument in arguments):
            raise RefusedError(f"its pickle makes {kind.__name__!r} from something else than numbers")
        return kind(*arguments)

    return make


def _tensor(storage: object, offset: object, size: object, stride: object, dtype: torch.dtype | None = None) -> Any:
    """A strided view of a storage; nothing outside the storage is reachable through it."""
    if not isinstance(storage, _Storage):
        if isinstance(storage, Unread):
            return Unread("torch.Tensor")
        raise RefusedError(f"a tensor is made from {type(storage).__name__!r}, not from a storage")
    dtype = storage.dtype if dtype is None else dtype
    if not isinstance(size, tuple) or not isinstance(stride, tuple) or len(size) != len(stride):
        raise RefusedError(f"a tensor has the size {size!r:.100} and the stride {stride!r:.100}")
    if type(offset) is not int or any(type(number) is not int or number < 0 for number in (offset, *size, *stride)):
        raise RefusedError("the offset, the size or the stride of a tensor is not made of integers from 0")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    needed = 0 if 0 in size else (last + 1) * dtype.itemsize
    if needed > storage.data.nbytes():
        raise RefusedError(f"a tensor needs {needed} bytes of a storage that has {storage.data.nbytes()}")
    return torch.empty(0, dtype=dtype, device=storage.data.device).set_(storage.data, offset, size, stride)


def _tensor_v2(storage: object, offset: object, size: object, stride: object, *_: object) -> Any:
    return _tensor(storage, offset, size, stride)


def _tensor_v3(
    storage: object, offset: object, size: object, stride: object, _grad: object, _hooks: object, dtype: object, *_: Any
) -> Any:
    # A quantised tensor is more than its bytes.
    if not isinstance(dtype, torch.dtype) or str(dtype).startswith("torch.q"):
        raise RefusedError(f"a tensor has the dtype {dtype!r:.40}, which has no plain storage")
    return _tensor(storage, offset, size, stride, dtype)


def _instance(kind: object, *_: object) -> Unread:
    # How protocols 0 and 1 pickle an instance: the class is what should be named.
    return Unread(kind.name if isinstance(kind, Unread) else "copyreg._reconstructor")


_CALLS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
    "torch.Size": lambda lengths=(): torch.Size(_items(lengths)),
    "torch.device": torch.device,
    "collections.OrderedDict": lambda pairs=(): _fill(OrderedDict(), pairs),
    # The factory of a defaultdict is code of the file.
    "collections.defaultdict": lambda _factory=None, pairs=(): _fill({}, pairs),
    "copyreg._reconstructor": _instance,
    "_codecs.encode": _bytes,
    "builtins.bytes": _bytes,
    "builtins.bytearray": lambda *arguments: bytearray(_bytes(*arguments)),
    "builtins.list": lambda items=(): list(_items(items)),
    "builtins.tuple": lambda items=(): tuple(_items(items)),
    "builtins.dict": lambda pairs=(): _fill({}, pairs),
    "builtins.set": lambda items=(): {_checked(item) for item in _items(items)},
    "builtins.frozenset": lambda items=(): frozenset(_checked(item) for item in _items(items)),
    "builtins.object": lambda *_: Unread("builtins.object"),
    "builtins.int": _number(int),
    "builtins.long": _number(int),
    "builtins.float": _number(float),
    "builtins.complex": _number(complex),
    "builtins.range": _number(range),
    "builtins.xrange": _number(range),
    "builtins.slice": slice,
}
_VALUES = {str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)}
_STORAGES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexDouble": torch.complex128,
    "ComplexFloat": torch.complex64,
    "Untyped": torch.uint8,
}
_STORAGE_CLASSES = {
    f"{module}.{name}Storage": dtype for name, dtype in _STORAGES.items() for module in ("torch", "torch.storage")
}
# The names of Python 2, which protocols up to 2 use to this day.
_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}


# --- the machine


def unpickle(data: bytes, read_storage: Callable[[str], torch.UntypedStorage]) -> tuple[Any, tuple[str, ...]]:
    """Read the pickle of a torch file.

    Args:
        data: the pickle.
        read_storage: returns the storage of a key.

    Returns:
        The content, in which every object that is not read is an `Unread`, and the sorted names of their classes.

    Raises:
        RefusedError: the pickle asks for what would be dangerous, or contradicts itself.
        Exception: of any other kind, as a damaged pickle makes any operation fail.
    """
    machine = _Machine(read_storage)
    for opcode, argument, _ in pickletools.genops(data):
        step = _STEPS.get(opcode.name)
        if step is None:
            raise RefusedError(f"its pickle uses the operation {opcode.name}, which torch.save never does")
        step(machine, argument)
    return machine.pop(), tuple(sorted(machine.unread))


class _Machine:
    """The stack of a pickle, and what it remembers."""

    def __init__(self, read_storage: Callable[[str], torch.UntypedStorage]) -> None:
        self.unread: set[str] = set()
        self._read_storage = read_storage
        self._storages: dict[str, torch.UntypedStorage] = {}
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # what lies under each mark
        self._memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        return self._stack.pop()

    def top(self) -> Any:
        return self._stack[-1]

    def drop(self, _: object) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self.pop_to_mark()

    def mark(self, _: object) -> None:
        self._below.append(self._stack)
        self._stack = []

    def pop_to_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def drop_to_mark(self, _: object) -> None:
        self.pop_to_mark()

    def make_dict(self, _: object) -> None:
        items = self.pop_to_mark()
        self.push({})
        self.set_items(items)

    def pop_several(self, count: int) -> tuple[Any, ...]:
        if len(self._stack) < count:
            raise RefusedError("its pickle takes more from the stack than there is")
        rest = len(self._stack) - count
        items = tuple(self._stack[rest:])
        del self._stack[rest:]
        return items

    def remember(self, index: int | None) -> None:
        self._memo[len(self._memo) if index is None else index] = self._stack[-1]

    def recall(self, index: int) -> None:
        self.push(self._memo[index])

    def find(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise RefusedError("its pickle names a class by something else than text")
        full = f"{_MODULES.get(module, module)}.{name}"
        if full in _VALUES:
            self.push(_VALUES[full])
            return
        if full not in _CALLS and full not in _STORAGE_CLASSES:
            self.unread.add(full)
        self.push(Unread(full))

    def find_on_stack(self, _: object) -> None:
        self.find(*self.pop_several(2))

    def call(self, named: object, arguments: object) -> None:
        if not isinstance(named, Unread) or not isinstance(arguments, tuple):
            raise RefusedError(f"its pickle calls {type(named).__name__!r}")
        function = _CALLS.get(named.name)
        self.push(Unread(named.name) if function is None else function(*arguments))

    def call_on_stack(self, _: object) -> None:
        self.call(*self.pop_several(2))

    def call_with_keywords(self, _: object) -> None:
        named, arguments, _keywords = self.pop_several(3)
        self.call(named, arguments)

    def call_to_mark(self, name: str | None) -> None:
        arguments = self.pop_to_mark()
        if name is None:
            named, arguments = arguments[0], arguments[1:]
        else:
            self.find(*name.split(" ", 1))
            named = self.pop()
        self.call(named, tuple(arguments))

    def set_state(self, _: object) -> None:
        # The attributes of what is read, such as the hooks of a tensor, are of no use here.
        state, target = self.pop(), self._stack[-1]
        if isinstance(target, Unread):
            target.state = state

    def append(self, items: Iterable[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, set):
            target.update(_checked(item) for item in items)
        elif not isinstance(target, Unread):
            raise RefusedError(f"its pickle appends to {type(target).__name__!r}")

    def set_items(self, items: list[Any] | tuple[Any, ...]) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            _fill(target, list(zip(items[::2], items[1::2], strict=True)))
        elif not isinstance(target, Unread):
            raise RefusedError(f"its pickle puts items into {type(target).__name__!r}")

    def find_storage(self, _: object) -> None:
        identity = self.pop()
        if not isinstance(identity, tuple) or len(identity) != 5 or identity[0] != "storage":
            raise RefusedError("its pickle refers to something outside it that is not a storage")
        _, kind, key, _, count = identity
        if not isinstance(kind, Unread) or not isinstance(key, str) or type(count) is not int:
            raise RefusedError(f"its pickle describes the storage {key!r:.40} wrongly")
        dtype = _STORAGE_CLASSES.get(kind.name)
        if dtype is None:
            self.push(Unread(kind.name))
            return
        if key not in self._storages:
            self._storages[key] = self._read_storage(key)
        data = self._storages[key]
        if data.nbytes() != count * dtype.itemsize:
            raise RefusedError(f"the storage {key!r} has {data.nbytes()} bytes, expected {count * dtype.itemsize}")
        self.push(_Storage(kind.name, data, dtype))


_Step = Callable[[_Machine, Any], None]


def _constant(value: object) -> _Step:
    return lambda machine, _: machine.push(value)


def _tuple(count: int) -> _Step:
    return lambda machine, _: machine.push(machine.pop_several(count))


_ARGUMENTS = (
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING BINBYTES "
    "SHORT_BINBYTES BINBYTES8 BYTEARRAY8 UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8"
)
_STEPS: dict[str, _Step] = {
    **dict.fromkeys(_ARGUMENTS.split(), _Machine.push),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.recall),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.remember),
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda _machine, _argument: None),
    **{name: _tuple(count) for count, name in enumerate(("EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"))},
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_to_mark())),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "LIST": lambda machine, _: machine.push(machine.pop_to_mark()),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "DICT": _Machine.make_dict,
    "EMPTY_SET": lambda machine, _: machine.push(set()),
    "FROZENSET": lambda machine, _: machine.push(frozenset(map(_checked, machine.pop_to_mark()))),
    "APPEND": lambda machine, _: machine.append(machine.pop_several(1)),
    "APPENDS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "ADDITEMS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "SETITEM": lambda machine, _: machine.set_items(machine.pop_several(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "MARK": _Machine.mark,
    "POP": _Machine.drop,
    "POP_MARK": _Machine.drop_to_mark,
    "DUP": lambda machine, _: machine.push(machine.top()),
    "GLOBAL": lambda machine, name: machine.find(*name.split(" ", 1)),
    "STACK_GLOBAL": _Machine.find_on_stack,
    "REDUCE": _Machine.call_on_stack,
    "NEWOBJ": _Machine.call_on_stack,
    "NEWOBJ_EX": _Machine.call_with_keywords,
    "INST": _Machine.call_to_mark,
    "OBJ": _Machine.call_to_mark,
    "BUILD": _Machine.set_state,
    "BINPERSID": _Machine.find_storage,
}

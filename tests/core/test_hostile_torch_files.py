"""Torch files that want to do harm: nothing in them is run, and they fail with an error of ours."""

from __future__ import annotations

import _codecs
import argparse
import collections
import copyreg
import functools
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_pickles import (
    FLOATS,
    PROTOCOLS,
    REFUSED,
    UNKNOWN,
    Called,
    Stored,
    archived,
    failure,
    no_storage,
    pickled,
    strided,
    written,
)

from smp_core.tensors.torch_files import read_torch_file
from smp_core.tensors.unpickling import RefusedError, unpickle


class Callback:
    pass


# --- nothing runs


def bombs(mark: str) -> dict[str, Any]:
    """What would create the file ``mark`` if it ran."""
    code = f"open({mark!r}, 'w').close()"
    return {
        "os.system": Called(os.system, f"touch {mark}"),
        "exec": Called(exec, code),
        "eval": Called(eval, f"open({mark!r}, 'w')"),
        "open": Called(open, mark, "w"),
        "nested": Called(Called, Called(exec, code)),
        "state": Called(argparse.Namespace, state={"x": Called(exec, code)}),
        "key": {Called(exec, code): 1},
        "factory": Called(collections.defaultdict, Called(exec, code)),
        "map": Called(list, Called(map, exec, [code])),
        "partial": functools.partial(exec, code),
        "getattr": Called(getattr, Called(__import__, "os"), "system"),
        "reconstructor": Called(copyreg._reconstructor, Callback, object, Called(exec, code)),  # type: ignore[attr-defined]
        "hub": Called(torch.hub.load, "owner/name", "model"),
        "load": Called(torch.load, mark),
        "method": Called(Path(mark).touch),
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", bombs(""))
def test_no_code_of_a_file_runs(tmp_path: Path, name: str, protocol: int) -> None:
    mark = tmp_path / "it_ran"
    bomb = bombs(str(mark))[name]
    path = written(tmp_path / "bomb.pt", {"weight": bomb}, pickle_protocol=protocol)
    assert re.match(r"cannot read weights from .*: UnpicklingError: ", failure(path))
    path = written(path, {"weight": torch.ones(2), "bomb": bomb}, pickle_protocol=protocol)
    if name == "map":
        assert failure(path).endswith(f"{REFUSED}its pickle makes a container from 'Unread', which is none")
    else:
        content, unread = read_torch_file(path)
        assert torch.equal(content["weight"], torch.ones(2))
        assert unread
    path.write_bytes(pickled(bomb, protocol))
    failure(path)
    written(path, {"weight": torch.ones(2), "bomb": bomb}, _use_new_zipfile_serialization=False)
    assert "\n" not in failure(path)
    assert not mark.exists()


class Setting:
    """Would run code when its state is set."""

    mark: Path

    def __init__(self) -> None:
        self.x = 1

    def __setstate__(self, state: Any) -> None:
        self.mark.touch()

    def __hash__(self) -> int:
        self.mark.touch()
        return 1


def test_no_method_of_a_class_runs(tmp_path: Path, monkeypatch) -> None:
    mark = tmp_path / "it_ran"
    setting = Setting()
    content = {"weight": torch.ones(2), "setting": setting, "set": [setting]}
    monkeypatch.setattr(Setting, "mark", mark, raising=False)
    found, unread = read_torch_file(written(tmp_path / "setting.pt", content))
    assert (found["setting"].state, unread) == ({"x": 1}, (f"{__name__}.Setting",))
    assert found["set"] == [found["setting"]]
    assert not mark.exists()
    # What torch's own classes do with a state is not done either.
    hostile = pickled({"t": strided(0, (4,), (1,)), "options": UNKNOWN})
    path = archived(tmp_path / "state.pt", hostile, {"0": FLOATS})
    assert torch.equal(read_torch_file(path)[0]["t"], torch.tensor([1.0, 2, 3, 4]))
    build = hostile[:-1] + b"}(X\x01\x00\x00\x00tK\x01ub."
    assert read_torch_file(archived(path, build, {"0": FLOATS}))[1] == ("argparse.Namespace",)


def test_a_file_imports_nothing(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "evil_module.py").write_text(f"open({str(tmp_path / 'it_ran')!r}, 'w').close()")
    monkeypatch.syspath_prepend(tmp_path)
    content = pickled({"t": strided(0, (4,), (1,))})[:-1] + b"(X\x01\x00\x00\x00xcevil_module\nKind\nu."
    path = archived(tmp_path / "imports.pt", content, {"0": FLOATS})
    found, unread = read_torch_file(path)
    assert (found["x"].name, unread) == ("evil_module.Kind", ("evil_module.Kind",))
    assert "evil_module" not in sys.modules
    assert not (tmp_path / "it_ran").exists()


# --- pickles that contradict themselves


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (strided(1, (4,), (1,)), "a tensor needs 20 bytes of a storage that has 16"),
        (strided(0, (2, 2), (3, 1)), "a tensor needs 20 bytes of a storage that has 16"),
        (strided(0, (2,), (2**70,)), f"a tensor needs {(2**70 + 1) * 4} bytes of a storage that has 16"),
        (strided(-1, (2,), (1,)), "the offset, the size or the stride of a tensor is not made of integers from 0"),
        (strided(3, (2,), (-1,)), "the offset, the size or the stride of a tensor is not made of integers from 0"),
        (strided(0, (-2,), (1,)), "the offset, the size or the stride of a tensor is not made of integers from 0"),
        (strided(0, (True,), (1,)), "the offset, the size or the stride of a tensor is not made of integers from 0"),
        (strided(0, (2,), ("a",)), "the offset, the size or the stride of a tensor is not made of integers from 0"),
        (strided(0, (2, 2), (1,)), "a tensor has the size (2, 2) and the stride (1,)"),
        (strided(0, [2], [1]), "a tensor has the size [2] and the stride [1]"),
        (strided(0, (2,), (1,), 7), "a tensor is made from 'int', not from a storage"),
        (Called(torch._utils._rebuild_tensor_v2, 1), "TypeError: "),
        (
            strided(0, (2,), (1,), Stored("storage", torch.FloatStorage, "0", "cpu", 5)),
            "the storage '0' has 16 bytes, expected 20",
        ),
        (
            strided(0, (2,), (1,), Stored("storage", torch.DoubleStorage, "0", "cpu", 4)),
            "the storage '0' has 16 bytes, expected 32",
        ),
        (strided(0, (2,), (1,), Stored("storage", torch.FloatStorage, "1", "cpu", 4)), "KeyError: "),
        (strided(0, (2,), (1,), Stored("storage", torch.FloatStorage, "../x", "cpu", 4)), "KeyError: "),
        (Stored("storage", torch.FloatStorage, 0, "cpu", 4), "its pickle describes the storage 0 wrongly"),
        (Stored("storage", "float", "0", "cpu", 4), "its pickle describes the storage '0' wrongly"),
        (Stored("module", 1), "its pickle refers to something outside it that is not a storage"),
        (Called(bytes, 10**12), "its pickle makes a container from 'int', which is none"),
        (Called(bytearray, 10**12), "its pickle makes a container from 'int', which is none"),
        (Called(list, range(10**12)), "its pickle makes a container from 'range', which is none"),
        (Called(torch.Size, range(10**12)), "its pickle makes a container from 'range', which is none"),
        (Called(int, [1]), "its pickle makes 'int' from something else than numbers"),
        (Called(_codecs.encode, "a", "rot13"), "its pickle encodes text as 'rot13', not as"),
    ],
)
def test_hostile_tensors(tmp_path: Path, tensor: Any, reason: str) -> None:
    path = archived(tmp_path / "hostile.pt", pickled({"tensor": tensor, "options": UNKNOWN}), {"0": FLOATS})
    message, _, why = failure(path).partition("\n")
    assert re.search(r": (\w+Error|AssertionError|Exception)", message)
    assert why.startswith(REFUSED + reason)


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        (b"N", "ValueError: "),
        (b"", "ValueError: "),
        (b".", "IndexError: "),
        (b"a.", "its pickle takes more from the stack than there is"),
        (b"]u.", "IndexError: "),
        (b"NNa.", "its pickle appends to 'NoneType'"),
        (b"NNNs.", "its pickle puts items into 'NoneType'"),
        (b"NNR.", "its pickle calls 'NoneType'"),
        (b"cbuiltins\nset\nNR.", "its pickle calls 'Unread'"),
        (b"NN\x93.", "its pickle names a class by something else than text"),
        (b"h\x05.", "KeyError: "),
        (b"j\xff\xff\xff\xff.", "KeyError: "),
        (b"}(NK\x01Nu.", "ValueError: "),
        (b"}(]Nu.", "TypeError: "),
        (b"\x82\x01.", "its pickle uses the operation EXT1, which torch.save never does"),
        (b"P0\n.", "its pickle uses the operation PERSID, which torch.save never does"),
        (b"\x97.", "its pickle uses the operation NEXT_BUFFER, which torch.save never does"),
        (b"\x96\xff\xff\xff\xff\xff\xff\xff\x00.", "ValueError: "),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\x00.", "ValueError: "),
        (b"\xff.", "ValueError: "),
        (b"\x80\x63.", ""),
    ],
)
def test_hostile_operations(tmp_path: Path, hostile: bytes, reason: str) -> None:
    path = archived(tmp_path / "hostile.pt", hostile)
    assert REFUSED + reason in failure(path) or not reason


def test_a_memo_that_is_used_in_every_way() -> None:
    # A list that holds itself, and one index that is given twice.
    found, _ = unpickle(b"]q\x00h\x00ah\x00a.", no_storage)
    assert found[0] is found
    assert len(found) == 2
    found, _ = unpickle(b"(K\x01q\x00K\x02q\x00h\x00r\xff\xff\xff\xffj\xff\xff\xff\xff\x94h\x02l.", no_storage)
    assert found[:4] == [1, 2, 2, 2]


def test_nesting_without_end(tmp_path: Path) -> None:
    depth = 200_000
    start = pickled({"tensor": strided(0, (4,), (1,)), "options": UNKNOWN})[:-1]
    deep = start + b"(X\x01\x00\x00\x00x" + b"]" * depth + b"a" * (depth - 1) + b"u."
    content, unread = read_torch_file(archived(tmp_path / "deep.pt", deep, {"0": FLOATS}))
    assert torch.equal(content["tensor"], torch.tensor([1.0, 2, 3, 4]))
    assert unread == ("argparse.Namespace",)
    key = start + b"}N" + b"\x85" * depth + b"Ns0."
    message = failure(archived(tmp_path / "key.pt", key, {"0": FLOATS}))
    assert message.endswith(": DeepKeyError: its pickle takes tuples that are nested more than 8 deep as a key")
    with pytest.raises(RefusedError, match=r"^its pickle takes tuples that are nested more than 8 deep as a key$"):
        unpickle(b"}N" + b"\x85" * depth + b"Ns.", no_storage)
    for text in (b"\x8f(N" + b"\x85" * depth + b"\x90.", b"(N" + b"\x85" * depth + b"\x91."):
        with pytest.raises(RefusedError, match="nested more than 8 deep"):
            unpickle(text, no_storage)


def test_no_tensor_at_all(tmp_path: Path) -> None:
    path = written(tmp_path / "none.pt", {"options": UNKNOWN, "list": [1, (2, {3})], "state": Callback()})
    message = failure(path)
    assert "argparse.Namespace" in message
    assert "\n" not in message
    holding = argparse.Namespace(inner=[({"x": torch.ones(1)},)])
    content, _ = read_torch_file(written(path, holding))
    assert torch.equal(content.state["inner"][0][0]["x"], torch.ones(1))


def test_operations_of_other_picklers() -> None:
    """Valid pickles that today's pickler does not write: old ones, and those that were optimised by hand."""
    for text, expected in [
        (b"(lp0\nI1\naI01\na.", [1, True]),
        (b"(dp0\nS'a'\nL12L\ns.", {"a": 12}),
        (b"(S'a'\nI2\nd.", {"a": 2}),
        (b"(I1\nI2\nt.", (1, 2)),
        (b"(F1.5\nVx\nl.", [1.5, "x"]),
        (b"]q\x00h\x000.", None),
        (b"]2ee.", None),
        (b"N(I1\n1.", None),
        (b"N(0.", None),
        (b"I7\n2\x86.", (7, 7)),
    ]:
        if text == b"]2ee.":  # what follows a mark that is not there
            with pytest.raises(IndexError):
                unpickle(text, no_storage)
            continue
        found, unread = unpickle(text, no_storage)
        assert unread == ()
        assert found == ([] if text == b"]q\x00h\x000." else expected)
    for text in (b"(cevil\nKind\nI1\no.", b"(I1\nievil\nKind\n.", b"cevil\nKind\n)}\x92."):
        found, unread = unpickle(text, no_storage)
        assert (found.name, unread) == ("evil.Kind", ("evil.Kind",))

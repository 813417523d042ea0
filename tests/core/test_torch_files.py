"""Torch files that torch's safe loader refuses: their tensors are read all the same."""

from __future__ import annotations

import argparse
import collections
import datetime
import enum
import functools
import pathlib
import pickle
import re
import struct
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_pickles import PROTOCOLS, REFUSED, UNKNOWN, archived, failure, pickled, written

from smp_core.errors import WeightsError
from smp_core.tensors import torch_files
from smp_core.tensors.torch_files import Unread, read_torch_file, state_dict_of


class Callback:
    def __init__(self, best: float) -> None:
        self.best, self.history = best, [best, best / 2]


class Slotted:
    __slots__ = ("__dict__", "mode")

    def __init__(self) -> None:
        self.mode, self.patience = "min", 3


class Options(dict):
    """A dict with attributes, as options often are."""


class Mode(enum.Enum):
    MULTICLASS = "multiclass"


Point = collections.namedtuple("Point", "x y")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), nn.Identity()])
        self.tied = self.conv
        self.scale = nn.Parameter(torch.rand(()))
        self.absent = None
        self.register_parameter("nothing", None)
        self.register_buffer("mean", torch.rand(3))
        self.register_buffer("grid", torch.rand(2), persistent=False)


def a_function() -> None:
    raise AssertionError("it ran")


def assert_same(found: Any, expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert type(found[name]) is Tensor
        assert found[name].dtype is tensor.dtype
        assert not found[name].requires_grad
        assert torch.equal(found[name], tensor.detach().cpu()), name


# --- what people save


def test_what_torch_reads_is_read_by_torch(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch_files, "unpickle", None)
    state_dict = nn.Linear(2, 3).state_dict()
    for how in ({}, {"_use_new_zipfile_serialization": False}):
        content, unread = read_torch_file(written(tmp_path / "plain.pth", {"model": state_dict, "epoch": 3}, **how))
        assert_same(content["model"], dict(state_dict))
        assert (content["epoch"], unread) == (3, ())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_checkpoint_of_a_training_program(tmp_path: Path, protocol: int) -> None:
    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters())
    options = Options(lr=0.1)
    options.frozen = True  # type: ignore[attr-defined]
    checkpoint = {
        "epoch": 12,
        "pytorch-lightning_version": "2.1.0",
        "state_dict": net.state_dict(),
        "optimizer_states": [optimizer.state_dict()],
        "callbacks": {"best": Callback(0.5), "slotted": Slotted(), "when": datetime.timedelta(1)},
        "hyper_parameters": argparse.Namespace(lr=0.1, path=pathlib.PurePosixPath("a/b"), mode=Mode.MULTICLASS),
        "options": options,
        "counts": collections.Counter(a=3),
        "groups": collections.defaultdict(a_function, {"a": [1]}),
        "point": Point(1, 2),
        "queue": collections.deque([1, 2]),
        "activation": nn.ReLU,
        "loss": a_function,
        "part": functools.partial(a_function, 1),
        "device": torch.device("cuda:1"),
        "dtype": torch.bfloat16,
        "size": torch.Size([1, 2]),
        "set": {1, 2},
        "frozen": frozenset("a"),
        "bytes": b"\x00\xff",
        "array": bytearray(b"\x01\x80"),
        "numbers": [2**80, -5, 1.5, 2 + 3j, None, True, range(2, 9, 3), slice(1, None)],
    }
    content, unread = read_torch_file(written(tmp_path / "last.ckpt", checkpoint, pickle_protocol=protocol))
    assert_same(content["state_dict"], dict(net.state_dict()))
    assert content["optimizer_states"] == [optimizer.state_dict()]
    plain = ("epoch", "groups", "device", "dtype", "size", "set", "frozen", "bytes", "array", "numbers")
    for name in plain:
        assert content[name] == checkpoint[name], name
        assert type(content[name]) is (dict if name == "groups" else type(checkpoint[name]))
    here = __name__
    standing = {name: item.name for name, item in content.items() if isinstance(item, Unread)}
    assert standing == {
        "hyper_parameters": "argparse.Namespace",
        "options": f"{here}.Options",
        "counts": "collections.Counter",
        "point": f"{here}.Point",
        "queue": "collections.deque",
        "activation": "torch.nn.modules.activation.ReLU",
        "loss": f"{here}.a_function",
        "part": "functools.partial",
    }
    assert content["callbacks"]["best"].state == {"best": 0.5, "history": [0.5, 0.25]}
    expected = {*standing.values(), *(f"{here}.{name}" for name in ("Callback", "Slotted", "Mode"))}
    assert set(unread) - {f"pathlib{private}.PurePosixPath" for private in ("", "._local")} == {
        *expected,
        "datetime.timedelta",
    }
    assert list(unread) == sorted(unread)
    assert repr(content["part"]) == "<unread functools.partial>"


def test_an_old_protocol(tmp_path: Path) -> None:
    callback = {"callback": Callback(0.5), "weight": torch.ones(2), "big": 2**40, "text": "é"}
    content, unread = read_torch_file(written(tmp_path / "old.pt", callback, pickle_protocol=1))
    assert torch.equal(content["weight"], torch.ones(2))
    assert (content["big"], content["text"], unread) == (2**40, "é", (f"{__name__}.Callback",))
    assert content["callback"].name == f"{__name__}.Callback"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tensors_of_every_kind(tmp_path: Path, protocol: int) -> None:
    torch.manual_seed(0)
    base = torch.rand(4, 6)
    tensors = {
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 3),
        "view": base[1:3, ::2],
        "transposed": base.T,
        "expanded": torch.rand(3, 1).expand(3, 5),
        "channels last": torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "parameter": nn.Parameter(torch.rand(2)),
    }
    kinds = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128 uint16 float8_e5m2"
    for kind in kinds.split():
        if hasattr(torch, kind):
            tensors[kind] = torch.arange(5).to(getattr(torch, kind))
    attributed = nn.Parameter(torch.rand(2))
    attributed.no_decay = True  # type: ignore[attr-defined]
    tensors["attributed"] = attributed
    path = written(tmp_path / "kinds.pt", {"tensors": tensors, "options": UNKNOWN}, pickle_protocol=protocol)
    content, unread = read_torch_file(path)
    assert unread == ("argparse.Namespace",)
    found = content["tensors"]
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        assert (found[name].dtype, found[name].shape, found[name].stride()) == (
            tensor.dtype,
            tensor.shape,
            tensor.stride(),
        )
        assert not found[name].requires_grad
        assert torch.equal(found[name].to(torch.complex128), tensor.detach().to(torch.complex128)), name


def test_shared_storages_stay_shared_and_can_be_written_to(tmp_path: Path) -> None:
    base = torch.arange(12.0)
    content = {"whole": base, "part": base[4:8], "same": base, "options": UNKNOWN}
    found, _ = read_torch_file(written(tmp_path / "shared.pt", content))
    found["whole"][5] = -1
    assert found["part"].tolist() == [4, -1, 6, 7]
    assert found["same"] is found["whole"]
    assert base[5] == 5


def test_tensors_that_are_more_than_their_bytes_are_left_out(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = {
            "plain": torch.ones(2),
            "sparse": torch.eye(2).to_sparse(),
            "compressed": torch.eye(2).to_sparse_csr(),
            "quantised": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
            "nested": torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]),
            "meta": torch.ones(2, device="meta"),
            "options": UNKNOWN,
        }
        found, unread = read_torch_file(written(tmp_path / "strange.pt", content))
    assert torch.equal(found.pop("plain"), torch.ones(2))
    assert all(isinstance(item, Unread) for item in found.values())
    assert {"torch._utils._rebuild_sparse_tensor", "torch._utils._rebuild_qtensor", "torch.QInt8Storage"} <= {*unread}


def test_large_storages_are_read_in_blocks(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch_files, "_BLOCK", 7)
    tensor = torch.arange(50)
    found, _ = read_torch_file(written(tmp_path / "large.pt", {"tensor": tensor, "options": UNKNOWN}))
    assert torch.equal(found["tensor"], tensor)


# --- whole modules


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_whole_module(tmp_path: Path, protocol: int, wrapped: bool) -> None:
    torch.manual_seed(0)
    net: nn.Module = nn.DataParallel(Net()) if wrapped else Net()
    content, unread = read_torch_file(written(tmp_path / "model.pt", net, pickle_protocol=protocol))
    assert isinstance(content, Unread)
    assert f"{__name__}.Net" in unread
    assert_same(state_dict_of(content), dict(net.state_dict()))


def test_objects_that_are_no_module(tmp_path: Path) -> None:
    other = Unread("a.B")
    assert state_dict_of(other) == {}
    for state in ({}, [], ({}, {}), (), {"_parameters": {}, "_buffers": {}}, {"_parameters": 1}):
        other.state = state
        assert state_dict_of(other) == {}
    weight = torch.ones(1)
    other.state = (
        {
            "_parameters": {"weight": weight, "none": None, "odd": other, 3: weight},
            "_buffers": {"hidden": weight, "shown": weight},
            "_modules": {"none": None, "plain": Unread("x"), 1: other},
            "_non_persistent_buffers_set": {"hidden"},
        },
        None,
    )
    assert state_dict_of(other) == {"weight": weight, "shown": weight}


def module(**children: Unread) -> Unread:
    made = Unread("evil.Module")
    made.state = {"_parameters": {}, "_buffers": {}, "_modules": children}
    return made


def test_modules_that_never_end() -> None:
    endless = module()
    endless.state["_modules"]["again"] = endless
    doubled = module()
    for _ in range(90):
        doubled = module(a=doubled, b=doubled)
    message = (
        "the pickled 'evil.Module' has more than 100000 modules, or nests them more than 100 deep; save the state dict "
        "of the model instead, model.state_dict()"
    )
    for hostile in (endless, doubled):
        with pytest.raises(WeightsError, match=f"^{re.escape(message)}$"):
            state_dict_of(hostile)


# --- archives that are not what they should be


def test_errors_say_what_torch_says_without_its_advice(tmp_path: Path) -> None:
    path = written(tmp_path / "options.pt", UNKNOWN)
    with pytest.raises(WeightsError) as caught:
        read_torch_file(path)
    assert isinstance(caught.value.__cause__, pickle.UnpicklingError)
    assert re.fullmatch(
        f"cannot read weights from {re.escape(repr(str(path)))}: UnpicklingError: "
        r"[^\n]*argparse\.Namespace[^\n.]*\.?",
        str(caught.value),
    )
    path = tmp_path / "absent.pt"
    assert "FileNotFoundError: [Errno 2]" in failure(path)
    assert "\n" not in failure(path)
    assert failure(tmp_path).endswith(": it is no regular file")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("failed finding central directory", "failed finding central directory"),
        (
            "Weights only load failed. In PyTorch 2.6, `weights_only` went from `False` to `True`. Trust it.\n\n"
            "Trying to load unsupported GLOBAL posix.system whose module posix is blocked.\n\nCheck the documentation "
            "of torch.load to learn more about weights_only",
            "Trying to load unsupported GLOBAL posix.system whose module posix is blocked.",
        ),
        (
            "Weights only load failed. Re-running `torch.load` with `weights_only` set to `False` will succeed.\n "
            "Please file an issue so that we can make `weights_only=True` work: WeightsUnpickler error: Unsupported "
            "class a.B. Ignore it.",
            "Unsupported class a.B.",
        ),
        ("Call it with weights_only=False.", "torch's safe loader refuses an object in it"),
    ],
)
def test_torchs_advice_is_cut(text: str, expected: str) -> None:
    assert torch_files._without_advice(text) == expected


@pytest.mark.parametrize("size", [0, 1, 100, 0.5, 0.99])
def test_truncated_files(tmp_path: Path, size: float) -> None:
    path = written(tmp_path / "cut.pt", {"weight": torch.rand(1000), "options": UNKNOWN})
    content = path.read_bytes()
    path.write_bytes(content[: int(size if size >= 1 else size * len(content))])
    failure(path)


def test_a_storage_that_differs_from_its_checksum(tmp_path: Path) -> None:
    path = written(tmp_path / "flipped.pt", {"weight": torch.full((1000,), 1.5), "options": UNKNOWN})
    content = bytearray(path.read_bytes())
    place = content.index(struct.pack("<f", 1.5) * 3) + 4
    content[place] ^= 1
    path.write_bytes(content)
    assert f"{REFUSED}BadZipFile: Bad CRC-32 for file 'flipped/data/0'" in failure(path)


def rewritten(path: Path, compression: int = zipfile.ZIP_STORED, **changed: bytes) -> Path:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    root = next(iter(members)).partition("/")[0]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in {**members, **{f"{root}/{name}": value for name, value in changed.items()}}.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    """A file that torch refuses and that can be read."""
    return written(tmp_path / "refused.pt", {"weight": torch.ones(4), "options": UNKNOWN})


def test_archives_that_were_written_again(refused: Path) -> None:
    content, _ = read_torch_file(rewritten(refused, byteorder=sys.byteorder.encode()))
    assert torch.equal(content["weight"], torch.ones(4))
    message = failure(rewritten(refused, zipfile.ZIP_DEFLATED))
    assert message.endswith(f"{REFUSED}its members are compressed, which torch.save never does")


def test_another_byte_order(refused: Path) -> None:
    other = "big" if sys.byteorder == "little" else "little"
    message = (
        f"the byte order of its tensors is {other!r}, that of this machine {sys.byteorder!r}; save it again on a "
        "machine of this kind, or only the state dict of the model"
    )
    assert failure(rewritten(refused, byteorder=other.encode())).endswith(REFUSED + message)


def test_a_program(refused: Path) -> None:
    message = failure(rewritten(refused, **{"constants.pkl": b"\x80\x02)."}))
    assert "RuntimeError: Cannot use ``weights_only=True`` with TorchScript archives" in message
    assert message.endswith(f"{REFUSED}a TorchScript archive is a program; save the state dict of the model instead")


def test_members_that_overlap(tmp_path: Path) -> None:
    """Many members that are all the same bytes of a small file would fill the memory."""
    path = archived(tmp_path / "overlap.pt", pickled({"options": UNKNOWN}), {"0": b"\0" * 1000})
    with zipfile.ZipFile(path, "a") as archive:
        last = archive.infolist()[-1]
        for number in range(1, 50):
            copy = zipfile.ZipInfo(f"archive/data/{number}")
            copy.header_offset, copy.file_size, copy.compress_size = last.header_offset, 1000, 1000
            copy.CRC = last.CRC
            archive.filelist.append(copy)
        archive._didModify = True  # type: ignore[attr-defined]
    assert failure(path).endswith(f"{REFUSED}its members are together larger than the file")


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "photos.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "hello")
    assert f"{REFUSED}KeyError: " in failure(path)

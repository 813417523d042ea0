"""What ``encoder_weights`` may be besides a name: files, folders, saved models; and which of several it means."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from toy_models import ToyEncoder, architecture_spec, encoder_spec, randomise

import smp_core
from smp_core.encoder import EncoderBase
from smp_core.errors import OptionError, WeightsError
from smp_core.plugin import WeightsSpec
from smp_core.registry import resolve_encoder
from smp_core.sources import tensor_files
from smp_core.sources.weights import Chosen, HubRepository, choose_weights, obvious_file


def state_dict(seed: int = 0) -> dict[str, Tensor]:
    encoder = ToyEncoder()
    randomise(encoder, seed)
    return encoder.state_dict()


def save(path: Path, tensors: dict[str, Tensor]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return path


@pytest.fixture(autouse=True)
def installed(install, tmp_path: Path) -> None:
    file = save(tmp_path / "of_the_plugin.safetensors", state_dict())
    weights = {"imagenet": WeightsSpec(file=str(file))}
    install(encoder_spec(weights=weights, default_weights="imagenet"), architecture_spec())


def loaded(weights: Any, **options: Any) -> dict[str, Tensor]:
    return smp_core.create_encoder("toy_encoder", weights=weights, **options).state_dict()


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)


# --- folders


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["model.safetensors", "pytorch_model.bin", "other.safetensors"], "model.safetensors"),
        (["pytorch_model.bin", "other.safetensors", "config.json"], "pytorch_model.bin"),
        (["toy.safetensors", "README.md"], "toy.safetensors"),
        (["toy-0123.pth"], "toy-0123.pth"),
        (["toy.pt", "deeper/toy.pt", "deeper/model.safetensors"], "toy.pt"),
        (["toy.bin", "training.json"], "toy.bin"),
    ],
)
def test_a_folder_with_an_obvious_file(tmp_path: Path, names: list[str], chosen: str, kind: type) -> None:
    folder = tmp_path / "weights"
    for seed, name in enumerate(names):
        if name.endswith((".safetensors", ".pth", ".pt", ".bin")):
            save(folder / name, state_dict(seed))
        else:
            (folder / name).write_text("{}")
    assert obvious_file(names) == chosen
    assert same(loaded(kind(folder)), state_dict(names.index(chosen)))


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([], "no file"),
        (["README.md", "config.json"], "README.md, config.json"),
        (["a.pth", "b.pth", "c.txt"], "a.pth, b.pth, c.txt"),
        ([f"{letter}.pth" for letter in "abcdefghijkl"], "a.pth, b.pth, c.pth, d.pth, e.pth, f.pth, g.pth, h.pth, "),
    ],
)
def test_a_folder_without_one(tmp_path: Path, names: list[str], shown: str) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in names:
        (folder / name).write_text("")
    if len(names) > 10:
        shown += "i.pth, j.pth and 2 more"
    message = (
        f"encoder_weights={str(folder)!r} is a folder (and no weight set of encoder 'toy_encoder': imagenet) without "
        "one obvious weight file: expected model.safetensors or pytorch_model.bin, or one file that ends in "
        f".safetensors, .pth, .pt, .bin; it holds {shown}; pass the path of the file"
    )
    for build in (
        lambda: smp_core.create("toy", "toy_encoder", encoder_weights=folder),
        lambda: smp_core.create_encoder("toy_encoder", weights=str(folder)),
    ):
        with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
            build()


# --- what is meant when it is several things


def test_a_name_is_the_weight_set_and_a_path_the_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "imagenet", state_dict(seed=5))
    assert same(loaded("imagenet"), state_dict())
    for path in ("./imagenet", Path("imagenet"), tmp_path / "imagenet"):
        assert same(loaded(path), state_dict(seed=5))
    save(tmp_path / "mine", state_dict(seed=6))  # no weight set is called so
    assert same(loaded("mine"), state_dict(seed=6))


def test_a_repository_is_one_also_where_there_is_such_a_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hf-hub:acme").mkdir()
    (tmp_path / "hf-hub:acme" / "toy").mkdir()
    spec = resolve_encoder("toy_encoder").spec
    assert choose_weights(spec, "hf-hub:acme/toy") == Chosen(place=HubRepository("acme/toy", None))


@pytest.mark.parametrize(
    ("text", "repo_id", "revision"),
    [
        ("hf-hub:acme/toy", "acme/toy", None),
        ("hf-hub:acme/toy.in1k_v-2@v1.0", "acme/toy.in1k_v-2", "v1.0"),
        ("hf-hub:acme/toy@refs/pr/3", "acme/toy", "refs/pr/3"),
    ],
)
def test_repositories(text: str, repo_id: str, revision: str | None) -> None:
    found = choose_weights(resolve_encoder("toy_encoder").spec, text)
    assert found == Chosen(place=HubRepository(repo_id, revision))
    assert str(found.place) == text


@pytest.mark.parametrize(
    "text", ["", "acme", "acme/", "/toy", "a/b/c", "acme/toy@", "acme/toy@a@b", "ac me/toy", "@v1"]
)
def test_malformed_repositories(text: str) -> None:
    message = (
        f"encoder_weights='hf-hub:{text}' names no Hub repository; expected 'hf-hub:owner/name', or "
        "'hf-hub:owner/name@revision' with a commit, tag or branch"
    )
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        smp_core.create("toy", "toy_encoder", encoder_weights=f"hf-hub:{text}")


@pytest.mark.parametrize("nothing", ["", "no/such/file.pth", Path("no/such/folder")])
def test_a_path_that_is_not_there(nothing: Any) -> None:
    with pytest.raises(OptionError, match=re.escape(f"encoder_weights={nothing!r} is neither a weight set of encoder")):
        loaded(nothing)


# --- whole models


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_the_encoder_of_a_whole_model(tmp_path: Path, suffix: str) -> None:
    model = smp_core.create("toy", "toy_encoder", encoder_weights=None)
    randomise(model, seed=7)
    path = save(tmp_path / f"whole{suffix}", model.state_dict())
    encoder = smp_core.create_encoder("toy_encoder", depth=3, weights=path)
    assert same(encoder.state_dict(), model.encoder.state_dict())


def test_the_encoder_of_a_saved_model(tmp_path: Path) -> None:
    model = smp_core.create("toy", "toy_encoder", encoder_weights=None, in_channels=4, encoder_depth=4, classes=7)
    randomise(model, seed=8)
    folder = model.save_pretrained(tmp_path / "saved")
    other = smp_core.create("toy", "toy_encoder", encoder_weights=folder, in_channels=4, encoder_depth=2)
    expected = {name: tensor for name, tensor in model.encoder.state_dict().items() if name[5] in "12"}
    assert same(other.encoder.state_dict(), expected)
    assert (other.config["encoder_weights"], other.preprocessing) == (None, None)


def test_a_whole_model_over_another_encoder_does_not_fit(tmp_path: Path) -> None:
    path = save(tmp_path / "whole.pth", {"encoder.conv.weight": torch.zeros(1), "decoder.weight": torch.zeros(1)})
    with pytest.raises(WeightsError, match="do not fit encoder 'toy_encoder'") as caught:
        loaded(path)
    assert 'Unexpected key(s) in state_dict: "conv.weight"' in str(caught.value)
    assert "decoder" not in str(caught.value)


class Nested(EncoderBase):
    """An encoder with a part that is called encoder itself."""

    def __init__(self, *, in_channels: int = 3, depth: int = 1, output_stride: int = 32) -> None:
        shape = {"out_channels": (in_channels, 4), "reductions": (1, 2), "in_channels": in_channels}
        super().__init__(**shape, depth=depth, output_stride=output_stride)
        self.encoder = nn.Conv2d(in_channels, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x, self.norm(self.encoder(x))]


def test_an_encoder_with_a_part_called_encoder(install, tmp_path: Path, monkeypatch) -> None:
    import toy_models

    monkeypatch.setattr(toy_models, "Nested", Nested, raising=False)
    shape = {"out_channels": (3, 4), "reductions": (1, 2), "max_depth": 1, "dilation": ()}
    install(encoder_spec(name="nested", target="toy_models:Nested", **shape), distribution="acme-smp-nested")
    encoder = Nested()
    randomise(encoder, seed=9)
    path = save(tmp_path / "nested.pth", encoder.state_dict())
    found = smp_core.create_encoder("nested", weights=path)
    assert same(found.state_dict(), encoder.state_dict())
    whole = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    path = save(tmp_path / "whole.pth", {**whole, "decoder.weight": torch.zeros(1)})
    found = smp_core.create_encoder("nested", weights=path)
    assert same(found.state_dict(), encoder.state_dict())


def test_half_a_file(tmp_path: Path) -> None:
    for name in ("toy.safetensors", "toy.pth"):
        path = save(tmp_path / name, state_dict())
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(WeightsError, match=f"^cannot read weights from {re.escape(repr(str(path)))}: "):
            loaded(path)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64], ids=str)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_weights_that_are_no_floating_point_numbers(tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    state_dict = smp_core.create_encoder("toy_encoder", weights=None).state_dict()
    other = {key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in state_dict.items()}
    if name.endswith(".pth"):
        torch.save(other, tmp_path / name)
    else:
        save_file(other, tmp_path / name)
    message = (
        rf"do not fit encoder 'toy_encoder': [\w.]+ is stored as {dtype}; expected floating-point numbers, as torch"
    )
    with pytest.raises(WeightsError, match=message):
        smp_core.create_encoder("toy_encoder", weights=tmp_path / name)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "it is empty"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "it is a pointer of git-lfs, not the file itself",
        ),
        (b"\n<!DOCTYPE html><html>", "it is a page of a web site, not the file itself; download it anew"),
        (safetensors.torch.save({"a": torch.ones(3)}), "it is a safetensors file; its name must end in .safetensors"),
    ],
    ids=["empty", "git-lfs", "page", "safetensors"],
)
def test_files_that_are_no_weights(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    message = f"cannot read weights from {str(path)!r}: {what}"
    with pytest.raises(WeightsError, match=f"^{re.escape(message)}"):
        smp_core.create_encoder("toy_encoder", weights=path)


def test_the_encoder_of_a_sharded_model(tmp_path: Path) -> None:
    model = smp_core.create("toy", "toy_encoder", encoder_weights=None, encoder_depth=4)
    randomise(model)
    model.save_pretrained(tmp_path, max_shard_size=4000)
    assert (tmp_path / "model.safetensors.index.json").exists()
    encoder = smp_core.create_encoder("toy_encoder", weights=tmp_path)
    expected = model.encoder.state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in encoder.state_dict().items())
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"model\.safetensors\.index\.json' is damaged: 'weight_map' must map"):
        smp_core.create_encoder("toy_encoder", weights=tmp_path)


def test_a_first_convolution_of_no_channels(tmp_path: Path) -> None:
    state_dict = smp_core.create_encoder("toy_encoder", weights=None).state_dict()
    state_dict["stage1.0.weight"] = torch.zeros(4, 0, 3, 3)
    torch.save(state_dict, tmp_path / "w.pth")
    message = "w.pth' hold a first convolution 'stage1.0.weight' of no input channels"
    with pytest.raises(WeightsError, match=f"{re.escape(message)}$"):
        smp_core.create_encoder("toy_encoder", weights=tmp_path / "w.pth")


def test_a_file_that_is_replaced_while_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """safetensors opens it twice: it must not give the names of one file and the numbers of another."""
    older, newer = state_dict(), {key: tensor + 1 for key, tensor in state_dict().items()}
    path = save(tmp_path / "toy.safetensors", older)
    opens, times = tensor_files._open, [0]

    def replaces(where: Path, mmap: bool) -> Any:
        opened = opens(where, mmap)
        times[0] += 1
        if times[0] == 1:
            os.replace(save(tmp_path / "other.safetensors", newer), where)
        return opened

    monkeypatch.setattr(tensor_files, "_open", replaces)
    assert same(loaded(path), newer)
    assert times == [2]
    monkeypatch.setattr(tensor_files, "_which", lambda _: secrets.token_bytes())
    message = f"cannot read weights from {str(path)!r}: {str(path)!r} was replaced while it was opened; try again"
    with pytest.raises(WeightsError, match=f"^{re.escape(message)}"):
        loaded(path)

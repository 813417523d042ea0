"""Pretrained weights: which are meant, where they are, whether they are what they claim, and how they get in."""

from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from toy_models import ToyEncoder, architecture_spec, encoder_spec, randomise

import smp_core
from smp_core.encoder import patch_first_convolution
from smp_core.errors import OptionError, PluginError, WeightsError
from smp_core.plugin import WeightsSpec
from smp_core.registry import resolve_encoder
from smp_core.sources.weights import choose_weights
from smp_core.tensors.files import read_state_dict

_FIRST = "stage1.0.weight"


def full_state_dict(seed: int = 0) -> dict[str, Tensor]:
    """As pretrained weights are published: the whole backbone, classifier included."""
    encoder = ToyEncoder()
    randomise(encoder, seed)
    generator = torch.Generator().manual_seed(seed)
    return {**encoder.state_dict(), "classifier.weight": torch.rand(10, 16, generator=generator)}


@pytest.fixture
def state_dict() -> dict[str, Tensor]:
    return full_state_dict()


@pytest.fixture
def file(tmp_path: Path, state_dict: dict[str, Tensor]) -> Path:
    path = tmp_path / "toy.safetensors"
    save_file(state_dict, path)
    return path


@pytest.fixture
def trained(install, file: Path, tmp_path: Path) -> None:
    """The toy encoder with two sets of weights; the second is trained on other input."""
    other = tmp_path / "other.safetensors"
    save_file(full_state_dict(seed=1), other)
    weights = {
        "imagenet": WeightsSpec(file=str(file), sha256=hashlib.sha256(file.read_bytes()).hexdigest()),
        "caffe": WeightsSpec(
            file=str(other), mean=(104, 117, 123), std=(1, 1, 1), input_space="BGR", input_range=(0, 255)
        ),
    }
    install(encoder_spec(weights=weights, default_weights="imagenet"), architecture_spec())


def assert_loaded(encoder: torch.nn.Module, expected: dict[str, Tensor]) -> None:
    loaded = encoder.state_dict()
    assert loaded
    for name, tensor in loaded.items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)


@pytest.mark.usefixtures("trained")
def test_the_default_weights(state_dict) -> None:
    model = smp_core.create("toy", "toy_encoder", encoder_depth=4)
    assert_loaded(model.encoder, state_dict)
    assert model.config["encoder_weights"] == "imagenet"
    assert model.preprocessing is not None
    assert model.preprocessing.to_dict() == model.config["_smp_core"]["preprocessing"]
    assert model.preprocessing.mean == (0.485, 0.456, 0.406)
    assert_loaded(smp_core.create_encoder("toy_encoder"), state_dict)


@pytest.mark.usefixtures("trained")
def test_named_weights() -> None:
    model = smp_core.create("toy", "toy_encoder", encoder_weights="caffe")
    assert_loaded(model.encoder, full_state_dict(seed=1))
    assert model.config["encoder_weights"] == "caffe"
    assert model.preprocessing is not None
    assert model.preprocessing.to_dict() == {
        "mean": [104, 117, 123],
        "std": [1, 1, 1],
        "input_space": "BGR",
        "input_range": [0, 255],
    }


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.usefixtures("trained")
def test_a_local_file(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "mine.safetensors"
    save_file(full_state_dict(seed=2), path)
    model = smp_core.create("toy", "toy_encoder", encoder_weights=kind(path))
    assert_loaded(model.encoder, full_state_dict(seed=2))
    # Nobody but its user knows how the images of a local file were prepared, and a config names no local path.
    assert model.preprocessing is None
    assert model.config["encoder_weights"] is None


@pytest.mark.parametrize("nothing", [None, False])
@pytest.mark.usefixtures("trained")
def test_no_weights(nothing: Any, offline: list[str]) -> None:
    torch.manual_seed(0)
    first = smp_core.create("toy", "toy_encoder", encoder_weights=nothing)
    torch.manual_seed(0)
    second = smp_core.create("toy", "toy_encoder", encoder_weights=nothing)
    assert_loaded(first.encoder, second.encoder.state_dict())
    assert (first.preprocessing, first.config["encoder_weights"], offline) == (None, None, [])


@pytest.mark.usefixtures("trained")
def test_weights_that_are_nothing() -> None:
    message = (
        "encoder_weights='imagnet' is neither a weight set of encoder 'toy_encoder' (imagenet, caffe) nor a local "
        "file or folder; expected True, None, one of these names, the path of a .safetensors or torch file or of a "
        "folder with one, or 'hf-hub:owner/name[@revision]'"
    )
    for build in (
        lambda: smp_core.create("toy", "toy_encoder", encoder_weights="imagnet"),
        lambda: smp_core.create_encoder("toy_encoder", weights="imagnet"),
    ):
        with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
            build()
    for nonsense in (3, b"imagenet", ["imagenet"], Path("nowhere")):
        with pytest.raises(OptionError, match=re.escape(f"encoder_weights={nonsense!r} is neither a weight set")):
            choose_weights(resolve_encoder("toy_encoder").spec, nonsense)  # type: ignore[arg-type]


def test_an_encoder_without_weights(toys) -> None:
    message = "encoder 'toy_encoder' has no pretrained weights; pass encoder_weights=None, or a local file"
    with pytest.raises(OptionError, match=f"^{message}$"):
        smp_core.create("toy", "toy_encoder")


@pytest.mark.usefixtures("trained")
def test_weights_are_chosen_before_anything_is_built(monkeypatch) -> None:
    monkeypatch.setattr(ToyEncoder, "__init__", None)
    with pytest.raises(OptionError, match="is neither a weight set"):
        smp_core.create("toy", "toy_encoder", encoder_weights="imagnet")


# --- truncation, channels


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.usefixtures("trained")
def test_a_truncated_encoder_takes_the_full_state_dict(depth: int, state_dict) -> None:
    encoder = smp_core.create_encoder("toy_encoder", depth=depth)
    assert_loaded(encoder, state_dict)
    assert {name.split(".")[0] for name in encoder.state_dict()} == {f"stage{n}" for n in range(1, depth + 1)}


def test_loading_leaves_the_callers_dict_as_it_was(state_dict) -> None:
    before = {name: tensor.clone() for name, tensor in state_dict.items()}
    handed_out = dict(state_dict)
    outer = torch.nn.ModuleDict({"inner": ToyEncoder(depth=2)})
    assert not any(ToyEncoder(depth=1).load_state_dict(handed_out))
    nested = {f"inner.{name}": tensor for name, tensor in state_dict.items()}
    keys = list(nested)
    assert not any(outer.load_state_dict(nested))
    assert list(nested) == keys
    assert list(handed_out) == list(before)
    for name, tensor in before.items():
        torch.testing.assert_close(handed_out[name], tensor, rtol=0, atol=0)


def test_only_stages_that_are_not_built_are_ignored(state_dict) -> None:
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "stage9.weight"'):
        ToyEncoder(depth=2).load_state_dict({**state_dict, "stage9.weight": torch.zeros(1)})
    del state_dict["stage2.0.weight"]
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "stage2.0.weight"'):
        ToyEncoder(depth=2).load_state_dict(state_dict)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 13])
@pytest.mark.usefixtures("trained")
def test_three_channel_weights_fit_any_number_of_channels(channels: int, state_dict) -> None:
    encoder = smp_core.create_encoder("toy_encoder", in_channels=channels)
    weight, pretrained = encoder.get_parameter(_FIRST), state_dict[_FIRST]
    if channels == 1:
        expected = pretrained[:, 0] + pretrained[:, 1] + pretrained[:, 2]
        torch.testing.assert_close(weight, expected[:, None])
    else:
        expected = torch.stack([pretrained[:, index % 3] for index in range(channels)], dim=1) * 3 / channels
        torch.testing.assert_close(weight, expected)
    if channels == 3:
        assert torch.equal(weight, pretrained)
    assert weight.is_contiguous()
    rest = {name: tensor for name, tensor in encoder.state_dict().items() if name != _FIRST}
    for name, tensor in rest.items():
        torch.testing.assert_close(tensor, state_dict[name], rtol=0, atol=0)


@pytest.mark.parametrize("channels", [1, 3, 6, 9])
def test_a_grey_image_gives_what_it_gave(channels: int, state_dict) -> None:
    """Any whole number of repetitions of three channels, and the sum, respond alike to equal channels."""
    weight = patch_first_convolution(state_dict, "stage1.0", channels)[_FIRST]
    grey = torch.rand(1, 1, 8, 8)
    expected = torch.conv2d(grey.repeat(1, 3, 1, 1), state_dict[_FIRST])
    torch.testing.assert_close(torch.conv2d(grey.repeat(1, channels, 1, 1), weight), expected)


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_preprocessing_of_weights_is_for_their_own_channels(channels: int) -> None:
    model = smp_core.create("toy", "toy_encoder", in_channels=channels)
    assert (model.preprocessing is not None) is (channels == 3)


def test_patching_returns_a_new_dict(state_dict) -> None:
    before = state_dict[_FIRST].clone()
    patched = patch_first_convolution(state_dict, "stage1.0", 5)
    assert patched.keys() == state_dict.keys()
    assert torch.equal(state_dict[_FIRST], before)


@pytest.mark.usefixtures("trained")
def test_weights_that_have_the_wanted_channels_already(tmp_path: Path) -> None:
    satellite = ToyEncoder(in_channels=5)
    randomise(satellite)
    path = tmp_path / "satellite.safetensors"
    save_file(satellite.state_dict(), path)
    assert_loaded(smp_core.create_encoder("toy_encoder", in_channels=5, weights=path), satellite.state_dict())


def test_an_encoder_that_does_not_name_its_first_convolution(install, file, monkeypatch) -> None:
    monkeypatch.setattr(ToyEncoder, "first_convolution", "")
    install(encoder_spec())
    message = (
        "encoder 'toy_encoder' does not say which convolution sees the input (first_convolution=''), so 3-channel "
        "weights cannot be fitted to in_channels=4; pass encoder_weights=None"
    )
    with pytest.raises(WeightsError, match=f"^{re.escape(message)}$"):
        smp_core.create_encoder("toy_encoder", in_channels=4, weights=file)
    smp_core.create_encoder("toy_encoder", weights=file)


# --- files that are not what they should be


@pytest.mark.usefixtures("trained")
def test_a_file_that_does_not_fit(tmp_path: Path, state_dict) -> None:
    path = tmp_path / "wrong.safetensors"
    save_file({"stage1.0.weight": torch.zeros(2, 2), "other": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="do not fit encoder 'toy_encoder'") as caught:
        smp_core.create("toy", "toy_encoder", encoder_weights=path)
    message = str(caught.value)
    assert message.startswith(f"file {str(path)!r}")
    for part in ('Missing key(s) in state_dict: "stage1.1.weight"', 'Unexpected key(s) in state_dict: "other"'):
        assert part in message
    assert "size mismatch for stage1.0.weight" in message


@pytest.mark.parametrize("name", ["damaged.safetensors", "damaged.pth"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x80\x04garbage"])
@pytest.mark.usefixtures("trained")
def test_a_damaged_file(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"^cannot read weights from {re.escape(repr(str(path)))}: "):
        smp_core.create("toy", "toy_encoder", encoder_weights=path)


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('the file ran')",))


@pytest.mark.usefixtures("trained")
def test_no_code_of_a_file_runs(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    torch.save({"weight": _Bomb()}, path)
    with pytest.raises(WeightsError, match=r"cannot read weights from .*: UnpicklingError"):
        smp_core.create("toy", "toy_encoder", encoder_weights=path)
    path.write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(WeightsError, match="cannot read weights from"):
        read_state_dict(path)


def test_torch_files(tmp_path: Path, state_dict) -> None:
    plain, wrapped, wrong = tmp_path / "plain.pth", tmp_path / "wrapped.pt", tmp_path / "wrong.bin"
    torch.save(state_dict, plain)
    torch.save({"state_dict": state_dict, "epoch": 3}, wrapped)
    torch.save([1, 2, 3], wrong)
    for path in (plain, wrapped, str(wrapped)):
        found = read_state_dict(path)
        assert found.keys() == state_dict.keys()
        assert all(torch.equal(found[name], state_dict[name]) for name in found)
    for content in ([1, 2, 3], {"epoch": 3}, {"state_dict": {"epoch": 3}}):
        torch.save(content, wrong)
        message = f"{str(wrong)!r} does not hold a state dict: expected a mapping of names to tensors"
        with pytest.raises(WeightsError, match=f"^{re.escape(message)}$"):
            read_state_dict(wrong)


def test_a_checksum_that_differs(install, file: Path) -> None:
    weights = {"imagenet": WeightsSpec(file=str(file), sha256="0" * 64)}
    install(encoder_spec(weights=weights, default_weights="imagenet"))
    actual = hashlib.sha256(file.read_bytes()).hexdigest()
    message = (
        f"weights 'imagenet' of encoder 'toy_encoder': {file} has sha256 {actual}, expected {'0' * 64}; "
        "delete the file and try again"
    )
    with pytest.raises(WeightsError, match=f"^{re.escape(message)}$"):
        smp_core.create_encoder("toy_encoder")


# --- where weights are


def test_weights_that_ship_with_a_plugin(install, tmp_path, monkeypatch, state_dict) -> None:
    package = tmp_path / "acme_bundled"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    save_file(state_dict, package / "data" / "toy.safetensors")
    monkeypatch.syspath_prepend(tmp_path)
    weights = {
        "shipped": WeightsSpec(file="acme_bundled:data/toy.safetensors"),
        "forgotten": WeightsSpec(file="acme_bundled:data/other.safetensors"),
        "nowhere": WeightsSpec(file="acme_not_there:data/toy.safetensors"),
    }
    install(encoder_spec(weights=weights, default_weights="shipped"))
    assert_loaded(smp_core.create_encoder("toy_encoder"), state_dict)
    missing = str(package / "data" / "other.safetensors")
    message = f"the file {missing!r} is missing; reinstall the plugin that ships it"
    with pytest.raises(WeightsError, match=f"^weights 'forgotten' of encoder 'toy_encoder': {re.escape(message)}$"):
        smp_core.create_encoder("toy_encoder", weights="forgotten")
    message = "the package 'acme_not_there' of 'acme_not_there:data/toy.safetensors' is not installed"
    with pytest.raises(WeightsError, match=f"^weights 'nowhere' of encoder 'toy_encoder': {message}$"):
        smp_core.create_encoder("toy_encoder", weights="nowhere")


def test_weights_of_a_foreign_spelling(install, tmp_path: Path, state_dict) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({name.replace("stage", "block"): tensor for name, tensor in state_dict.items()}, path)
    weights = {
        "foreign": WeightsSpec(file=str(path), convert="toy_models:swap_stages"),
        "lost": WeightsSpec(file=str(path), convert="toy_models:not_there"),
        "raises": WeightsSpec(file=str(path), convert="math:sqrt"),
    }
    install(encoder_spec(weights=weights, default_weights="foreign"))
    for channels in (3, 4):
        encoder = smp_core.create_encoder("toy_encoder", in_channels=channels)
        assert torch.equal(encoder.get_parameter("stage3.0.weight"), state_dict["stage3.0.weight"])
    message = "weights 'lost' of acme-smp-toy/toy_encoder: module 'toy_models' has no 'not_there'"
    with pytest.raises(PluginError, match=f"^{message}"):
        smp_core.create_encoder("toy_encoder", weights="lost")
    message = "weights 'raises' of acme-smp-toy/toy_encoder: converting them raised TypeError: must be real number"
    with pytest.raises(PluginError, match=f"^{message}"):
        smp_core.create_encoder("toy_encoder", weights="raises")

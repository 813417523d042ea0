"""Pretrained weights and their input: other channels, files that belong to a set, preprocessing of one's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from toy_models import ToyEncoder, architecture_spec, encoder_spec, randomise

import smp_core
from smp_core.errors import OptionError, WeightsError
from smp_core.inputs import Preprocessing
from smp_core.plugin import WeightsSpec
from smp_core.tensors.channels import fit_weight

_FIRST = "stage1.0.weight"


def write(path: Path, in_channels: int = 3, seed: int = 0) -> dict[str, torch.Tensor]:
    encoder = ToyEncoder(in_channels=in_channels)
    randomise(encoder, seed)
    save_file(encoder.state_dict(), path)
    return encoder.state_dict()


@pytest.fixture
def trained(install, tmp_path: Path) -> dict[str, torch.Tensor]:
    state_dict = write(tmp_path / "toy.safetensors")
    weights = {"imagenet": WeightsSpec(file=str(tmp_path / "toy.safetensors"), mean=(0.5, 0.5, 0.5))}
    foreign = WeightsSpec(
        file="nowhere", convert="toy_models:swap_stages", mean=(1, 2, 3), std=(1, 1, 1), input_range=(0, 4)
    )
    weights["foreign"] = foreign
    install(encoder_spec(weights=weights, default_weights="imagenet"), architecture_spec())
    return state_dict


# --- channels


@given(st.integers(1, 14), st.integers(0, 100))
def test_a_grey_image_gives_exactly_what_it_gave(channels: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.rand(2, 3, 3, 3, generator=generator, dtype=torch.float64) - 0.5
    grey = torch.rand(1, 1, 8, 8, generator=generator, dtype=torch.float64)
    expected = torch.conv2d(grey.repeat(1, 3, 1, 1), weight, padding=1)
    fitted = fit_weight(weight, channels, "mean_preserving")
    assert fitted.shape == (2, channels, 3, 3)
    torch.testing.assert_close(torch.conv2d(grey.repeat(1, channels, 1, 1), fitted, padding=1), expected)
    if channels % 3 == 0 or channels == 1:
        torch.testing.assert_close(fitted, fit_weight(weight, channels, "smp"))


@given(st.integers(3, 14))
def test_an_image_that_repeats_the_channels_gives_what_it_gave(channels: int) -> None:
    generator = torch.Generator().manual_seed(channels)
    weight, image = torch.rand(2, 3, 3, 3, generator=generator), torch.rand(1, 3, 8, 8, generator=generator)
    fitted = fit_weight(weight, channels, "mean_preserving")
    repeated = image[:, torch.arange(channels) % 3]
    torch.testing.assert_close(torch.conv2d(repeated, fitted), torch.conv2d(image, weight))


def test_smps_way_is_off_for_four_channels() -> None:
    weight = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    grey = torch.ones(1, 4, 1, 1)
    assert torch.conv2d(grey, fit_weight(weight, 4, "smp")).item() == 1.5
    assert torch.conv2d(grey, fit_weight(weight, 4, "mean_preserving")).item() == 1.0


@pytest.mark.parametrize("fitting", ["smp", "mean_preserving"])
def test_the_user_chooses_how(trained, fitting: str) -> None:
    expected = fit_weight(trained[_FIRST], 4, fitting)
    model = smp_core.create("toy", "toy_encoder", in_channels=4, channel_fitting=fitting)
    assert torch.equal(model.encoder.state_dict()[_FIRST], expected)
    encoder = smp_core.create_encoder("toy_encoder", in_channels=4, channel_fitting=fitting)
    assert torch.equal(encoder.state_dict()[_FIRST], expected)
    assert model.blueprint.channel_fitting == fitting


@pytest.mark.usefixtures("trained")
def test_no_other_way() -> None:
    message = "unknown channel_fitting 'average'; expected one of smp, mean_preserving, zero_new"
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        smp_core.create("toy", "toy_encoder", channel_fitting="average")


class TwoFirst(ToyEncoder):
    """Two convolutions see the input."""

    further_first_convolutions = ("beside",)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.beside = torch.nn.Conv2d(options["in_channels"], 4, 1, stride=2)


def test_every_convolution_that_sees_the_input(install, tmp_path: Path, monkeypatch) -> None:
    import toy_models

    monkeypatch.setattr(toy_models, "TwoFirst", TwoFirst, raising=False)
    install(encoder_spec(target="toy_models:TwoFirst"))
    encoder = TwoFirst(in_channels=3)
    torch.save(encoder.state_dict(), tmp_path / "two.pth")
    fitted = smp_core.create_encoder("toy_encoder", in_channels=5, weights=tmp_path / "two.pth").state_dict()
    for name in (_FIRST, "beside.weight"):
        assert torch.equal(fitted[name], fit_weight(encoder.state_dict()[name], 5))


@pytest.mark.parametrize("wanted", [1, 3, 12, 14])
def test_files_of_other_channels_are_not_fitted(trained, tmp_path: Path, wanted: int) -> None:
    path = tmp_path / "satellite.safetensors"
    state_dict = write(path, in_channels=13)
    message = (
        f"file {str(path)!r} were trained on 13 input channels, and the encoder 'toy_encoder' is to have "
        f"in_channels={wanted}; only 3-channel weights can be fitted to other channels: pass in_channels=13, or cut or "
        f"repeat the weight '{_FIRST}' yourself as your channels ask for"
    )
    with pytest.raises(WeightsError, match=f"^{re.escape(message)}$"):
        smp_core.create("toy", "toy_encoder", encoder_weights=path, in_channels=wanted)
    model = smp_core.create("toy", "toy_encoder", encoder_weights=path, in_channels=13)
    assert torch.equal(model.encoder.state_dict()[_FIRST], state_dict[_FIRST])


# --- a file of a set


def test_a_file_together_with_the_set_it_belongs_to(trained, tmp_path: Path) -> None:
    state_dict = write(tmp_path / "mirror.safetensors", seed=5)
    foreign = {name.replace("stage", "block"): tensor for name, tensor in state_dict.items()}
    save_file(foreign, tmp_path / "mirror.safetensors")
    model = smp_core.create("toy", "toy_encoder", encoder_weights=("foreign", tmp_path / "mirror.safetensors"))
    assert all(torch.equal(tensor, state_dict[name]) for name, tensor in model.encoder.state_dict().items())
    assert model.preprocessing is not None
    assert model.preprocessing.mean == (1, 2, 3)
    assert model.config["encoder_weights"] == "foreign"
    (tmp_path / "folder").mkdir()
    save_file(foreign, tmp_path / "folder" / "model.safetensors")
    encoder = smp_core.create_encoder("toy_encoder", weights=("foreign", str(tmp_path / "folder")))
    assert torch.equal(encoder.state_dict()[_FIRST], state_dict[_FIRST])


@pytest.mark.parametrize(
    ("pair", "problem"),
    [
        (("imagnet", "toy.pth"), ": encoder 'toy_encoder' has no weight set 'imagnet'; it has imagenet, foreign"),
        ((["imagenet"], "toy.pth"), ": encoder 'toy_encoder' has no weight set ['imagenet']; it has imagenet, foreign"),
        (
            ("imagenet", "nowhere.pth"),
            ": 'nowhere.pth' is no local file or folder, and no 'hf-hub:owner/name[@revision]'",
        ),
        (("imagenet", None), ": None is no local file or folder, and no 'hf-hub:owner/name[@revision]'"),
        (("imagenet",), " is neither a weight set of encoder"),
        (("imagenet", "a", "b"), " is neither a weight set of encoder"),
    ],
)
@pytest.mark.usefixtures("trained")
def test_a_pair_of_something_else(pair: Any, problem: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(f'encoder_weights={pair!r}{problem}')}"):
        smp_core.create("toy", "toy_encoder", encoder_weights=pair)


def test_a_state_dict_is_not_printed_whole(trained) -> None:
    with pytest.raises(OptionError, match="is neither a weight set of encoder") as caught:
        smp_core.create("toy", "toy_encoder", encoder_weights=trained)
    assert len(str(caught.value)) < 600


# --- preprocessing of one's own


@pytest.mark.usefixtures("trained")
def test_preprocessing_is_given_and_saved(tmp_path: Path) -> None:
    own = Preprocessing(mean=(0.1, 0.2, 0.3, 0.4), std=(1, 1, 1, 1))
    for given_as in (own, own.to_dict()):
        model = smp_core.create("toy", "toy_encoder", in_channels=4, preprocessing=given_as)
        assert model.preprocessing == model.blueprint.preprocessing == own
    model.save_pretrained(tmp_path)
    assert smp_core.from_pretrained(tmp_path).preprocessing == own
    assert smp_core.create("toy", "toy_encoder").preprocessing.mean == (0.5, 0.5, 0.5)
    assert smp_core.create("toy", "toy_encoder", encoder_weights=None, preprocessing=own).preprocessing == own


@pytest.mark.parametrize("wrong", [3, "imagenet", {"mean": [1]}, [0.5, 0.5]])
@pytest.mark.usefixtures("trained")
def test_preprocessing_that_is_none(wrong: Any) -> None:
    message = (
        f"preprocessing={wrong!r}: expected a smp_core.inputs.Preprocessing, or a dict with mean, std, input_space"
    )
    with pytest.raises(OptionError, match=f"^{re.escape(message)}"):
        smp_core.create("toy", "toy_encoder", preprocessing=wrong)


@pytest.mark.usefixtures("trained")
def test_preprocessing_set_later_is_the_blueprints() -> None:
    model = smp_core.create("toy", "toy_encoder")
    model.preprocessing = None
    assert model.blueprint.preprocessing is None
    assert model.config["_smp_core"]["preprocessing"] is None

"""Native channels and bands: weights are fitted to the bands that a user names, and so is the preprocessing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from toy_models import WIDTHS, ToyEncoder, architecture_spec, encoder_spec, randomise

import smp_core
from smp_core.errors import BlueprintError, CheckpointError, CreationError, InvalidSpecError, OptionError, WeightsError
from smp_core.plugin import WeightsSpec

BANDS = ("B02", "B03", "B04", "B08", "B11")
_FIRST = "stage1.0.weight"


@pytest.fixture
def trained(install, tmp_path: Path) -> dict[str, torch.Tensor]:
    """An encoder of five bands, with weights of all, of two of its bands, and of three others."""
    state_dicts: dict[str, dict[str, torch.Tensor]] = {}
    for name, channels in (("five", 5), ("two", 2), ("rgb", 3)):
        encoder = ToyEncoder(in_channels=channels)
        randomise(encoder, channels)
        save_file(encoder.state_dict(), tmp_path / f"{name}.safetensors")
        state_dicts[name] = encoder.state_dict()

    def weights(name: str, channels: int, **fields: Any) -> WeightsSpec:
        mean = tuple(0.1 * (index + 1) for index in range(channels))
        std = tuple(0.1 * (index + 2) for index in range(channels))
        return WeightsSpec(file=str(tmp_path / f"{name}.safetensors"), mean=mean, std=std, **fields)

    sets = {
        "five": weights("five", 5),
        "two": weights("two", 2, bands=("B08", "B04")),
        "rgb": weights("rgb", 3, bands=("red", "green", "blue")),
    }
    spec = encoder_spec(
        in_channels=5, bands=BANDS, out_channels=(5, *WIDTHS), weights=sets, default_weights="five", num_parameters=None
    )
    install(spec, architecture_spec())
    return state_dicts["five"]


def test_what_is_native_is_the_default(trained) -> None:
    model = smp_core.create("toy", "toy_encoder")
    assert (model.blueprint.in_channels, model.blueprint.bands) == (5, BANDS)
    assert torch.equal(model.encoder.state_dict()[_FIRST], trained[_FIRST])
    assert model.preprocessing.mean == pytest.approx((0.1, 0.2, 0.3, 0.4, 0.5))
    assert model.predict(torch.zeros(1, 5, 16, 16)).shape == (1, 1, 16, 16)
    bare = smp_core.create("toy", "toy_encoder", encoder_weights=None)
    assert (bare.blueprint.in_channels, bare.blueprint.bands) == (5, BANDS)
    two = smp_core.blueprint("toy", "toy_encoder", encoder_weights="two")
    assert (two.in_channels, two.bands) == (2, ("B08", "B04"))
    assert smp_core.create_encoder("toy_encoder").in_channels == 5


def test_some_bands_in_any_order_give_what_the_others_at_zero_gave(trained) -> None:
    bands = ("B08", "B04", "B02")
    model = smp_core.create("toy", "toy_encoder", bands=bands).eval()
    assert (model.blueprint.in_channels, model.blueprint.bands) == (3, bands)
    assert model.preprocessing.mean == pytest.approx((0.4, 0.3, 0.1))
    assert model.preprocessing.std == pytest.approx((0.5, 0.4, 0.2))
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    whole = torch.zeros(2, 5, 16, 16)
    for index, name in enumerate(bands):
        whole[:, BANDS.index(name)] = x[:, index]
    full = smp_core.create_encoder("toy_encoder").eval()
    with torch.inference_mode():
        torch.testing.assert_close(model.encoder(x)[1:], full(whole)[1 : model.blueprint.depth + 1])
        alone = smp_core.create_encoder("toy_encoder", bands=list(bands)).eval()
        torch.testing.assert_close(alone(x)[1:], full(whole)[1:])


def test_all_bands_in_another_order(trained) -> None:
    bands = tuple(reversed(BANDS))
    encoder = smp_core.create_encoder("toy_encoder", bands=bands)
    assert torch.equal(encoder.state_dict()[_FIRST], trained[_FIRST].flip(1))


def test_new_bands_are_an_error_or_start_from_zero(trained) -> None:
    bands = ("B2", "B04", "height")
    message = (
        "bands: 'B2', 'height' (did you mean 'B02'?) are not among the bands of weights 'five' of encoder "
        "'toy_encoder': B02, B03, B04, B08, B11; channel_fitting='zero_new' lets others start from zero"
    )
    for build in (smp_core.create_encoder, lambda name, **options: smp_core.create("toy", name, **options)):
        with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
            build("toy_encoder", bands=bands)
    model = smp_core.create("toy", "toy_encoder", bands=("B04", "height"), channel_fitting="zero_new")
    weight = model.encoder.state_dict()[_FIRST]
    assert torch.equal(weight[:, 0], trained[_FIRST][:, 2])
    assert not weight[:, 1].any()
    assert model.preprocessing is None
    model(torch.randn(2, 2, 32, 32)).sum().backward()
    assert model.encoder.get_parameter(_FIRST).grad[:, 1].abs().sum() > 0


def test_weights_without_names_are_fitted_by_number(trained, tmp_path: Path) -> None:
    model = smp_core.create("toy", "toy_encoder", encoder_weights="rgb", bands=("red", "green", "blue"))
    assert model.blueprint.bands == ("red", "green", "blue")
    assert model.preprocessing.mean == pytest.approx((0.1, 0.2, 0.3))
    file = tmp_path / "rgb.safetensors"
    four = smp_core.create_encoder("toy_encoder", weights=file, in_channels=4, channel_fitting="zero_new")
    rgb = smp_core.create_encoder("toy_encoder", weights=file, in_channels=3)
    assert torch.equal(four.state_dict()[_FIRST][:, :3], rgb.state_dict()[_FIRST])
    assert not four.state_dict()[_FIRST][:, 3].any()


def test_a_file_of_the_native_bands_is_fitted_by_name(trained, tmp_path: Path) -> None:
    encoder = smp_core.create_encoder("toy_encoder", weights=tmp_path / "five.safetensors", bands=("B11",))
    assert torch.equal(encoder.state_dict()[_FIRST], trained[_FIRST][:, 4:])
    message = "bands: 'B1' (did you mean 'B11'?) is not among the bands of "
    with pytest.raises(OptionError, match=re.escape(message)):
        smp_core.create_encoder("toy_encoder", weights=tmp_path / "five.safetensors", bands=("B1",))


def test_another_number_without_names_says_what_to_name(trained) -> None:
    message = (
        "were trained on 5 input channels, and the encoder 'toy_encoder' is to have in_channels=3; only 3-channel "
    )
    with pytest.raises(WeightsError, match=re.escape(message)) as raised:
        smp_core.create("toy", "toy_encoder", in_channels=3)
    assert "pass bands=, names out of B02, B03, B04, B08, B11, or cut or repeat" in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bands": "B02"}, "bands='B02': expected a sequence of names of channels, each once, or None"),
        (
            {"bands": ("B02", "B02")},
            "bands=('B02', 'B02'): expected a sequence of names of channels, each once, or None",
        ),
        ({"bands": ("a\nb",)}, "bands=('a\\nb',): expected a sequence of names of channels, each once, or None"),
        ({"bands": (2, 3)}, "bands=(2, 3): expected a sequence of names of channels, each once, or None"),
        ({"bands": ()}, "bands=(): expected a sequence of names of channels, each once, or None"),
        ({"bands": ("B02",), "in_channels": 3}, "in_channels=3, but bands names 1: B02"),
    ],
)
def test_what_are_no_bands(trained, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        smp_core.create("toy", "toy_encoder", **arguments)
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        smp_core.create_encoder("toy_encoder", **arguments)


def test_everything_that_is_wrong_is_said_at_once(trained) -> None:
    with pytest.raises((BlueprintError, CreationError), match="in_channels=3, but bands names 1: B4") as raised:
        smp_core.create("toy", "toy_encoder", bands=("B4",), in_channels=3)
    assert "bands: 'B4' (did you mean 'B04'?) is not among the bands of " in str(raised.value)


def test_saved_models_keep_their_bands_and_change_them_by_name(trained, tmp_path: Path) -> None:
    folder = smp_core.create("toy", "toy_encoder").save_pretrained(tmp_path / "model")
    assert smp_core.from_pretrained(folder).blueprint.bands == BANDS
    assert "\n- channels: `B02, B03, B04, B08, B11`\n" in (folder / "README.md").read_text()
    for bands in (("B04", "B11"), tuple(reversed(BANDS))):
        model = smp_core.from_pretrained(folder, bands=bands)
        places = [BANDS.index(name) for name in bands]
        assert torch.equal(model.encoder.state_dict()[_FIRST], trained[_FIRST][:, places])
        assert (model.blueprint.in_channels, model.blueprint.bands) == (len(bands), bands)
        assert model.preprocessing.mean == pytest.approx([0.1 * (place + 1) for place in places])
    again = smp_core.from_pretrained(model.save_pretrained(tmp_path / "again"), bands=("B02",))
    assert torch.equal(again.encoder.state_dict()[_FIRST], trained[_FIRST][:, :1])


def test_saved_models_and_new_bands(trained, tmp_path: Path) -> None:
    folder = smp_core.create("toy", "toy_encoder").save_pretrained(tmp_path / "model")
    with pytest.raises(OptionError, match=r"bands: 'B2' \(did you mean 'B02'\?\) is not among the bands of '"):
        smp_core.from_pretrained(folder, bands=("B2",))
    model = smp_core.from_pretrained(folder, bands=("B02", "height"), channel_fitting="zero_new")
    assert not model.encoder.state_dict()[_FIRST][:, 1].any()
    assert model.preprocessing is None
    with pytest.warns(UserWarning, match="left at their initialisation: encoder.stage1.0.weight"):
        other = smp_core.from_pretrained(folder, in_channels=2)
    assert (other.blueprint.bands, other.preprocessing) == (None, None)


def test_a_damaged_record_of_bands(trained, tmp_path: Path) -> None:
    folder = smp_core.create("toy", "toy_encoder").save_pretrained(tmp_path / "model")
    config = folder / "config.json"
    config.write_text(re.sub(r'"bands": \[[^]]*\]', '"bands": 7', config.read_text()))
    with pytest.raises(CheckpointError, match="bands=7: expected a sequence of names of channels, each once, or None"):
        smp_core.from_pretrained(folder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"in_channels": 0}, "field 'in_channels': expected a positive int, got 0"),
        ({"bands": ("a", "b")}, "field 'bands': expected 3 names of channels, each once, or none, got ('a', 'b')"),
        ({"bands": ("a", "a", "b")}, "field 'bands': expected 3 names of channels, each once, or none"),
    ],
)
def test_specs_of_encoders_are_checked(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSpecError, match=re.escape(message)):
        encoder_spec(**fields)


def test_specs_of_weights_are_checked() -> None:
    with pytest.raises(InvalidSpecError, match=r"field 'mean': expected 2 numbers, one for each band, got \(0.485"):
        WeightsSpec(file="a", bands=("x", "y"))
    with pytest.raises(InvalidSpecError, match="field 'bands': expected names of channels, each once, got "):
        WeightsSpec(file="a", bands=("x", "x", "y"))
    with pytest.raises(InvalidSpecError, match="field 'input_space': expected 'RGB', as bands say the order"):
        WeightsSpec(file="a", bands=("x", "y", "z"), input_space="BGR")

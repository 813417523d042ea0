"""Encoders by name, and those that a program registers as it did with segmentation_models_pytorch."""

from __future__ import annotations

import copy
import io
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import smp_compat as smp
import smp_core
from smp_compat.encoders import _registered
from smp_compat.encoders._base import EncoderMixin
from smp_compat.encoders._utils import patch_first_conv
from smp_compat.encoders.mobileone import reparameterize_model
from smp_core.errors import OptionError, PluginError, UnknownEncoderError, WeightsError
from smp_core.plugin import WeightsSpec

IMAGE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


class Small(nn.Module, EncoderMixin):
    """As users write encoders: no level of reduction 2, which is a feature of 0 channels."""

    def __init__(self, width: int = 4, depth: int = 5, output_stride: int = 32, **kwargs: Any) -> None:
        super().__init__()
        self._depth, self._in_channels, self._output_stride = depth, 3, output_stride
        self._out_channels = [3, 0, width, 2 * width, 3 * width, 4 * width]
        widths = [3, width, 2 * width, 3 * width, 4 * width]
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(widths[i], widths[i + 1], 3, 4 if i == 0 else 2, 1), nn.ReLU()) for i in range(4)
        )

    def get_stages(self) -> dict[int, list[nn.Module]]:
        return {16: [self.stages[2]], 32: [self.stages[3]]}

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [x, x.new_empty(x.shape[0], 0, x.shape[2] // 2, x.shape[3] // 2)]
        for stage in self.stages[: self._depth - 1]:
            features.append(stage(features[-1] if features[-1].shape[1] else x))
        return features


class Listed(Small):
    """As before SMP 0.5.0, whose stages were a list."""

    def get_stages(self) -> Any:
        return [nn.Identity(), nn.Identity(), self.stages[0], self.stages[1], self.stages[2], self.stages[3]]


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    before = [*smp.encoders.encoders]
    smp.encoders.encoders["small"] = {"encoder": Small, "params": {"width": 8}, "pretrained_settings": {}}
    yield
    for name in [name for name in smp.encoders.encoders if name not in before]:
        del smp.encoders.encoders[name]


# --- registered


@pytest.mark.parametrize("name", ["unet", "unetplusplus", "fpn", "linknet", "segformer", "upernet", "manet"])
def test_a_registered_encoder_works_in_every_architecture(name: str) -> None:
    model = smp.create_model(name, "small", None, in_channels=5)
    assert type(model.encoder).__name__ == "Small"
    assert isinstance(model.encoder, Small)
    assert model.encoder.out_channels == (5, 8, 16, 24, 32)
    assert model.encoder.reductions == (1, 4, 8, 16, 32)
    assert model(torch.zeros(2, 5, 64, 64)).shape == (2, 1, 64, 64)
    assert smp_core.create(name, "small", encoder_weights=None).predict(IMAGE).shape == (1, 1, 64, 64)


def test_its_keys_are_its_own(tmp_path: Path) -> None:
    model = smp.Unet("small", encoder_weights=None)
    keys = {f"encoder.{name}" for name in Small(8).state_dict()}
    assert {key for key in model.state_dict() if key.startswith("encoder.")} == keys
    assert model.name == "u-small"
    model.save_pretrained(tmp_path)
    assert torch.equal(smp.from_pretrained(tmp_path).predict(IMAGE), model.predict(IMAGE))


@pytest.mark.parametrize("kind", [Small, Listed])
def test_dilation(kind: type[Small]) -> None:
    smp.encoders.encoders["dilated"] = {"encoder": kind, "params": {}, "pretrained_settings": {}}
    encoder = smp.encoders.get_encoder("dilated", output_stride=8)
    assert [tuple(item.shape[2:]) for item in encoder(IMAGE)] == [(64, 64), (16, 16), (8, 8), (8, 8), (8, 8)]
    assert encoder.reductions == (1, 4, 8, 8, 8)
    assert encoder.stages[3][0].dilation == (4, 4)
    assert smp.DeepLabV3Plus("dilated", encoder_weights=None).eval()(IMAGE).shape == (1, 1, 64, 64)


def test_depth() -> None:
    encoder = smp.encoders.get_encoder("small", depth=3)
    assert encoder.out_channels == (3, 8, 16)
    assert [item.shape[1] for item in encoder(IMAGE)] == [3, 8, 16]


def test_weights(tmp_path: Path) -> None:
    weights = Small(8).state_dict()
    torch.save(weights, tmp_path / "small.pth")
    settings = {"mean": [0, 0, 0], "std": [1, 1, 1], "input_space": "BGR", "input_range": [0, 255]}
    smp.encoders.encoders["small"]["pretrained_settings"] = {"mine": {"file": tmp_path / "small.pth", **settings}}
    model = smp.Unet("small", encoder_weights="mine")
    assert torch.equal(model.encoder.stages[0][0].weight, weights["stages.0.0.weight"])
    assert model.preprocessing is not None
    assert model.preprocessing.input_space == "BGR"
    four = smp.encoders.get_encoder("small", in_channels=4, weights="mine")
    expected = weights["stages.0.0.weight"][:, [0, 1, 2, 0]] * 3 / 4
    torch.testing.assert_close(four.stages[0][0].weight.detach(), expected)
    assert smp.encoders.get_preprocessing_params("small", "mine")["input_space"] == "BGR"
    torch.save(Small(4).state_dict(), tmp_path / "small.pth")
    with pytest.raises(WeightsError, match=r"do not fit encoder 'small': "):
        smp.Unet("small", encoder_weights="mine")


def test_an_entry_that_is_changed_after_it_was_used() -> None:
    assert smp.Unet("small", encoder_weights=None).encoder.out_channels[-1] == 32
    smp.encoders.encoders["small"]["params"]["width"] = 4
    assert smp.Unet("small", encoder_weights=None).encoder.out_channels[-1] == 16


def _of_width(width: int) -> type[Small]:
    class Mine(Small):
        def __init__(self, **options: Any) -> None:
            super().__init__(width, **options)

    return Mine


def test_a_class_that_is_defined_anew_takes_the_place_of_the_former() -> None:
    encoders = smp.encoders.encoders
    for width in (8, 4):
        kind = _of_width(width)
        encoders["mine"] = {"encoder": kind, "params": {}, "pretrained_settings": {}}
        for model in (smp.Unet("mine", encoder_weights=None), smp_core.create("unet", "mine", encoder_weights=None)):
            assert isinstance(model.encoder, kind)
            assert model.encoder.out_channels == (3, width, 2 * width, 3 * width, 4 * width)
            assert model.predict(IMAGE).shape == (1, 1, 64, 64)


def test_the_dict_that_was_put_in_may_be_changed() -> None:
    entry: dict[str, Any] = {"encoder": _of_width(8), "params": {}, "pretrained_settings": {}}
    smp.encoders.encoders["mine"] = entry
    assert smp.Unet("mine", encoder_weights=None).encoder.out_channels[-1] == 32
    entry["encoder"] = _of_width(4)
    assert smp.Unet("mine", encoder_weights=None).encoder.out_channels[-1] == 16
    entry["params"] = 5
    with pytest.raises(OptionError, match=r"^encoders\['mine'\]\['params'\]: expected a dict, got 5$"):
        smp.Unet("mine", encoder_weights=None)


def test_models_over_it_are_copied_and_pickled() -> None:
    model = smp.Unet("small", encoder_weights=None)
    stream = io.BytesIO()
    torch.save(model, stream)
    stream.seek(0)
    expected = model.predict(IMAGE)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(stream, weights_only=False)):
        assert torch.equal(other.predict(IMAGE), expected)
        assert type(other.encoder) is type(model.encoder)


def test_an_encoder_of_smp_core_can_be_registered() -> None:
    def make(depth: int, output_stride: int) -> nn.Module:
        return smp_core.create_encoder("resnet18", depth=depth, output_stride=output_stride, weights=None)

    smp.encoders.encoders.update({"mine": {"encoder": make, "params": {}, "pretrained_settings": {}}})
    assert smp.Unet("mine", encoder_weights=None).predict(IMAGE).shape == (1, 1, 64, 64)


def test_another_program_is_told_whose_encoder_it_was(tmp_path: Path) -> None:
    smp.Unet("small", encoder_weights=None).save_pretrained(tmp_path)
    program = f"import smp_core; smp_core.from_pretrained({str(tmp_path)!r})"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "UnknownEncoderError" in result.stderr
    assert "smp-compat" in result.stderr


def test_what_cannot_be_registered() -> None:
    encoders = smp.encoders.encoders
    with pytest.raises(OptionError, match=r"^encoders\['x'\]: expected a dict of 'encoder' \(a class\), 'params'"):
        encoders["x"] = {"params": {}}
    with pytest.raises(OptionError, match=r"^encoders\['x'\]\['params'\]: expected a dict, got \[1\]$"):
        encoders["x"] = {"encoder": Small, "params": [1]}
    with pytest.raises(OptionError, match=r"^encoders\['a b'\]: expected a name of letters, digits and"):
        encoders["a b"] = {"encoder": Small}
    with pytest.raises(OptionError, match=r"^encoders\['tu-mine'\]: the name belongs to smp-timm; put yours in under"):
        encoders["tu-mine"] = {"encoder": Small}
    with pytest.raises(smp.NotProvidedError, match=r"^encoder 'resnet18' is a plugin's, and its entry cannot be repl"):
        encoders["resnet18"] = {"encoder": Small}
    with pytest.raises(smp.NotProvidedError, match=r"^only what a program has put in can be taken out; encoder 'resn"):
        del encoders["resnet18"]
    encoders["broken"] = {"encoder": Small, "params": {"width": "wide"}}
    with pytest.raises(PluginError, match=r"^encoder 'broken': <class .*Small'> raised TypeError: "):
        smp.Unet("broken", encoder_weights=None)
    with pytest.raises(
        UnknownEncoderError, match=r"^unknown encoder 'broken'; it was registered, but encoder 'broken': "
    ):
        smp_core.create("unet", "broken", encoder_weights=None)
    encoders["plain"] = {"encoder": lambda: nn.Conv2d(3, 8, 3)}
    with pytest.raises(PluginError, match=r"^encoder 'plain': Conv2d has no _in_channels; expected what smp_compat"):
        smp.Unet("plain", encoder_weights=None)
    del encoders["broken"]
    with pytest.raises(UnknownEncoderError, match=r"^unknown encoder 'broken'; "):
        smp.Unet("broken", encoder_weights=None)


# --- installed


def test_the_dict() -> None:
    encoders = smp.encoders.encoders
    entry = encoders["resnet34"]
    assert entry["params"]["out_channels"] == [3, 64, 64, 128, 256, 512]
    assert entry["pretrained_settings"]["imagenet"]["mean"] == [0.485, 0.456, 0.406]
    assert entry["encoder"](weights=None).out_channels == (3, 64, 64, 128, 256, 512)
    assert "resnet34" in encoders
    assert "resnet35" not in encoders
    assert [*encoders] == smp.encoders.get_encoder_names()
    assert repr(encoders) == f"<{len(encoders)} encoders>"


def test_get_encoder() -> None:
    encoder = smp.encoders.get_encoder("resnet18", in_channels=4, depth=3, weights=None, output_stride=8)
    assert [item.shape[1] for item in encoder(torch.zeros(1, 4, 64, 64))] == [4, 64, 64, 128]
    with pytest.raises(KeyError, match=r"^unknown encoder 'resnet19'"):
        smp.encoders.get_encoder("resnet19")


def test_timm() -> None:
    encoder = smp.encoders.TimmUniversalEncoder("resnet10t", pretrained=False, depth=4)
    assert isinstance(encoder, smp.encoders.TimmUniversalEncoder)
    assert not isinstance(encoder, smp.encoders.TimmViTEncoder)
    assert len(encoder(IMAGE)) == 5
    vit = smp.encoders.TimmViTEncoder("vit_tiny_patch16_224", pretrained=False, depth=2, output_indices=[3, 7])
    assert isinstance(vit, smp.encoders.TimmViTEncoder)
    assert not isinstance(vit, smp.encoders.TimmUniversalEncoder)
    assert not isinstance(smp.encoders.get_encoder("resnet18"), smp.encoders.TimmUniversalEncoder)


def test_classes_of_families() -> None:
    from smp_compat.encoders.mix_transformer import MixVisionTransformerEncoder
    from smp_compat.encoders.resnet import ResNetEncoder

    assert isinstance(smp.Unet("resnet18", encoder_weights=None).encoder, ResNetEncoder)
    assert isinstance(smp.encoders.get_encoder("mit_b0"), MixVisionTransformerEncoder)


def test_mobileone_is_merged() -> None:
    torch.manual_seed(0)
    encoder = smp.encoders.get_encoder("mobileone_s0").eval()
    merged = reparameterize_model(encoder)
    assert sum(item.numel() for item in merged.parameters()) < sum(item.numel() for item in encoder.parameters())
    expected = encoder(IMAGE)[-1]
    torch.testing.assert_close(merged(IMAGE)[-1], expected, rtol=0, atol=1e-4 * expected.abs().max().item())


def test_patch_first_conv() -> None:
    layer = nn.Sequential(nn.Conv2d(3, 4, 3))
    weight = layer[0].weight.detach().clone()
    patch_first_conv(layer, 1)
    torch.testing.assert_close(layer[0].weight.detach(), weight.sum(1, keepdim=True))
    patch_first_conv(layer, 5, default_in_channels=1, pretrained=False)
    assert layer[0].weight.shape == (4, 5, 3, 3)


def test_preprocessing() -> None:
    params = smp.encoders.get_preprocessing_params("resnet34")
    assert params["input_space"] == "RGB"
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype("uint8")
    prepared = smp.encoders.get_preprocessing_fn("resnet34", "imagenet")(image)
    np.testing.assert_allclose(prepared, (image / 255 - params["mean"]) / params["std"])
    with pytest.raises(ValueError, match=f"^{re.escape('''encoder 'resnet34' has no weights 'x'; it has imagenet''')}"):
        smp.encoders.get_preprocessing_params("resnet34", "x")
    with pytest.raises(KeyError, match=r"^unknown encoder 'resnet35'"):
        smp.encoders.get_preprocessing_fn("resnet35")


@pytest.mark.parametrize(
    ("settings", "input_range"),
    [
        ({"mean": [123.7, 116.3, 103.5], "std": [58.4, 57.1, 57.4]}, (0, 255)),
        ({"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}, (0, 1)),
        ({"mean": [104, 117, 123], "std": [1, 1, 1], "input_range": [0, 255]}, (0, 255)),
    ],
)
def test_units_of_registered_weights(settings, input_range):
    """Means beyond 1 are of bytes, where nothing says otherwise."""
    assert WeightsSpec(**_registered._weights({**settings, "file": "w"})).input_range == input_range

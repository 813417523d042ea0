"""The classes of architectures: built, subclassed, saved, loaded, and what they refuse."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import smp_compat as smp
import smp_core
from smp_core.errors import CheckpointError, OptionError

ARCHITECTURES = [name for name in smp.MODEL_ARCHITECTURES_MAPPING if name != "dpt"]
SHORT_NAMES = {
    "unet": "u",
    "unetplusplus": "unetplusplus",
    "manet": "manet",
    "linknet": "link",
    "fpn": "fpn",
    "pspnet": "psp",
    "deeplabv3": "deeplabv3",
    "deeplabv3plus": "deeplabv3plus",
    "pan": "pan",
    "upernet": "upernet",
    "segformer": "segformer",
}
IMAGE = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def same(first: nn.Module, second: nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture(name: str, tmp_path: Path) -> None:
    kind = smp.MODEL_ARCHITECTURES_MAPPING[name]
    model = kind("resnet18", encoder_weights=None, classes=2)
    torch.manual_seed(0)
    native = smp_core.create(name, "resnet18", encoder_weights=None, classes=2)
    native.load_state_dict(model.state_dict())
    assert type(model) is kind
    assert issubclass(kind, type(native))
    assert isinstance(model, smp.base.SegmentationModel)
    assert model.name == f"{SHORT_NAMES[name]}-resnet18"
    assert torch.equal(model.predict(IMAGE), native.predict(IMAGE))
    model.save_pretrained(tmp_path)
    for loaded in (smp.from_pretrained(tmp_path), kind.from_pretrained(str(tmp_path))):
        assert type(loaded) is kind
        assert loaded.name == model.name
        assert not loaded.training
        assert same(loaded, model)
    assert same(smp_core.from_pretrained(tmp_path), model)


def test_dpt_is_named_without_the_prefix() -> None:
    model = smp.DPT("tu-vit_tiny_patch16_224", encoder_weights=None)
    assert model.name == "dpt-vit_tiny_patch16_224"
    assert model.predict(torch.zeros(1, 3, 224, 224)).shape == (1, 1, 224, 224)


def test_arguments_by_position() -> None:
    model = smp.Unet("resnet18", 3, None, "batchnorm", (32, 16, 8), "scse", "nearest", 4, 5, "sigmoid")
    assert model.blueprint.depth == 3
    assert model.in_channels == 4
    assert model.predict(torch.zeros(1, 4, 32, 32)).shape == (1, 5, 32, 32)
    masks, labels = smp.Unet("resnet18", encoder_weights=None, aux_params={"classes": 7}).predict(IMAGE)
    assert masks.shape == (2, 1, 64, 64)
    assert labels.shape == (2, 7)


@pytest.mark.parametrize("arch", ["unet", "Unet", "UNET"])
def test_create_model(arch: str) -> None:
    model = smp.create_model(arch, encoder_name="resnet18", encoder_weights=None, decoder_use_norm="identity")
    assert type(model) is smp.Unet
    assert smp.create_model(arch, "resnet18", None, 1, 2).in_channels == 1


def test_former_spellings_of_options() -> None:
    with pytest.warns(DeprecationWarning, match="decoder_use_batchnorm"):
        model = smp.Unet("resnet18", encoder_weights=None, decoder_use_batchnorm=False)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in model.decoder.modules())
    with pytest.warns(DeprecationWarning, match="psp_use_batchnorm"):
        model = smp.create_model("pspnet", "resnet18", None, psp_use_batchnorm=True)
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in model.decoder.modules())
    assert smp.PAN("resnet18", encoder_weights=None, encoder_dilation=False).blueprint.output_stride == 16


# --- subclasses


class Doubled(smp.Unet):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


class Named(smp.Unet):
    def __init__(self, encoder_name: str = "resnet18", classes: int = 2, **kwargs: Any) -> None:
        super().__init__(encoder_name, encoder_weights=None, classes=classes)
        self.extra = nn.Identity()


class Own(smp.base.SegmentationModel):
    """As users write their own architectures."""

    def __init__(self, encoder_name: str, classes: int = 1) -> None:
        super().__init__()
        self.encoder = smp.encoders.get_encoder(encoder_name, weights=None)
        self.decoder = smp.decoders.unet.decoder.UnetDecoder(self.encoder.out_channels, (64, 32, 16, 16, 8))
        self.segmentation_head = smp.base.SegmentationHead(8, classes, activation="sigmoid", kernel_size=3)
        self.classification_head = None
        self.name = f"own-{encoder_name}"
        self.initialize()


def test_a_subclass_with_another_forward(tmp_path: Path) -> None:
    model = Doubled("resnet18", encoder_weights=None)
    assert torch.equal(model.predict(IMAGE), smp.Unet.forward(model.eval(), IMAGE) * 2)
    with pytest.warns(UserWarning, match=r"the loaded model will have the latter:  is a Doubled, was a Unet$"):
        model.save_pretrained(tmp_path)
    loaded = Doubled.from_pretrained(tmp_path)
    assert type(loaded) is Doubled
    assert torch.equal(loaded(IMAGE), model.eval()(IMAGE))


def test_a_subclass_that_builds_in_its_own_way(tmp_path: Path) -> None:
    Named(classes=3).save_pretrained(tmp_path)
    loaded = Named.from_pretrained(tmp_path)
    assert type(loaded) is Named
    assert isinstance(loaded.extra, nn.Identity)
    assert loaded.predict(IMAGE).shape == (2, 3, 64, 64)


def test_an_architecture_of_a_user() -> None:
    model = Own("resnet18", classes=2)
    out = model(IMAGE)
    assert out.shape == (2, 2, 64, 64)
    assert out.min() >= 0
    assert out.max() <= 1
    model.freeze_encoder()
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())
    assert model.predict(IMAGE).shape == (2, 2, 64, 64)


def test_models_are_copied_and_pickled() -> None:
    model = smp.FPN("resnet18", encoder_weights=None)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(other) is smp.FPN
        assert same(other, model)
        assert other.name == model.name


def test_initialize_draws_decoder_and_heads_anew() -> None:
    model = smp.Unet("resnet18", encoder_weights=None, aux_params={"classes": 2})
    before = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(3.0)
    model.initialize()
    assert all(bool((parameter == 3).all()) for parameter in model.encoder.parameters())
    for part in ("decoder", "segmentation_head", "classification_head"):
        for name, parameter in getattr(model, part).named_parameters():
            old = before.get_submodule(part).get_parameter(name)
            assert torch.allclose(parameter.std(correction=0), old.std(correction=0), rtol=0.2, atol=0.05), name


def test_compiled_exported_scripted() -> None:
    model = smp.Unet("resnet18", encoder_weights=None).eval()
    expected = model(IMAGE)
    torch.testing.assert_close(torch.jit.script(model)(IMAGE), expected)
    torch.testing.assert_close(torch.compile(model, backend="eager", fullgraph=True)(IMAGE), expected)
    torch.testing.assert_close(torch.export.export(model, (IMAGE,)).module()(IMAGE), expected)


# --- what is refused


def test_names_that_mean_nothing_are_key_errors() -> None:
    with pytest.raises(KeyError, match=r"^unknown architecture 'unett'; expected one of unet, unetplusplus, "):
        smp.create_model("unett")
    with pytest.raises(KeyError, match=r"^unknown encoder 'resnet19'; did you mean "):
        smp.Unet("resnet19")
    with pytest.raises(KeyError, match=r"^encoder_weights='imagenet21' is neither a weight set of encoder 'resnet18'"):
        smp.Unet("resnet18", encoder_weights="imagenet21")
    message = r"^did you mean 'classes'[?] encoder_options: encoder 'resnet18' has no option 'clases'; it takes none$"
    with pytest.raises(OptionError, match=message):
        smp.Unet("resnet18", encoder_weights=None, clases=1)
    with pytest.raises(OptionError, match=r"^did you mean 'decoder_channels' and 'classes'[?] encoder_options: "):
        smp.Unet("tu-resnet18", encoder_weights=None, decoder_chanels=[1], clases=3)
    with pytest.raises(OptionError, match=r"^encoder_options: encoder 'resnet18' has no option 'foo'; it takes none$"):
        smp.Unet("resnet18", encoder_weights=None, foo=1)


@pytest.mark.parametrize("name", smp.MODEL_ARCHITECTURES_MAPPING)
def test_an_unknown_option_is_not_swallowed(name: str) -> None:
    encoder = "tu-vit_tiny_patch16_224" if name == "dpt" else "resnet18"
    with pytest.raises(OptionError, match="no_such_option"):
        smp.create_model(name, encoder, None, no_such_option=1)
    with pytest.raises(OptionError, match="no_such_option"):
        smp.encoders.get_encoder(encoder, depth=4, no_such_option=1)


@pytest.mark.parametrize("name", ["fpn", "deeplabv3plus", "pspnet"])
def test_strict_sizes(name: str) -> None:
    model = smp.create_model(name, "resnet18", None).eval()
    stride = {"fpn": 32, "deeplabv3plus": 16, "pspnet": 8}[name]
    odd = torch.zeros(1, 3, 65, 64)
    assert model(odd).shape == (1, 1, 65, 64)
    message = (
        f"expected height and width to be multiples of {stride}, got 65x64; pad the images to {64 + stride}x64, or "
        "leave smp_compat.strict_sizes(): models here take any size"
    )
    with smp.strict_sizes(), pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
        model(odd)
    with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
        model.check_input_shape(odd)
    assert model(odd).shape == (1, 1, 65, 64)


def test_unet_takes_any_size_there_too() -> None:
    assert not smp.Unet.requires_divisible_input_shape
    with smp.strict_sizes():
        assert smp.Unet("resnet18", encoder_weights=None)(torch.zeros(2, 3, 65, 70)).shape == (2, 1, 65, 70)


def test_a_model_of_another_class(tmp_path: Path) -> None:
    smp.FPN("resnet18", encoder_weights=None).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"holds a FPN, no Unet; smp_compat\.from_pretrained loads whichever"):
        smp.Unet.from_pretrained(tmp_path)
    with pytest.raises(smp.NotProvidedError, match=r"^force_download is not provided: "):
        smp.from_pretrained(tmp_path, force_download=True)
    with pytest.raises(smp.NotProvidedError, match=r"^config= is not provided: "):
        smp.FPN("resnet18", encoder_weights=None).save_pretrained(tmp_path, config={})


def test_what_replaces_arguments_when_loading(tmp_path: Path) -> None:
    smp.Unet("resnet18", encoder_weights=None).save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="tensors of other shapes were not loaded|segmentation_head"):
        model = smp.Unet.from_pretrained(tmp_path, classes=4, strict=False)
    assert type(model) is smp.Unet
    assert model(IMAGE).shape == (2, 4, 64, 64)

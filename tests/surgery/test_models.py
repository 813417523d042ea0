"""What people do to a whole model: exchange its ends, trace it, transform it, train it elsewhere."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
import torch
from operations import ARCHITECTURES, build, called, image, smallest_of_each_distribution
from torch import nn

import smp_core
from smp_core.errors import InputError
from smp_testing.expectations import expect_close


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_first_convolution_of_other_channels(architecture: str) -> None:
    model = build(architecture)
    model.encoder.conv1 = nn.Conv2d(6, 64, 7, 2, 3)
    assert model.in_channels == 6
    assert model(image(channels=6)).shape == (2, 2, 64, 96)
    message = "expected an input of shape (N, 6, H, W), got (2, 3, 64, 96)"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        model(image())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_adapter_before_the_encoder(architecture: str) -> None:
    model = build(architecture)
    # What a decoder takes as the feature of full resolution is the adapted image.
    model.encoder = nn.Sequential(nn.Conv2d(6, 3, 1), model.encoder)
    assert model.in_channels == 0
    assert model(image(channels=6)).shape == (2, 2, 64, 96)


@pytest.mark.parametrize("architecture", ["fpn", "pspnet", "deeplabv3", "deeplabv3plus", "pan", "segformer", "upernet"])
def test_without_the_upsampling_masks_are_smaller_by_its_factor(architecture: str) -> None:
    model = build(architecture)
    factor = int(model.segmentation_head[1].scale_factor)
    model.segmentation_head[1] = nn.Identity()
    expected = tuple(-(-size // factor) for size in (100, 101))
    assert tuple(model(image((100, 101))).shape[2:]) == expected


def test_without_upsampling_fpn_gives_a_quarter() -> None:
    model = build("fpn")
    model.segmentation_head[1] = nn.Identity()
    assert model(image((100, 100))).shape == (2, 2, 25, 25)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_fx(architecture: str) -> None:
    model = build(architecture)
    traced = torch.fx.symbolic_trace(model)
    for size in ((64, 96), (90, 70)):
        with torch.no_grad():
            expected = called(model, image(size))
            torch.testing.assert_close(traced(image(size)), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("encoder", smallest_of_each_distribution())
def test_fx_over_every_family(encoder: str) -> None:
    model = build("unet", encoder)
    x = image((70, 90))
    with torch.no_grad():
        expect_close([torch.fx.symbolic_trace(model)(x)], [called(model, x)], f"a graph of unet over {encoder}")


def test_a_graph_of_pan_in_training() -> None:
    # What makes a graph hold for maps of one pixel would count in the statistics.
    model = build("pan").double().train()
    x = image((128, 160)).double()
    expected = copy.deepcopy(model)(x)
    exported = torch.export.export(copy.deepcopy(model), (x,)).module()
    torch.testing.assert_close(exported(x), expected)


@pytest.mark.parametrize(
    "architecture",
    [
        pytest.param(name, marks=[] if name in ("unet", "pan", "upernet") else [pytest.mark.slow])
        for name in ARCHITECTURES
    ],
)
def test_fx_in_training(architecture: str) -> None:
    model = build(architecture).double().train()
    for dropout in (part for part in model.modules() if isinstance(part, nn.modules.dropout._DropoutNd)):
        dropout.p = 0.0
    counted = {name: item.clone() for name, item in model.named_buffers()}
    traced = torch.fx.symbolic_trace(model)
    assert all(torch.equal(item, counted[name]) for name, item in model.named_buffers())
    expected = copy.deepcopy(model)
    for size in ((128, 160), (150, 130)):  # statistics of two values would turn on the last bit
        x = image(size).double()
        torch.testing.assert_close(traced(x), expected(x))
    for name, item in expected.named_buffers():
        torch.testing.assert_close(traced.get_buffer(name), item)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # what vmap runs in a loop
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_vmap_over_images(architecture: str) -> None:
    model = build(architecture)
    with torch.no_grad():
        mapped = torch.func.vmap(lambda item: model(item[None])[0])(image())
        torch.testing.assert_close(mapped, model(image()), atol=1e-4, rtol=1e-4)


def test_gradients_by_torch_func() -> None:
    model = build("unet")
    parameters = {name: item.detach() for name, item in model.named_parameters() if item.requires_grad}

    def loss(values: dict[str, torch.Tensor]) -> torch.Tensor:
        result: torch.Tensor = torch.func.functional_call(model, values, (image(),))
        return result.square().mean()

    found = torch.func.grad(loss)(parameters)
    model(image()).square().mean().backward()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, model.get_parameter(name).grad, atol=1e-4, rtol=1e-4)


def test_counts_of_numpy(tmp_path) -> None:
    model = smp_core.create(
        "unet",
        "resnet18",
        encoder_weights=None,
        classes=np.int64(3),
        in_channels=np.int32(4),
        encoder_depth=np.int64(3),
        decoder_channels=np.array([32, 16, 16]),
    )
    model.save_pretrained(tmp_path)
    assert smp_core.from_pretrained(tmp_path).predict(image(channels=4)).shape == (2, 3, 64, 96)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("attention", [None, "scse"])
def test_every_trainable_parameter_gets_a_gradient(architecture: str, attention: str | None) -> None:
    options = {"decoder_attention_type": attention} if attention and architecture in ("unet", "unetplusplus") else {}
    if attention and not options:
        return
    model = build(architecture, **options).train()
    model(image()).square().mean().backward()
    assert not [name for name, item in model.named_parameters() if item.requires_grad and item.grad is None]


def test_a_weight_of_other_channels_in_place_of_the_first_one() -> None:
    model = build("unet")
    weight = model.encoder.conv1.weight
    model.encoder.conv1.weight = nn.Parameter(torch.cat([weight, weight], dim=1))
    assert model.in_channels == 6
    assert model(image(channels=6)).shape == (2, 2, 64, 96)


def test_hooks_that_make_another_input_of_it() -> None:
    model = build("unet")
    expected = model(image())
    model.encoder.register_forward_pre_hook(lambda _, inputs: (inputs[0][:, :3].float(),))
    torch.testing.assert_close(model(torch.cat([image(), image()], dim=1)), expected)
    torch.testing.assert_close(model(image().double()), expected)


@pytest.mark.parametrize("architecture", ["unet", "segformer"])
def test_a_head_that_returns_several_maps(architecture: str) -> None:
    class Heads(nn.Module):
        def __init__(self, head: nn.Module) -> None:
            super().__init__()
            self.head = head

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"scores": self.head(x), "again": self.head(x)}

    model = build(architecture)
    expected = model(image())
    model.segmentation_head = Heads(model.segmentation_head)
    for found in (model(image()), model.predict(image())):
        assert list(found) == ["scores", "again"]
        torch.testing.assert_close(found["scores"], expected)


def test_predict_tells_modules_which_mode_they_are_in() -> None:
    class Switched(nn.Identity):
        state = True

        def train(self, mode: bool = True) -> Switched:
            self.state = mode
            return super().train(mode)

    model = build("unet").train()
    model.encoder.eval()
    in_decoder, in_encoder = Switched(), Switched().eval()
    model.decoder.blocks[0].conv2.append(in_decoder)
    model.encoder.layer1.append(in_encoder)
    model.predict(image())
    assert (in_decoder.state, in_decoder.training) == (True, True)
    assert (in_encoder.state, in_encoder.training) == (False, False)
    assert model.training
    assert not model.encoder.training


@pytest.mark.parametrize(
    ("encoder", "name"),
    [("resnet18", "fc"), ("densenet121", "classifier"), ("mit_b0", "head"), ("vgg11", "classifier")],
)
def test_a_module_of_a_classifiers_name(encoder: str, name: str) -> None:
    model = build("unet", encoder)
    model.load_state_dict({**model.state_dict(), f"encoder.{name}.weight": torch.zeros(5, 3)})  # of published weights
    setattr(model.encoder, name, nn.Linear(3, 5))
    other = copy.deepcopy(model)
    nn.init.zeros_(getattr(other.encoder, name).weight)
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(getattr(other.encoder, name).weight, getattr(model.encoder, name).weight)

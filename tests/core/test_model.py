"""The template: what a model refuses as input, any size, prediction, freezing."""

from __future__ import annotations

import re
import threading
from typing import Any

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from toy_models import Bare, ToyEncoder, ToyModel, randomise

from smp_core import SegmentationModel
from smp_core.errors import InputError


@pytest.fixture
def model() -> ToyModel:
    built = ToyModel(ToyEncoder(depth=3, dropout=0.5), classes=2, aux_params={"classes": 5})
    randomise(built)
    return built


# --- input


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (3, 8, 8),
            "expected an input of shape (N, 3, H, W), got (3, 8, 8); add the batch dimension: x[None]",
        ),
        ((8, 8), "expected an input of shape (N, 3, H, W), got (8, 8)"),
        ((1, 3, 8, 8, 8), "expected an input of shape (N, 3, H, W), got (1, 3, 8, 8, 8)"),
        ((1, 4, 8, 8), "expected an input of shape (N, 3, H, W), got (1, 4, 8, 8)"),
        (
            (1, 8, 9, 3),
            "expected an input of shape (N, 3, H, W), got (1, 8, 9, 3); the channels come second: "
            "x.permute(0, 3, 1, 2)",
        ),
        ((1, 3, 0, 8), "expected an input of shape (N, 3, H, W) with H and W of at least 1, got (1, 3, 0, 8)"),
        ((1, 3, 8, 0), "expected an input of shape (N, 3, H, W) with H and W of at least 1, got (1, 3, 8, 0)"),
    ],
)
def test_a_shape_that_is_refused(model: ToyModel, shape: tuple[int, ...], message: str) -> None:
    for call in (model, model.predict):
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            call(torch.zeros(shape))


@pytest.mark.parametrize(
    ("dtype", "hint"),
    [
        (torch.uint8, "; scale and convert the pixels first: x.float() / 255"),
        (torch.int64, "; scale and convert the pixels first: x.float() / 255"),
        (torch.float64, ""),
        (torch.float16, ""),
    ],
)
def test_a_dtype_that_is_refused(model: ToyModel, dtype: torch.dtype, hint: str) -> None:
    message = f"expected an input of shape (N, 3, H, W) and dtype torch.float32, got {dtype}{hint}"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        model(torch.zeros(1, 3, 8, 8, dtype=dtype))


def test_the_dtype_is_the_models(model: ToyModel) -> None:
    masks, _ = model.double().eval()(torch.zeros(1, 3, 8, 8, dtype=torch.float64))
    assert masks.dtype == torch.float64
    with pytest.raises(InputError, match=r"and dtype torch\.float64, got torch\.float32$"):
        model(torch.zeros(1, 3, 8, 8))


def test_autocast_takes_any_floating_dtype(model: ToyModel) -> None:
    model.eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        masks, _ = model(torch.zeros(1, 3, 8, 8))
        assert masks.shape == (1, 2, 8, 8)


def test_channels_are_the_encoders_business_where_it_does_not_say() -> None:
    model = ToyModel(Bare())
    assert model.in_channels == 0
    with pytest.raises(InputError, match=re.escape("expected an input of shape (N, C, H, W), got (3, 8, 8)")):
        model(torch.zeros(3, 8, 8))
    with pytest.raises(RuntimeError, match="channels"):
        model(torch.zeros(1, 5, 8, 8))


def test_an_empty_batch_is_no_error(model: ToyModel) -> None:
    masks, labels = model.eval()(torch.zeros(0, 3, 8, 8))
    assert (masks.shape, labels.shape) == ((0, 2, 8, 8), (0, 5))


# --- any size


class Strict(nn.Module):
    """An encoder that takes only sizes that divide, and remembers what it saw."""

    def __init__(self, reduction: int) -> None:
        super().__init__()
        self.out_channels, self.reductions, self.reduction = (3,), (reduction,), reduction
        self.seen = torch.zeros(0)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        assert x.shape[2] % self.reduction == 0
        assert x.shape[3] % self.reduction == 0
        self.seen = x
        return [nn.functional.avg_pool2d(x, self.reduction)]


class Repeat(nn.Module):
    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor, self.out_channels, self.reduction = factor, 3, 1

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        return nn.functional.interpolate(features[-1], scale_factor=self.factor)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 4, 8, 12, 32]))
def test_any_size_is_padded_and_cropped(height: int, width: int, multiple: int) -> None:
    encoder = Strict(multiple)
    model = SegmentationModel(encoder, Repeat(multiple), nn.Identity(), size_multiple=multiple)
    x = torch.rand(2, 3, height, width)
    masks = model(x)
    assert masks.shape == x.shape
    assert (encoder.seen.shape[2], encoder.seen.shape[3]) == (
        -(-height // multiple) * multiple,
        -(-width // multiple) * multiple,
    )
    assert torch.equal(encoder.seen[:, :, :height, :width], x)
    assert encoder.seen[:, :, height:].abs().sum() == encoder.seen[:, :, :, width:].abs().sum() == 0


def test_no_padding_where_none_is_needed(model: ToyModel) -> None:
    x = torch.rand(1, 3, 16, 16)
    model.eval()
    model.size_multiple = 16
    padded = model(x)
    model.size_multiple = 1
    assert all(torch.equal(a, b) for a, b in zip(padded, model(x), strict=True))


# --- prediction


def _flags(model: nn.Module) -> dict[str, bool]:
    return {name: module.training for name, module in model.named_modules()}


@given(st.lists(st.booleans(), min_size=40, max_size=40))
def test_predict_restores_every_flag(flags: list[bool]) -> None:
    model = ToyModel(ToyEncoder(depth=2), aux_params={"classes": 3})
    for module, flag in zip(model.modules(), flags, strict=False):
        module.training = flag
    before = _flags(model)
    model.predict(torch.zeros(1, 3, 8, 8))
    assert _flags(model) == before
    with pytest.raises(InputError, match="add the batch dimension"):
        model.predict(torch.zeros(3, 8, 8))
    assert _flags(model) == before


def test_predict_evaluates_without_gradients(model: ToyModel) -> None:
    x = torch.rand(2, 3, 13, 9)
    statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
    masks, labels = model.predict(x)
    again, _ = model.predict(x)
    assert torch.equal(masks, again)
    assert (masks.shape, labels.shape) == ((2, 2, 13, 9), (2, 5))
    assert masks.is_inference()
    assert not masks.requires_grad
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, statistics[name]), name
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(x)[0], masks)
    model.train()(x)[0].sum().backward()
    assert all(parameter.grad is not None for parameter in model.decoder.parameters())


# --- freezing


def test_a_frozen_encoder_does_not_move(model: ToyModel) -> None:
    model.freeze_encoder()
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())
    assert all(parameter.requires_grad for parameter in model.decoder.parameters())
    before = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        model.train()
        model(torch.rand(4, 3, 16, 16))[0].sum().backward()
        optimiser.step()
    for name, tensor in model.encoder.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert [module.training for module in norms] == [False, False, False, True]
    # What has no statistics trains on: dropout.
    assert [module.training for module in model.encoder.modules() if isinstance(module, nn.Dropout)] == [True] * 3


def test_freezing_survives_train_and_eval(model: ToyModel) -> None:
    model.freeze_encoder()
    for mode in (True, False, True):
        model.train(mode)
        norms = [module for module in model.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
        assert [module.training for module in norms] == [False] * 3
        assert model.training is model.decoder.training is mode
    model.predict(torch.zeros(1, 3, 8, 8))
    assert [module.training for module in norms] == [False] * 3


def test_freezing_in_evaluation_mode_stays_in_it(model: ToyModel) -> None:
    model.eval()
    model.freeze_encoder()
    assert not any(_flags(model).values())
    model.unfreeze_encoder()
    assert not any(_flags(model).values())


def test_unfreezing_restores_what_was_trainable(model: ToyModel) -> None:
    model.encoder.get_parameter("stage1.0.weight").requires_grad_(False)
    model.freeze_encoder()
    model.freeze_encoder()
    model.unfreeze_encoder()
    trainable = {name: parameter.requires_grad for name, parameter in model.encoder.named_parameters()}
    assert trainable.pop("stage1.0.weight") is False
    assert all(trainable.values())
    assert all(_flags(model).values())
    # Undone once, it is forgotten: what its user fixes later stays fixed.
    model.encoder.get_parameter("stage2.0.weight").requires_grad_(False)
    model.unfreeze_encoder()
    assert not model.encoder.get_parameter("stage2.0.weight").requires_grad


def test_train_returns_the_model(model: ToyModel) -> None:
    assert model.train(False) is model
    assert model.eval() is model


def test_freezing_leaves_the_state_dict_alone(model: ToyModel) -> None:
    keys = list(model.state_dict())
    model.freeze_encoder()
    assert list(model.state_dict()) == keys
    assert all(
        name.split(".")[0] in ("encoder", "decoder", "segmentation_head", "classification_head") for name in keys
    )


# --- parts


def test_a_model_of_ones_own_parts() -> None:
    model = SegmentationModel(Bare(), Repeat(4), nn.Conv2d(3, 1, 1))
    assert (model.classification_head, model.preprocessing, model.config) == (None, None, {})
    assert isinstance(model, nn.Module)
    parts: list[Any] = [name for name, _ in model.named_children()]
    assert parts == ["encoder", "decoder", "segmentation_head"]


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (numpy.zeros((1, 3, 8, 8), numpy.float32), "a ndarray: torch.as_tensor(x) makes a tensor of it"),
        ([[[[0.0]]]], "a list: torch.as_tensor(x) makes a tensor of it"),
        (None, "a NoneType"),
        ("image.png", "a str"),
        (torch.zeros(1, 3, 8, 8).to_sparse(), "a tensor of layout torch.sparse_coo: x.to_dense() makes a dense one"),
    ],
    ids=["array", "list", "None", "str", "sparse"],
)
@pytest.mark.parametrize("method", ["forward", "predict"])
def test_what_is_no_dense_tensor(model: ToyModel, given: object, got: str, method: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(f'expected an input of shape (N, 3, H, W), got {got}')}$"):
        getattr(model, method)(given)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_nested_tensor(model: ToyModel) -> None:
    images = torch.nested.nested_tensor([torch.zeros(3, 8, 8), torch.zeros(3, 9, 8)])
    with pytest.raises(InputError, match=r"got a nested tensor: give images of one size, as torch\.nested\.to_padded"):
        model(images)


def test_a_complex_conjugate(model: ToyModel) -> None:
    with pytest.raises(InputError, match=r"and dtype torch\.float32, got torch\.complex64$"):
        model(torch.zeros(1, 3, 8, 8, dtype=torch.complex64).conj())


def test_another_device(model: ToyModel) -> None:
    message = "expected an input of shape (N, 3, H, W) on cpu, where the model is, got one on meta: move either"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        model(torch.zeros(1, 3, 8, 8, device="meta"))
    masks, _ = model.eval().to("meta")(torch.zeros(1, 3, 8, 8, device="meta"))
    assert masks.shape == (1, 2, 8, 8)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_autocast_takes_no_integers(model: ToyModel, dtype: torch.dtype) -> None:
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(InputError, match=r"pixels first: x\.float\(\) / 255$"):
        model(torch.zeros(1, 3, 8, 8, dtype=dtype))


def test_predicting_in_several_threads(model: ToyModel) -> None:
    """Whoever leaves first must not leave the others in training mode, nor whoever comes later restore theirs."""
    model.train()
    model.decoder.eval()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    modes = {name: module.training for name, module in model.named_modules()}
    wrong: list[object] = []

    def predict() -> None:
        for _ in range(50):
            model.predict(torch.rand(2, 3, 8, 8))
            if any(not torch.equal(buffer, before[name]) for name, buffer in model.named_buffers()):
                wrong.append("statistics moved")

    threads = [threading.Thread(target=predict) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert {name: module.training for name, module in model.named_modules()} == modes
    with pytest.raises(InputError, match="add the batch dimension"):
        model.predict(torch.zeros(3, 8, 8))
    assert {name: module.training for name, module in model.named_modules()} == modes


@pytest.mark.parametrize("keyword", [False, True])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_too_few_values_to_train_on(model: ToyModel, norm: str, keyword: bool) -> None:
    """The deepest map is one pixel: normalisation over images and pixels has a single value of each channel."""
    if norm == "instance":
        model.encoder.stage3[1] = nn.InstanceNorm2d(12)
    one = torch.randn(1, 3, 8, 8)
    message = "an input of shape (1, 3, 8, 8) is too small to train on: a normalisation layer computes its statistics"
    with pytest.raises(InputError, match=f"^{re.escape(message)}.*Give two images or more.*drop_last=True"):
        model(x=one) if keyword else model(one)
    if norm == "batch":
        model(torch.randn(2, 3, 8, 8))
        model.predict(one)
        model.eval()(one)
    model.train()(torch.randn(1, 3, 9, 8))


def test_double_precision_under_autocast(model: ToyModel) -> None:
    """Which autocast leaves as it is."""
    with torch.autocast("cpu", torch.bfloat16):
        model.eval()(torch.randn(2, 3, 8, 8))
        with pytest.raises(InputError, match=r"and dtype torch\.float32, got torch\.float64$"):
            model(torch.randn(2, 3, 8, 8, dtype=torch.float64))


def test_other_errors_of_parts_are_their_own(model: ToyModel) -> None:
    def fails(*_: object) -> None:
        raise ValueError("of a hook of mine")

    model.encoder.register_forward_hook(fails)
    with pytest.raises(ValueError, match=r"^of a hook of mine$") as caught:
        model(torch.randn(2, 3, 8, 8))
    assert not isinstance(caught.value, InputError)

"""`smp_core.optimize`: what is folded, what is left as it is, and what its result refuses."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from settled import furthest, num_norms, settle
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

import smp_core
from smp_core.errors import CheckpointError, InputError, OptionError
from smp_core.inference import HasInferenceForm, Walk
from smp_core.layers import Fusing, may_fuse
from smp_core.layers.unet_block import UnetBlock


def unet(**options: object) -> smp_core.SegmentationModel:
    torch.manual_seed(0)
    model = smp_core.create("unet", "resnet18", encoder_weights=None, classes=3, **options)
    settle(model)
    return model.double()


@pytest.fixture(scope="module")
def original() -> smp_core.SegmentationModel:
    return unet()


@pytest.fixture
def model(original: smp_core.SegmentationModel) -> smp_core.SegmentationModel:
    return copy.deepcopy(original)


def image(height: int = 64, width: int = 96) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@torch.no_grad()
def assert_same(fast: nn.Module, model: nn.Module, x: Tensor) -> None:
    assert furthest(fast(x), model(x)) < 1e-11


# --- what becomes of a model


def test_the_original_is_not_changed(model: smp_core.SegmentationModel) -> None:
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    fast = smp_core.optimize(model)
    assert model.training
    assert not fast.training
    assert num_norms(model) == 30
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert_same(fast, model.eval(), image())


def test_in_place_takes_the_model_apart(model: smp_core.SegmentationModel) -> None:
    expected = model(image()).detach()
    fast = smp_core.optimize(model, inplace=True)
    assert fast.model is model
    assert furthest(fast(image()), expected) < 1e-11


def test_dropout_and_norms_are_gone_and_kernels_are_there() -> None:
    model = smp_core.create("fpn", "resnet18", encoder_weights=None)
    assert any(isinstance(module, nn.Dropout2d) for module in model.modules())
    assert not any(isinstance(module, nn.Dropout2d) for module in smp_core.optimize(model).modules())
    blocks = [block for block in smp_core.optimize(unet()).modules() if isinstance(block, UnetBlock)]
    assert len(blocks) == 5
    assert all(block.known_kernel() is not None for block in blocks)


def test_precision_layout_and_facts(model: smp_core.SegmentationModel) -> None:
    fast = smp_core.optimize(model, dtype=torch.float16)
    assert fast.dtype == torch.float16
    assert {parameter.dtype for parameter in fast.parameters()} == {torch.float16}
    assert fast.model.encoder.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert smp_core.optimize(model, memory_format="contiguous").model.encoder.conv1.weight.is_contiguous()
    assert (fast.in_channels, fast.config, fast.preprocessing) == (3, model.config, model.preprocessing)


def test_any_floating_point_input_is_taken(model: smp_core.SegmentationModel) -> None:
    fast = smp_core.optimize(model, dtype=torch.float32)
    assert fast(image()).dtype == torch.float32
    with pytest.raises(InputError, match=r"and dtype torch.float32, got torch.uint8; scale and convert the pixels"):
        fast(image().to(torch.uint8))


def test_predict_and_inference_mode(model: smp_core.SegmentationModel) -> None:
    with torch.inference_mode():
        fast = smp_core.optimize(model)
    assert fast.predict(image()).is_inference()
    assert not any(parameter.is_inference() for parameter in fast.parameters())
    assert_same(copy.deepcopy(fast), model, image())


def test_gradient_checkpointing_is_left_behind(model: smp_core.SegmentationModel) -> None:
    model.set_gradient_checkpointing()
    fast = smp_core.optimize(model)
    assert num_norms(fast) == 0
    assert "forward" in model.encoder.layer1[0].__dict__
    assert_same(fast, model, image())


# --- copies, files, graphs


def test_copies_and_pickles_keep_their_kernels(model: smp_core.SegmentationModel, tmp_path: Path) -> None:
    fast = smp_core.optimize(model)
    torch.save(fast, tmp_path / "fast.pt")
    for other in (
        copy.deepcopy(fast),
        pickle.loads(pickle.dumps(fast)),
        torch.load(tmp_path / "fast.pt", weights_only=False),
    ):
        assert all(block.known_kernel() is not None for block in other.modules() if isinstance(block, UnetBlock))
        assert_same(other, model, image())


def test_what_is_written_into_a_weight_counts(model: smp_core.SegmentationModel) -> None:
    fast, changed = smp_core.optimize(model), copy.deepcopy(model)
    for parameter in changed.parameters():
        parameter.data.mul_(0.9)
    fast.load_state_dict(smp_core.optimize(changed).state_dict())
    assert_same(fast, changed, image())
    block = fast.model.decoder.blocks[0]
    with torch.no_grad():
        block.conv1[0].weight.zero_()
    plain = copy.deepcopy(fast)
    plain.model.decoder.blocks[0].conv1.register_forward_hook(lambda *_: None)  # so that it is called
    assert_same(fast, plain, image())


def test_it_scripts_exports_and_compiles(model: smp_core.SegmentationModel) -> None:
    fast = smp_core.optimize(model)
    assert_same(torch.jit.script(fast), model, image())
    assert_same(torch.jit.trace(fast, image()), model, image())
    exported = torch.export.export(fast, (image(),))
    assert_same(exported.module(), model, image())
    with torch.no_grad():
        compiled = torch.compile(fast, backend="eager", fullgraph=True)
        assert furthest(compiled(image()), model(image())) < 1e-11


# --- what is not understood is left


class Scaled(nn.Conv2d):
    """Somebody's convolution."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def _hook(model: smp_core.SegmentationModel) -> None:
    model.encoder.layer1[0].conv1.register_forward_hook(lambda *given: given[2].relu())


def _hook_a_norm(model: smp_core.SegmentationModel) -> None:
    model.encoder.layer1[0].bn1.register_forward_pre_hook(lambda _, given: (given[0] + 1,))


def _replace(model: smp_core.SegmentationModel) -> None:
    other = Scaled(64, 64, 3, padding=1, bias=False)
    other.load_state_dict(model.encoder.layer1[0].conv1.state_dict())
    model.encoder.layer1[0].conv1 = other.double()


def _parametrise(model: smp_core.SegmentationModel) -> None:
    parametrizations.weight_norm(model.encoder.layer1[0].conv1)


def _prune(model: smp_core.SegmentationModel) -> None:
    torch.manual_seed(0)
    prune.random_unstructured(model.encoder.layer1[0].conv1, "weight", amount=0.3)


def _own_forward(model: smp_core.SegmentationModel) -> None:
    convolution = model.encoder.layer1[0].conv1
    convolution.forward = lambda x: 2 * nn.Conv2d.forward(convolution, x)


def _share(model: smp_core.SegmentationModel) -> None:
    first, second = model.encoder.layer1
    second.conv1 = first.conv1  # two norms take the result of one convolution


@pytest.mark.parametrize("change", [_hook, _hook_a_norm, _replace, _parametrise, _prune, _own_forward, _share])
def test_a_changed_layer_keeps_its_norm(
    model: smp_core.SegmentationModel, change: Callable[[smp_core.SegmentationModel], None]
) -> None:
    change(model)
    model.predict(image())  # a pruned weight, which a hook computes, then has no gradient, and can be copied
    fast = smp_core.optimize(model)
    assert num_norms(fast) == (2 if change is _share else 1)
    assert_same(fast, model, image())


def test_a_hooked_module_is_left_with_all_that_is_in_it(model: smp_core.SegmentationModel) -> None:
    seen = []
    model.encoder.layer1[0].register_forward_hook(lambda *given: seen.append(given[0]))
    fast = smp_core.optimize(model)
    assert num_norms(fast) == 2
    assert_same(fast, model, image())
    assert [type(module).__name__ for module in seen] == ["BasicBlock"] * 2


def test_a_norm_with_the_statistics_of_the_batch_stays(model: smp_core.SegmentationModel) -> None:
    model.encoder.bn1 = nn.BatchNorm2d(64, track_running_stats=False).double()
    fast = smp_core.optimize(model)
    assert num_norms(fast) == 1
    assert_same(fast, model, image())


def test_a_replaced_decoder_convolution(model: smp_core.SegmentationModel) -> None:
    block = model.decoder.blocks[0]
    other = nn.Conv2d(768, 256, 3, padding=1, padding_mode="reflect").double()
    block.conv1[0] = other
    fast = smp_core.optimize(model)
    assert fast.model.decoder.blocks[0].known_kernel() is None
    assert num_norms(fast) == 0
    assert_same(fast, model, image())


# --- modules of strangers, put around the encoder's first norm


class Stranger(nn.Module):
    """A convolution and a norm, called in some way."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3))
        self.rest = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.layers(x)).relu()


class TakesTheMiddle(Stranger):
    """Its first convolution has two readers."""

    def forward(self, x: Tensor) -> Tensor:
        convolved = self.layers[0](x)
        return self.rest(self.layers[1](convolved) + convolved)


class AsksForSizes(Stranger):
    """Who knows what it does with other sizes?"""

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.layers(x) if x.shape[2] > 8 else self.layers[0](x))


class ReadsAWeight(Stranger):
    """Uses a layer without calling it."""

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.layers(x)) * self.layers[0].weight.mean()


class HasAFastForm(Stranger):
    """Asks whether it may do something else than it shows."""

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.layers(x)) if may_fuse(x) else self.rest(self.layers(x)).clone()


class HasAFastFormByItsBase(Fusing):
    """Another way of saying so."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Stranger().layers

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class Speaks(AsksForSizes):
    """Says what it becomes."""

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.layers(x)) if x.shape[2] > 0 else x

    def inference_form(self, walk: Walk) -> nn.Module:
        self.layers, self.rest = walk.over(self.layers), walk(self.rest)
        return self


class SpeaksNoMore(Speaks):
    """A subclass that computes something else is not spoken for."""

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.layers[1](self.layers[0](x) + x.shape[2]))


@pytest.mark.parametrize(
    ("kind", "norms"),
    [
        (Stranger, 0),
        (TakesTheMiddle, 1),
        (AsksForSizes, 1),
        (ReadsAWeight, 1),
        (HasAFastForm, 1),
        (HasAFastFormByItsBase, 1),
        (Speaks, 0),
        (SpeaksNoMore, 1),
    ],
)
def test_modules_of_strangers(model: smp_core.SegmentationModel, kind: type[nn.Module], norms: int) -> None:
    torch.manual_seed(0)
    stranger = settle(kind()).double()
    model.segmentation_head = nn.Sequential(model.segmentation_head, stranger).eval()
    fast = smp_core.optimize(model)
    assert num_norms(fast) == norms
    assert isinstance(stranger, HasInferenceForm) is hasattr(kind, "inference_form")
    assert_same(fast, model, image())


# --- refusals


def test_training_and_gradients_are_errors(model: smp_core.SegmentationModel, tmp_path: Path) -> None:
    fast = smp_core.optimize(model)
    assert fast.eval() is fast
    assert fast.requires_grad_(False) is fast
    with pytest.raises(OptionError, match=r"^an optimized model cannot be trained: its norms are part of its conv"):
        fast.train()
    with pytest.raises(OptionError, match=r"^an optimized model gives no gradients: its norms are part of its conv"):
        fast.requires_grad_()
    with pytest.raises(InputError, match=re.escape("its input has requires_grad=True: give x.detach(), or use")):
        fast(image().requires_grad_())
    for save in (fast.save_pretrained, fast.push_to_hub):
        message = (
            rf"call {save.__name__} of the original, and smp_core.optimize\(.*makes this form again, in a second or"
        )
        with pytest.raises(CheckpointError, match=message):
            save(tmp_path)


def test_training_mode_behind_its_back_is_an_error(model: smp_core.SegmentationModel) -> None:
    fast = smp_core.optimize(model)
    expected = fast(image())
    fast.model.train()
    message = (
        "an optimized model cannot be trained, and its .model is in training mode, in which the norms that stayed "
        "would take the statistics of the batch: call .eval() of the optimized model; train the original"
    )
    for call in (fast, fast.predict, lambda x: torch.jit.trace(fast, x)):
        with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
            call(image())
    assert torch.equal(fast.eval()(image()), expected)

"""Layers that go wrong as soon as somebody changes them, each found by a check that says so."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from smp_core.layers import CONV3X3, is_stock
from smp_testing import BoundCheck, ConformanceError
from smp_testing.cases import ModuleCase
from smp_testing.checks import CHECKS, copies, distributed, flow, hidden, inference, module, surgery
from smp_testing.outcomes import result_of


class Right(nn.Module):
    """Convolutions and a linear layer; one convolution has another form, which notices whatever is done to it."""

    first_convolution = "first"

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.linear = nn.Linear(8, 6)
        self.segmentation_head = nn.Sequential(nn.Conv2d(6, 4, 3, padding=1), nn.UpsamplingBilinear2d(scale_factor=2))

    def forward(self, x):
        height, width = -(-x.shape[2] // 2), -(-x.shape[3] // 2)
        x = functional.interpolate(self.first(x), size=(height, width))
        x = self.project(self.convolve(x))
        return [self.crop(self.segmentation_head(x), height, width)]

    def crop(self, masks, height, width):
        return masks

    def project(self, x):
        return self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def convolve(self, x):
        if not is_stock(self.block, nn.Sequential) or not is_stock(self.block[0], nn.Conv2d, CONV3X3):
            return self.block(x)
        x = self.fast(x)
        for layer in self.block[1:]:
            x = layer(x)
        return x

    def fast(self, x):
        return functional.conv2d(x, self.kernel(), self.block[0].bias, padding=1)

    def kernel(self):
        return self.block[0].weight


class Bypasses(Right):
    def convolve(self, x):
        return self.block[2](self.block[1](self.fast(x)))


class CountsLayers(Right):
    def convolve(self, x):
        is_as_built = is_stock(self.block, nn.Sequential) and is_stock(self.block[0], nn.Conv2d, CONV3X3)
        return self.block[2](self.block[1](self.fast(x))) if is_as_built else self.block(x)


class AsksTypeAlone(Right):
    def convolve(self, x):
        conv = self.block[0]
        return self.block[2](self.block[1](self.fast(x) if type(conv) is nn.Conv2d else conv(x)))


class OverlooksContainer(Right):
    def convolve(self, x):
        conv = self.block[0]
        return self.block[2](self.block[1](self.fast(x))) if is_stock(conv, nn.Conv2d, CONV3X3) else self.block(x)


class OverlooksHooksOfPart(Right):
    def convolve(self, x):
        conv, hooks = self.block[0], dict(self.block[0]._forward_hooks)
        conv._forward_hooks.clear()
        out = super().convolve(x)
        conv._forward_hooks.update(hooks)
        return out


def overlooks(attribute):
    """A layer whose fast form does not look at an attribute of its convolution."""

    class Overlooks(Right):
        def convolve(self, x):
            conv, assumed = self.block[0], {key: value for key, value in CONV3X3.items() if key not in attribute}
            is_assumed = is_stock(self.block, nn.Sequential) and is_stock(conv, nn.Conv2d, assumed)
            return self.block[2](self.block[1](self.fast(x))) if is_assumed else self.block(x)

    return Overlooks


class KeepsLayer(Right):
    def __init__(self):
        super().__init__()
        self.kept = (self.block[0],)

    def convolve(self, x):
        return self.block[2](self.block[1](self.kept[0](x)))


class KeepsWeight(Right):
    def __init__(self):
        super().__init__()
        self.kept = (self.block[0].weight,)

    def kernel(self):
        return self.kept[0]


class CachesKernel(Right):
    cached = None

    def kernel(self):
        if self.cached is None:
            self.cached = (self.block[0].weight.detach().clone(),)
        return self.cached[0]


class CachesByVersion(Right):
    cached = (None, None)

    def kernel(self):
        weight = self.block[0].weight
        if self.cached[0] != (id(weight), weight._version):
            self.cached = (id(weight), weight._version), weight.detach().clone()
        return self.cached[1]


class ReadsAndCalls(Right):
    def convolve(self, x):
        scale = self.block[0].weight.abs().mean()
        return super().convolve(x * scale) / scale


class HoldsLambda(Right):
    def __init__(self):
        super().__init__()
        self.scale = lambda x: x

    def project(self, x):
        return self.scale(super().project(x))


class SharesWeights(Right):
    def __deepcopy__(self, memo):
        twin = SharesWeights()
        twin._modules, twin.training = dict(self._modules), self.training
        return twin


class WritesIntoBuffer(Right):
    def convolve(self, x):
        x = super().convolve(x)
        out = torch.zeros(x.shape, dtype=x.dtype)
        out += x
        return out


class IsFloat32(Right):
    def kernel(self):
        return self.block[0].weight.float()


class DetachesWhatIsWrapped(Right):
    def convolve(self, x):
        return super().convolve(x if is_stock(self.block[0], nn.Conv2d) else x.detach())


class RemembersChannels(Right):
    def forward(self, x):
        return super().forward(x.reshape(x.shape[0], 3, x.shape[2], x.shape[3]))


class RemembersClasses(Right):
    def crop(self, masks, height, width):
        return masks[:, :4]


class RemembersScale(Right):
    def crop(self, masks, height, width):
        return functional.pad(masks, (0, 2 * width - masks.shape[3], 0, 2 * height - masks.shape[2]))


class ReadsLinear(Right):
    def project(self, x):
        return functional.conv2d(x, self.linear.weight[:, :, None, None], self.linear.bias)


class LooksAtLinear(Right):
    def project(self, x):
        if type(self.linear) is not nn.Linear:
            return torch.zeros_like(super().project(x))
        return super().project(x)


SCALES = {}  # of modules, in this process


class LooksUpInProcess(Right):
    def __init__(self):
        super().__init__()
        SCALES[id(self)] = 1.0
        self.key = id(self)

    def project(self, x):
        return SCALES[self.key] * super().project(x)


class LeavesOneOut(Right):
    def __init__(self):
        super().__init__()
        self.forgotten = nn.Conv2d(8, 8, 1)


class ToyCase(ModuleCase):
    """A case that needs no plugin."""

    scriptable, default_depth, largest_reduction = True, 1, 2

    def __init__(self, kind):
        self.kind = kind

    @property
    def name(self):
        return self.kind.__name__

    def make(self, *, depth, output_stride, in_channels):
        return self.kind()


OVERLOOKS_MODE, OVERLOOKS_DILATION = overlooks(("padding_mode",)), overlooks(("dilation", "padding"))

# What is wrong, the check that finds it, and what the message says (a regular expression).
WRONG = [
    (Bypasses, surgery.hooks_fire_on_every_module, "no hook is called on block.0; expected forward to call each"),
    (Bypasses, surgery.pruned_layers_train, "training step 2: RuntimeError: Trying to backward through the graph"),
    (Bypasses, surgery.wrapped_layers_train, "block.0, a Conv2d, in an adapter that adds nothing: AttributeError"),
    (Bypasses, surgery.changed_attributes_count, "padding_mode='replicate' of block.0 changes nothing; expected the"),
    (AsksTypeAlone, surgery.hooks_fire_on_every_module, "no hook is called on (block|block.0)"),
    (AsksTypeAlone, surgery.pruned_layers_train, "training step 2: RuntimeError"),
    (OverlooksContainer, surgery.hooks_fire_on_every_module, "a hook on block alone is not called; expected it to be"),
    (OverlooksHooksOfPart, surgery.hooks_fire_on_every_module, "no hook is called on block.0"),
    (OVERLOOKS_MODE, surgery.changed_attributes_count, "Overlooks with padding_mode='replicate' of block.0"),
    (OVERLOOKS_DILATION, surgery.changed_attributes_count, r"dilation=\(2, 2\), padding=\(2, 2\) of block.0"),
    (KeepsLayer, surgery.wrapped_layers_train, "block.0, a Conv2d, .*: no gradient reaches the adapter"),
    (KeepsWeight, copies.weights_are_read_at_each_call, "by torch.func.functional_call: output 0 differs"),
    (CachesKernel, copies.weights_are_read_at_each_call, "by torch.func.functional_call: output 0 differs"),
    (CachesKernel, copies.copies_are_independent, "a copy by copy.deepcopy, with other weights: output 0 differs"),
    (CachesByVersion, copies.weights_are_read_at_each_call, "after its .data was exchanged: output 0 differs"),
    (ReadsAndCalls, surgery.parametrisations_run_once, r"once a call of its layer: block.0 \(2 times\); exp"),
    (HoldsLambda, copies.copies_are_independent, "a copy by pickle: .*HoldsLambda.* expected it to run"),
    (SharesWeights, copies.copies_are_independent, "after the weights of .* were changed: output 0 differs"),
    (
        WritesIntoBuffer,
        copies.maps_over_images_and_models,
        "under torch.func.vmap over images: RuntimeError: .*; expected it to run",
    ),
    (IsFloat32, copies.other_dtypes_stay_near, "in torch.bfloat16: RuntimeError"),
    (DetachesWhatIsWrapped, copies.recomputed_layers_train_alike, "parameters with a gradient: expected"),
    (RemembersChannels, copies.first_convolution_may_be_replaced, "a first convolution of 6 channels: RuntimeError"),
    (
        RemembersClasses,
        copies.heads_may_be_replaced,
        "another last convolution: channels of the masks: expected 6, got 4",
    ),
    (RemembersScale, copies.heads_may_be_replaced, "without its upsampling by 2: size of the masks: expected"),
    (ReadsLinear, surgery.dynamically_quantised_layers_run, "quantised to int8: TypeError.* expected its parts"),
    (HoldsLambda, distributed.opens_in_a_new_process, "torch.save of the module: .*HoldsLambda.*; expected it to work"),
    (LooksUpInProcess, distributed.opens_in_a_new_process, "saved whole: in process 0: KeyError"),
    (
        LeavesOneOut,
        distributed.trains_in_two_processes,
        "in process 0: RuntimeError: Expected to have finished reduction",
    ),
    (Bypasses, distributed.trains_sharded, "under fully_shard: in process 0: RuntimeError: .*DTensor"),
    (
        CountsLayers,
        surgery.longer_sequences_run,
        "with block longer by one, against calling every part: output 0 differs",
    ),
    (LooksAtLinear, surgery.dynamically_quantised_layers_run, "the output differs by 0.[0-9]+ of its norm"),
]


@pytest.mark.parametrize(
    ("kind", "check", "message"), WRONG, ids=[f"{kind.__name__}-{check.__name__}" for kind, check, _ in WRONG]
)
def test_a_check_fails(kind, check, message):
    with pytest.raises(ConformanceError, match=f"(?s){message}"):
        check(ToyCase(kind))


@pytest.mark.parametrize("check", dict.fromkeys(check for _, check, _ in WRONG), ids=lambda check: check.__name__)
def test_a_check_passes_and_leaves_the_module_as_it_was(check):
    case = ToyCase(Right)
    before = copy.deepcopy(case.settled())
    check(case)
    assert [*case.settled().state_dict()] == [*before.state_dict()]
    for now, then in zip(case.settled().state_dict().values(), before.state_dict().values(), strict=True):
        assert torch.equal(now, then)
    assert not any(module._forward_hooks for module in case.settled().modules())


def test_each_check_has_something_wrong_to_find():
    # Those of what passes through: test_one_cause.py.
    elsewhere = (flow.__name__, hidden.__name__, inference.__name__)
    names = {check.name for check in CHECKS if check.surgery and check.function.__module__ not in elsewhere}
    assert names == {check.__name__ for _, check, _ in WRONG}


# Faults of one cause, and the check that says it; the others here are faulty in more ways than one.
ONE = {
    Bypasses: surgery.hooks_fire_on_every_module,
    AsksTypeAlone: surgery.hooks_fire_on_every_module,
    OverlooksContainer: surgery.hooks_fire_on_every_module,
    ReadsLinear: surgery.hooks_fire_on_every_module,
    KeepsLayer: surgery.wrapped_layers_train,
    CountsLayers: surgery.longer_sequences_run,
    ReadsAndCalls: surgery.parametrisations_run_once,
    KeepsWeight: copies.weights_are_read_at_each_call,
    HoldsLambda: copies.copies_are_independent,
    DetachesWhatIsWrapped: copies.recomputed_layers_train_alike,
    IsFloat32: hidden.float64_is_kept,
    LooksUpInProcess: distributed.opens_in_a_new_process,
    LeavesOneOut: module.gradients_reach_every_parameter,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ONE, ids=lambda kind: kind.__name__)
def test_one_fault_is_one_failure(kind):
    siblings = {}
    for check in CHECKS:
        if check.kind is ModuleCase and not check.traces:
            siblings[check.name] = BoundCheck(ToyCase(kind), check, siblings)
    results = [result_of(check) for check in siblings.values()]
    failed = {result.check: result.message for result in results if result.status == "failed"}
    assert [*failed] == [ONE[kind].__name__], failed

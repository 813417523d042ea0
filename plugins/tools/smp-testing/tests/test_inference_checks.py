"""Inference forms that go wrong, each found by the check that says so, and by no other one."""

import pytest
import torch
from torch import nn

from smp_core.layers import is_stock
from smp_testing import BoundCheck, ConformanceError
from smp_testing.cases import ModuleCase
from smp_testing.checks import CHECKS, inference
from smp_testing.outcomes import result_of


class Scaled(nn.Module):
    """A convolution whose result is scaled, which becomes a convolution."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.scale = nn.Parameter(torch.full((), 2.0))

    def forward(self, x):
        return self.conv(x) * self.scale

    def inference_form(self, walk):
        walk.parts(self)
        return self.scaled(self.conv) if is_stock(self.conv, nn.Conv2d) else self

    def scaled(self, conv):
        conv.weight.mul_(self.scale)
        conv.bias.mul_(self.scale)
        return conv


class Right(nn.Module):
    """What a module of a stranger's looks like: one that says what it becomes, between such that need not."""

    def __init__(self, kind):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.middle = kind()
        self.last = nn.Sequential(nn.Conv2d(8, 6, 1), nn.BatchNorm2d(6))

    def forward(self, x):
        return [self.last(self.middle(self.first(x)))]


class ForgetsBias(Scaled):
    def scaled(self, conv):
        conv.weight.mul_(self.scale)
        return conv


class ReturnsNothing(Scaled):
    def inference_form(self, walk):
        walk.parts(self)


class Shared:
    """Something that all copies of a module have in common, as a connection or a table is."""

    folded = False

    def __deepcopy__(self, memo):
        return self


class NotesInShared(Scaled):
    def __init__(self):
        super().__init__()
        self.shared = Shared()

    def forward(self, x):
        return self.conv(x) if self.shared.folded else super().forward(x)

    def inference_form(self, walk):
        walk.parts(self)
        if is_stock(self.conv, nn.Conv2d):
            self.scaled(self.conv)
            self.shared.folded = True
        return self


class SwitchesOwnersMode(Scaled):
    def __init__(self):
        super().__init__()
        self.shared = Shared()
        self.shared.owner = self

    def inference_form(self, walk):
        self.shared.owner.conv.eval()
        return super().inference_form(walk)


class StaysInTraining(nn.Conv2d):
    def train(self, mode=True):
        return super().train(True)


class BecomesTraining(Scaled):
    def scaled(self, conv):
        form = StaysInTraining(8, 8, 3, padding=1)
        form.load_state_dict(super().scaled(conv).state_dict())
        return form


class BuildsAnew(Scaled):
    def inference_form(self, walk):
        form = nn.Conv2d(8, 8, 3, padding=1)
        form.load_state_dict({"weight": self.conv.weight * self.scale, "bias": self.conv.bias * self.scale})
        return form


class LooksThroughWrappers(Scaled):
    def inference_form(self, walk):
        walk.parts(self)
        if self.conv._forward_hooks:
            return self
        return self.scaled(next(part for part in self.conv.modules() if isinstance(part, nn.Conv2d)))


class Multiplied(nn.Module):
    def __init__(self, conv):
        super().__init__()
        self.conv = conv
        self.function = lambda x: 1 * x

    def forward(self, x):
        return self.function(self.conv(x))


class HoldsFunction(Scaled):
    def scaled(self, conv):
        return Multiplied(super().scaled(conv))


class AsksForValues(nn.Module):
    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self, x):
        return self.conv(x if bool(x.sum() > 0) else x + 0)


class BranchesOnValues(Scaled):
    def scaled(self, conv):
        return AsksForValues(super().scaled(conv))


class ToyCase(ModuleCase):
    """A case that needs no plugin."""

    scriptable, default_depth, largest_reduction = True, 1, 2

    def __init__(self, kind):
        self.kind = kind

    @property
    def name(self):
        return self.kind.__name__

    def make(self, *, depth, output_stride, in_channels):
        return Right(self.kind)


WRONG = [
    (ForgetsBias, inference.inference_form_gives_the_same, "optimize: 'module.middle' is left as it is.*other numbers"),
    (ReturnsNothing, inference.inference_form_leaves_the_original_alone, "PluginError: ReturnsNothing.* NoneType"),
    (NotesInShared, inference.inference_form_leaves_the_original_alone, "after its inference form was made: output 0"),
    (
        SwitchesOwnersMode,
        inference.inference_form_leaves_the_original_alone,
        "smp_core.optimize changes middle.conv of the original; expected",
    ),
    (BecomesTraining, inference.inference_form_only_infers, "of its inference form .*middle are in training mode"),
    (BuildsAnew, inference.inference_form_keeps_changes, "with a hook on middle.conv, a Conv2d, against the model"),
    (
        LooksThroughWrappers,
        inference.inference_form_keeps_changes,
        "with another module in place of middle.conv, a Conv2d: .*optimize: 'module.middle' is left as it is",
    ),
    (HoldsFunction, inference.inference_form_is_saved, "its inference form, by pickle: .*lambda.*expected it to run"),
    (
        BranchesOnValues,
        inference.inference_form_compiles_and_exports,
        "BranchesOnValues its inference form does not compile with fullgraph=True",
    ),
]


@pytest.mark.parametrize(("kind", "check", "message"), WRONG, ids=[kind.__name__ for kind, _, _ in WRONG])
def test_the_check_finds_it(kind, check, message):
    with pytest.raises(ConformanceError, match=f"(?s){message}"):
        check(ToyCase(kind))


@pytest.mark.parametrize("check", dict.fromkeys(check for _, check, _ in WRONG), ids=lambda check: check.__name__)
def test_what_is_right_passes_and_stays_as_it_is(check):
    case = ToyCase(Scaled)
    before = {name: tensor.clone() for name, tensor in case.settled().state_dict().items()}
    check(case)
    assert all(torch.equal(tensor, before[name]) for name, tensor in case.settled().state_dict().items())
    assert not any(part._forward_hooks for part in case.settled().modules())


def test_each_check_has_something_wrong_to_find():
    names = {check.name for check in CHECKS if check.function.__module__ == inference.__name__}
    assert names == {check.__name__ for _, check, _ in WRONG}


@pytest.mark.parametrize(("kind", "check"), [(kind, check) for kind, check, _ in WRONG], ids=lambda item: item.__name__)
def test_one_fault_is_one_failure_among_them(kind, check):
    expect_one(kind, check, lambda item: item.name.startswith("inference_form"))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "check"), [(kind, check) for kind, check, _ in WRONG], ids=lambda item: item.__name__)
def test_one_fault_is_one_failure_of_all(kind, check):
    expect_one(kind, check, lambda item: not item.starts_processes and item.name != "scripts_as_declared")


def expect_one(kind, check, wanted):
    siblings = {}
    for item in CHECKS:
        if item.kind is ModuleCase and wanted(item):
            siblings[item.name] = BoundCheck(ToyCase(kind), item, siblings)
    failed = {result.check: result.message for result in map(result_of, siblings.values()) if result.status == "failed"}
    assert [*failed] == [check.__name__], failed

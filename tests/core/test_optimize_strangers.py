"""`smp_core.optimize` of models in which strangers' modules, tensors or patches are."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from settled import furthest, num_norms, settle, with_part
from torch import Tensor, nn

import smp_core
from smp_core.layers.known_conv import KnownConv2d


class Pair(nn.Module):
    """A convolution and a norm, called in some way."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.rest = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)
        self.kept: Any = None
        self.list_of_kept: list[Tensor] = []


class CatchesTheRefusal(Pair):
    """What it would do with another size is not seen."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        try:
            if x.shape[2] > 1:
                return self.norm(y) + y
        except Exception:
            pass
        return self.norm(y)


class AsksForATensor(Pair):
    """A symbol would not be one."""

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        y = self.conv(x)
        if isinstance(skip, Tensor):
            y = y + skip
        return self.norm(y)


class Gives(nn.Module):
    """Gives another one two inputs."""

    def __init__(self, inner: AsksForATensor) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x, self.inner.rest(x))
        return out


class AsksForAnAttribute(Pair):
    """A symbol has any."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(y) if hasattr(x, "tensors") else self.norm(y) + y


class AsksForNorms(Pair):
    """What has been folded is none any more."""

    def forward(self, x: Tensor) -> Tensor:
        for part in (self.conv, self.norm, self.rest):
            x = torch.relu(part(x)) if isinstance(part, nn.BatchNorm2d) else part(x)
        return x


class Keeps(Pair):
    """What it keeps is read elsewhere."""

    def forward(self, x: Tensor) -> Tensor:
        self.kept = self.conv(x)
        return self.norm(self.kept)


class KeepsInAList(Pair):
    """So is this."""

    def forward(self, x: Tensor) -> Tensor:
        self.list_of_kept[:] = [self.conv(x)]
        return self.norm(self.list_of_kept[0])


class Reads(nn.Module):
    """Reads what another module keeps."""

    def __init__(self, inner: Pair) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        return y + self.inner.rest(self.inner.list_of_kept[0] if self.inner.kept is None else self.inner.kept)


def image() -> Tensor:
    return torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@torch.no_grad()
def assert_same(model: smp_core.SegmentationModel, norms: int | None = None) -> None:
    before = model(image())  # it has run once, as a trained one has
    fast = smp_core.optimize(model)
    assert norms is None or num_norms(fast) == norms
    assert furthest(fast(image()), before) < 1e-11
    assert furthest(model(image()), before) == 0


@pytest.mark.parametrize(
    "part",
    [
        CatchesTheRefusal(),
        Gives(AsksForATensor()),
        AsksForAnAttribute(),
        AsksForNorms(),
        Reads(Keeps()),
        Reads(KeepsInAList()),
    ],
)
def test_what_calls_do_not_show_is_left(part: nn.Module) -> None:
    assert_same(with_part(part), norms=1)


class Volumes(nn.Module):
    """Convolves volumes, and has a complex buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, 1, 3, padding=1)
        self.register_buffer("turn", torch.polar(torch.ones(3, 1, 1), torch.arange(3.0)[:, None, None]))
        self.turn: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv(x[:, None])[:, 0] * self.turn).real


def test_tensors_of_five_dimensions_and_complex_ones() -> None:
    model = with_part(Volumes())
    assert_same(model)
    fast = smp_core.optimize(model, dtype=torch.float32)
    assert {buffer.dtype for name, buffer in fast.named_buffers() if name.endswith("turn")} == {torch.complex64}


def test_a_patched_class_of_layers_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, x: plain(self, x).clamp(-1, 1))
    assert_same(with_part(nn.Identity()))


def test_a_hook_on_all_modules_is_not_passed_over() -> None:
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, _, result: result * 1.01 if isinstance(module, nn.Conv2d) else None
    )
    try:
        assert_same(with_part(nn.Identity()))
    finally:
        handle.remove()


def _plain_convolutions(fast: nn.Module) -> nn.Module:
    """The same with torch's convolutions in place of those that have a kernel."""
    plain = copy.deepcopy(fast)
    for parent in list(plain.modules()):
        for name, part in parent._modules.items():
            if isinstance(part, KnownConv2d):
                made = nn.Conv2d.__new__(nn.Conv2d)
                made.__dict__.update(
                    {key: item for key, item in part.__dict__.items() if not key.startswith("_kernel")}
                )
                parent._modules[name] = made
    return plain


@pytest.mark.parametrize("method", ["forward", "_conv_forward"])
def test_torchs_convolution_is_patched_after_optimizing(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    torch.manual_seed(0)
    fast = smp_core.optimize(settle(smp_core.create("unet", "resnet18", encoder_weights=None, classes=3)).eval())
    assert sum(isinstance(part, KnownConv2d) for part in fast.modules()) > 10
    x = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(3))
    plain, before, torchs = _plain_convolutions(fast), fast(x), getattr(nn.Conv2d, method)
    with torch.no_grad():
        torch.testing.assert_close(before, plain(x), rtol=1e-3, atol=1e-3)
        monkeypatch.setattr(nn.Conv2d, method, lambda *given: torchs(*given).clamp(-0.5, 0.5))
        assert torch.equal(fast(x), plain(x))
        assert furthest(fast(x), before) > 0.05
        monkeypatch.undo()
        assert torch.equal(fast(x), before)


def test_hooks_on_all_modules_see_the_convolutions_that_have_a_kernel() -> None:
    torch.manual_seed(0)
    fast = smp_core.optimize(settle(smp_core.create("unet", "resnet18", encoder_weights=None, classes=3)).eval())
    plain, x = _plain_convolutions(fast), torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(3))
    before = fast(x)
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, _, result: result * 1.01 if isinstance(module, nn.Conv2d) else None
    )
    try:
        with torch.no_grad():
            assert torch.equal(fast(x), plain(x))
            assert furthest(fast(x), before) > 0.01
    finally:
        handle.remove()
    assert torch.equal(fast(x), before)


class Island(Pair):
    """Goes on in float32, with weights of any precision."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x).float()).to(x.dtype)


def test_a_part_that_casts_by_itself_gets_its_precision_back() -> None:
    model = with_part(Island()).float()
    fast = smp_core.optimize(model, dtype=torch.bfloat16)
    x = image().float()
    with pytest.raises(RuntimeError, match=r"[Ff]loat"):
        fast(x)
    fast.model.segmentation_head[1].norm.float()
    with torch.no_grad():
        expected = model(x)
    assert fast(x).dtype == torch.bfloat16
    assert furthest(fast(x).float(), expected) < 0.1
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert furthest(smp_core.optimize(model)(x).float(), expected) < 0.1

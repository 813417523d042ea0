"""A model that recomputes activations is otherwise as it was: copied, saved, traced, compiled."""

from __future__ import annotations

import copy
import io
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toy_models import ToyEncoder
from training_steps import Block, X, assert_same_step, kept, pair

import smp_core
from smp_core.errors import OptionError
from smp_core.layers.recomputing import is_recomputed


def _saved(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)), _saved])
def test_a_copy_recomputes_by_itself(copied: Callable[[nn.Module], Any]) -> None:
    plain, other = pair()
    again = copied(other)
    assert again.encoder.stage1[0].forward.module is again.encoder.stage1[0]
    other.set_gradient_checkpointing(False)
    assert_same_step(plain, again)
    assert kept(again) < kept(plain) == kept(other)


def test_keys_and_representation_are_as_without() -> None:
    plain, other = pair()
    assert list(other.state_dict()) == list(plain.state_dict())
    assert repr(other) == repr(plain)
    assert [name for name, _ in other.named_modules()] == [name for name, _ in plain.named_modules()]


def test_it_is_not_saved(toys, tmp_path: Path) -> None:
    model = smp_core.create("toy", "toy_encoder", encoder_weights=None)
    model.set_gradient_checkpointing()
    assert any(is_recomputed(module) for module in model.modules())
    model.save_pretrained(tmp_path)  # without the warning of a layer that was changed
    loaded = smp_core.from_pretrained(tmp_path)
    assert not any(is_recomputed(module) for module in loaded.modules())
    assert torch.equal(loaded.predict(X), model.predict(X))


def test_an_encoder_given_as_a_module(toys, tmp_path: Path) -> None:
    model = smp_core.create("toy", ToyEncoder())
    model.set_gradient_checkpointing()
    model.save_pretrained(tmp_path)
    assert any(is_recomputed(module) for module in model.encoder.modules())


def test_script_is_refused_with_what_to_do() -> None:
    _, model = pair()
    message = (
        "torch.jit.script cannot take Block while gradient checkpointing is on, which is for training; call "
        "set_gradient_checkpointing(False) first"
    )
    for part in (model, model.encoder.stage1):
        with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
            torch.jit.script(part)
    model.set_gradient_checkpointing(False)
    torch.jit.script(model.encoder.stage1)


def test_traced_and_exported_it_is_as_without() -> None:
    plain, other = pair()
    plain.eval()
    other.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(other, X)
        exported = torch.export.export(other, (X,)).module()
    assert torch.equal(traced(X), plain(X))
    torch.testing.assert_close(exported(X), plain(X))


@pytest.mark.parametrize("breaks", [False, True], ids=["in one graph", "where the compiler gives up"])
def test_compiled(breaks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, other = pair()
    for model in (plain, other):
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # a compiler draws other numbers
    if breaks:
        forward = Block.forward

        def broken(self: Block, x: Tensor, scale: float = 1.0) -> Tensor:
            torch._dynamo.graph_break()
            return forward(self, x, scale=scale)

        monkeypatch.setattr(Block, "forward", broken)
    torch.compiler.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.compile(other, backend="aot_eager", fullgraph=not breaks)
        for model in (plain.double(), compiled.double()):
            model(X.double()).square().mean().backward()
    for (name, one), two in zip(plain.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(two, one, msg=name)
    for (name, one), two in zip(plain.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(two.grad, one.grad, msg=name)

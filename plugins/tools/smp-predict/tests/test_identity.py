"""What a model, a function or an image is made of tells it apart from others; equal ones are equal in every process."""

from __future__ import annotations

import functools
import operator
import subprocess
import sys

import numpy as np
import pytest
import torch

from smp_predict.identity import digest_of, digest_of_file

_WEIGHTS = torch.eye(3)


def closure(weights):
    return lambda x: torch.einsum("kc,nchw->nkhw", weights, x)


class Scaled:
    def __init__(self, by):
        self.by = by
        self.itself = self  # goes round in circles

    def __call__(self, x):
        return x * self.by


class Slotted:
    __slots__ = ("by",)

    def __init__(self, by):
        self.by = by


def through_global(x):
    return x * _WEIGHTS


class Powered(torch.nn.Module):
    def __init__(self, power=1.0):
        super().__init__()
        self.power = power

    def forward(self, x):
        return x**self.power


class AlsoPowered(Powered):
    def forward(self, x):
        return x**self.power - 1


def made(name, value):
    """A value that depends on a number."""
    torch.manual_seed(value)
    return {
        "closure": lambda: closure(torch.rand(3, 3)),
        "callable": lambda: Scaled(torch.rand(3)),
        "slots": lambda: Slotted(value),
        "partial": lambda: functools.partial(operator.mul, value),
        "method": lambda: Scaled(value).__call__,
        "default": lambda: lambda x, by=value: x * by,
        "module": lambda: torch.nn.Conv2d(3, 2, 1),
        "attribute": lambda: Powered(float(value)),
        "dilation": lambda: torch.nn.Sequential(torch.nn.MaxPool2d(value + 1)),
        "array": lambda: np.arange(6).reshape(2, 3) + value,
        "mapping": lambda: {"a": [value, (None, "text")], "b": {1, 2, value + 5}},
        "type": lambda: np.dtype(("uint8", "uint16")[value % 2]),
    }[name]()


KINDS = (
    *("closure", "callable", "slots", "partial", "method", "default", "module", "attribute", "dilation", "array"),
    *("mapping", "type"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_ones_are_equal_and_others_are_not(kind):
    assert digest_of(made(kind, 1)) == digest_of(made(kind, 1))
    assert digest_of(made(kind, 1)) != digest_of(made(kind, 2))


def test_code_counts():
    assert digest_of(lambda x: x / 255) != digest_of(lambda x: x / 255 - 0.5)
    assert digest_of(lambda x: x + 1) == digest_of(lambda x: x + 1)
    assert digest_of(Powered()) != digest_of(AlsoPowered())
    assert digest_of(torch.sigmoid) != digest_of(torch.tanh)


def test_what_a_function_refers_to_counts(monkeypatch):
    before = digest_of(through_global)
    monkeypatch.setitem(globals(), "_WEIGHTS", torch.ones(3, 3))
    assert digest_of(through_global) != before


def test_hooks_count():
    model = torch.nn.Conv2d(3, 2, 1)
    before = digest_of(model)
    handle = model.register_forward_hook(lambda module, given, result: result + 1)
    assert digest_of(model) != before
    handle.remove()
    assert digest_of(model) == before


def test_a_folder_is_all_that_it_holds(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "0").write_bytes(b"0")
    before = digest_of_file(tmp_path / "a")
    assert digest_of_file(tmp_path / "a") == before
    (tmp_path / "a" / "b" / "0").write_bytes(b"12")
    assert digest_of_file(tmp_path / "a") != before


def test_modes_and_devices_do_not_count():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.Dropout())
    before = digest_of(model)
    assert digest_of(model.eval()) == before


def test_a_memory_map_is_its_file(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 4)))
    first = digest_of(np.load(tmp_path / "a.npy", mmap_mode="r"))
    assert digest_of(np.load(tmp_path / "a.npy", mmap_mode="r")) == first
    np.save(tmp_path / "a.npy", np.ones((5, 4)))
    assert digest_of(np.load(tmp_path / "a.npy", mmap_mode="r")) != first


@pytest.mark.parametrize("value", [object(), np.array([object()]), torch.eye(2).to_sparse(), (item for item in "ab")])
def test_what_cannot_be_looked_into_is_never_the_same(value):
    assert digest_of(value) != digest_of(value)


_PROGRAM = """
import torch
from smp_predict.identity import digest_of
torch.manual_seed(0)
weights = torch.rand(3)
names = {"some", "names", "in", "no", "order"}
print(digest_of([lambda x: x * weights if x in {"a", "b", "c"} else names, torch.nn.Conv2d(1, 1, 1)]))
"""


def test_in_every_process_the_same():
    found = set()
    for seed in ("1", "2"):
        command = [sys.executable, "-c", _PROGRAM]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed})
        found.add(done.stdout)
    assert len(found) == 1

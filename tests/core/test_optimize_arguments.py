"""What `smp_core.optimize` is given: which arguments say the same, and what it says of those that it cannot take."""

from __future__ import annotations

import copy
import re
import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

import smp_core
from smp_core.errors import InputError, OptionError

BY_NAME = "'channels_last', 'contiguous'"


@pytest.fixture(scope="module")
def model() -> smp_core.SegmentationModel:
    torch.manual_seed(0)
    return smp_core.create("unet", "resnet18", encoder_weights=None, classes=3).eval()


@pytest.fixture
def uncopied(monkeypatch: pytest.MonkeyPatch) -> None:
    """To copy the model is a failure."""

    def refuse(*_: object) -> None:
        raise AssertionError("the model was copied")

    monkeypatch.setattr("smp_core.inference.forming.copied", refuse)


def image() -> Tensor:
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def refused(model: object, message: str, **options: Any) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        smp_core.optimize(model, **options)  # type: ignore[arg-type]


# --- memory formats


@pytest.mark.parametrize(
    ("name", "layout"), [("channels_last", torch.channels_last), ("contiguous", torch.contiguous_format)]
)
def test_torchs_memory_formats_say_the_same(
    model: smp_core.SegmentationModel, name: str, layout: torch.memory_format
) -> None:
    by_name, by_layout = smp_core.optimize(model, memory_format=name), smp_core.optimize(model, memory_format=layout)
    assert by_layout.model.encoder.conv1.weight.is_contiguous(memory_format=layout)
    assert by_layout.model.encoder.conv1.weight.stride() == by_name.model.encoder.conv1.weight.stride()
    assert torch.equal(by_layout(image()), by_name(image()))
    assert torch.equal(copy.deepcopy(by_layout)(image()), by_name(image()))


@pytest.mark.parametrize("given", ["nchw", [1], None, torch.preserve_format, torch.zeros(2)])
@pytest.mark.usefixtures("uncopied")
def test_other_memory_formats(model: smp_core.SegmentationModel, given: object) -> None:
    refused(model, f"optimize: memory_format must be one of {BY_NAME}, got {given!r}", memory_format=given)


# --- dtypes


NOT_COMPUTED = [torch.int8, torch.complex64, "bfloat16", torch.float8_e4m3fn, torch.float8_e5m2, [1]]


@pytest.mark.parametrize("given", NOT_COMPUTED)
@pytest.mark.usefixtures("uncopied")
def test_dtypes_without_arithmetic(model: smp_core.SegmentationModel, given: object) -> None:
    refused(
        model,
        "optimize: dtype must be one of torch.float32, torch.float64, torch.float16, torch.bfloat16, the floating-"
        f"point dtypes that torch has arithmetic of, or None for the model's, got {given!r}",
        dtype=given,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_dtypes_with_arithmetic(model: smp_core.SegmentationModel, dtype: torch.dtype) -> None:
    found = smp_core.optimize(model, dtype=dtype)(image())
    assert found.dtype == dtype
    with torch.no_grad():
        torch.testing.assert_close(found.float(), model(image()), rtol=0.1, atol=0.1)


# --- devices


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("nonsense", "Expected one of cpu, .* at start of device string: nonsense"),
        (torch.device("cuda", 99), ".*"),
        ("xpu:99", ".*"),
        ("privateuseone", ".*"),
        (-1, "Device index must not be negative"),
        ([1], ".*"),
    ],
)
@pytest.mark.usefixtures("uncopied")
def test_devices_that_are_not_here(model: smp_core.SegmentationModel, given: object, reason: str) -> None:
    start, end = (
        f"optimize: device={given!r} cannot be used here (",
        "); expected a torch.device or its name that this torch and this machine have, as 'cpu', or None to leave the "
        "model where it is",
    )
    with pytest.raises(OptionError, match=f"^{re.escape(start)}{reason}{re.escape(end)}$"):
        smp_core.optimize(model, device=given)  # type: ignore[arg-type]


def test_devices_that_are_here(model: smp_core.SegmentationModel) -> None:
    expected = smp_core.optimize(model)(image())
    for device in ("cpu", torch.device("cpu")):
        assert torch.equal(smp_core.optimize(model, device=device)(image()), expected)
    assert smp_core.optimize(model, device="meta")(image().to("meta")).shape == (1, 3, 64, 64)


@pytest.mark.parametrize("device", [None, "cpu"])
@pytest.mark.usefixtures("uncopied")
def test_a_model_without_values(model: smp_core.SegmentationModel, device: str | None) -> None:
    number = len(model.state_dict())
    empty = copy.deepcopy(model).to("meta")
    refused(
        empty,
        f"optimize: {number} tensors of the model are on the meta device and have no values, 'encoder.conv1.weight' "
        "the first of them, but an inference form is computed of the weights; load the model with "
        "smp_core.from_pretrained, or call model.to_empty(device=...) and model.load_state_dict(...) first",
        device=device,
    )
    loaded = empty.to_empty(device="cpu")
    loaded.load_state_dict(model.state_dict())


# --- models


def test_what_is_no_model(model: smp_core.SegmentationModel) -> None:
    start = "optimize: expected an smp_core.SegmentationModel, got "
    refused(nn.Conv2d(3, 8, 1), f"{start}Conv2d")
    refused(None, f"{start}NoneType")
    refused(smp_core.optimize(model), f"{start}OptimizedModel; it is an inference form already")
    refused(
        torch.compile(model, backend="eager"),
        f"{start}OptimizedModule; it is compiled: give the module that was compiled, its ._orig_mod, and compile the "
        "result, torch.compile(smp_core.optimize(model))",
    )
    refused(nn.DataParallel(model), f"{start}DataParallel; it wraps one: give its .module")


def test_a_model_that_has_no_copies(model: smp_core.SegmentationModel) -> None:
    pruned = copy.deepcopy(model)
    prune.random_unstructured(pruned.encoder.layer1[0].conv1, "weight", amount=0.3)
    start, end = "optimize: the model cannot be copied (", ", or take it apart with inplace=True"
    with pytest.raises(
        OptionError,
        match=f"^{re.escape(start)}RuntimeError: .*; if some of its weights are computed by hooks, as pruning does, "
        rf"run it once under torch.no_grad\(\) or make the change permanent first{re.escape(end)}$",
    ):
        smp_core.optimize(pruned)
    locked = copy.deepcopy(model)
    locked.encoder.lock = threading.Lock()
    refused(
        locked,
        f"{start}TypeError: cannot pickle '_thread.lock' object); if it holds what has no copies, as a lock, a file or "
        f"a thread, take that out of it, or give the class that holds it a __deepcopy__{end}",
    )
    assert torch.equal(smp_core.optimize(locked, inplace=True)(image()), smp_core.optimize(model)(image()))


def test_a_model_that_there_is_no_memory_for(
    model: smp_core.SegmentationModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(model), "__deepcopy__", fail, raising=False)
    message = "optimize: the model cannot be copied (OutOfMemoryError: CUDA out of memory); take it apart with inplace="
    refused(model, f"{message}True")


# --- inputs


@pytest.mark.parametrize("labels", [False, True])
def test_an_input_that_is_no_tensor(model: smp_core.SegmentationModel, labels: bool) -> None:
    message = "expected an input of shape (N, 3, H, W), got a ndarray: torch.as_tensor(x) makes a tensor of it"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        smp_core.optimize(model).predict(image().numpy(), labels=labels)  # type: ignore[arg-type]

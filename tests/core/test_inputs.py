"""Pixels become a model's input: arrays and tensors, in either layout, of every dtype that pictures come in."""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smp_core.errors import InputError
from smp_core.inputs import Preprocessing
from smp_core.plugin import WeightsSpec

IMAGENET = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
CAFFE = Preprocessing(mean=(104.0, 117.0, 123.0), std=(1.0, 2.0, 4.0), input_space="BGR", input_range=(0.0, 255.0))
SIGNED = Preprocessing(mean=(0.0, 0.1, 0.2), std=(1.0, 0.5, 0.25), input_range=(-1.0, 1.0))


def by_hand(prepare: Preprocessing, rgb: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The definition, on pixels (..., 3) in [0, 1]; in float64."""
    low, high = prepare.input_range
    scaled = rgb.astype(np.float64) * (high - low) + low
    ordered = scaled[..., ::-1] if prepare.input_space == "BGR" else scaled
    return (ordered - np.array(prepare.mean)) / np.array(prepare.std)


def close(found: Any, expected: np.ndarray[Any, Any], tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(np.asarray(found, dtype=np.float64), expected, rtol=tolerance, atol=tolerance * 10)


@pytest.mark.parametrize("prepare", [IMAGENET, CAFFE, SIGNED])
@pytest.mark.parametrize(("dtype", "white"), [("uint8", 255), ("uint16", 65535), ("float32", 1), ("float64", 1)])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_every_kind_of_picture(prepare: Preprocessing, dtype: str, white: int, batch: tuple[int, ...]) -> None:
    unit = np.random.default_rng(0).random((*batch, 4, 5, 3))
    array = np.round(unit * white).astype(dtype) if white > 1 else unit.astype(dtype)
    before = array.copy()
    expected = by_hand(prepare, array / white)
    chw = np.ascontiguousarray(np.moveaxis(array, -1, -3))
    tensor = torch.from_numpy(chw)
    found = (
        prepare(array),
        np.moveaxis(prepare(chw, layout="CHW"), -3, -1),
        np.moveaxis(prepare(tensor).numpy(), -3, -1),
        prepare(torch.from_numpy(array), layout="HWC").numpy(),
    )
    for item in found:
        close(item, expected)
        assert item.dtype == (dtype if "float" in dtype else "float32")
    assert isinstance(found[0], np.ndarray)
    assert found[0].flags["C_CONTIGUOUS"]
    assert isinstance(prepare(tensor), torch.Tensor)
    assert np.array_equal(array, before)
    assert torch.equal(tensor, torch.from_numpy(np.ascontiguousarray(np.moveaxis(before, -1, -3))))


@given(st.floats(0, 1), st.integers(0, 2), st.sampled_from([IMAGENET, CAFFE, SIGNED]))
def test_arrays_and_tensors_agree(value: float, channel: int, prepare: Preprocessing) -> None:
    array = np.zeros((1, 2, 3))
    array[0, 1, channel] = value
    close(prepare(torch.from_numpy(array), layout="HWC"), prepare(array), 1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_half(dtype: torch.dtype) -> None:
    x = torch.rand(2, 3, 4, 5).to(dtype)
    out = IMAGENET(x)
    assert out.dtype == dtype
    close(out.float().movedim(1, -1), by_hand(IMAGENET, x.double().movedim(1, -1).numpy()), 2e-2)


@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor])
def test_white_is_told(convert: Any) -> None:
    twelve_bits = np.array([[[0, 4095, 2048]]], np.uint16)
    close(IMAGENET(convert(twelve_bits), layout="HWC", white=4095), by_hand(IMAGENET, twelve_bits / 4095))
    for dtype in (np.int32, np.int64, np.float32):
        pixels = np.array([[[0, 255, 128]]], dtype)
        close(IMAGENET(convert(pixels), layout="HWC", white=255), by_hand(IMAGENET, pixels / 255))
    reflectance = np.array([[[0.1, 7.5, 0.3]]], np.float32)
    close(IMAGENET(convert(reflectance), layout="HWC", white=1), by_hand(IMAGENET, reflectance))


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "bool"])
@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor])
def test_integers_that_do_not_say_what_is_white(dtype: str, convert: Any) -> None:
    message = (
        f"pixels of dtype {dtype} do not say which value is white; expected uint8, uint16 or floats in [0, 1], or pass "
        "white=255 for pixels in 0..255"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        IMAGENET(convert(np.ones((3, 4, 3), dtype)), layout="HWC")


@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor])
def test_floats_that_were_never_scaled(convert: Any) -> None:
    pixels = np.zeros((3, 4, 3), np.float32)
    pixels[1, 2] = 250.5
    message = (
        "floats of up to 250.5, where pixels in [0, 1] are expected; pass white=255 if they are in 0..255, or white=1 "
        "if they are right"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        IMAGENET(convert(pixels), layout="HWC")
    pixels[1, 2] = 1.3  # a resampled picture overshoots
    IMAGENET(convert(pixels), layout="HWC")
    pixels[1, 2] = np.nan
    assert np.isnan(np.asarray(IMAGENET(convert(pixels), layout="HWC"))[1, 2]).all()


@pytest.mark.parametrize(
    ("shape", "layout", "message"),
    [
        ((1, 4, 8, 8), "CHW", "expected 3 channels in dimension -3 of (..., C, H, W), got shape (1, 4, 8, 8)"),
        ((8, 8, 4), "HWC", "expected 3 channels in dimension -1 of (..., H, W, C), got shape (8, 8, 4)"),
        ((8, 3), "HWC", "expected 3 channels in dimension -1 of (..., H, W, C), got shape (8, 3)"),
        (
            (3, 8, 8),
            "HWC",
            "expected 3 channels in dimension -1 of (..., H, W, C), got shape (3, 8, 8); the channels are in dimension "
            "-3: pass layout='CHW'",
        ),
        (
            (2, 8, 8, 3),
            "CHW",
            "expected 3 channels in dimension -3 of (..., C, H, W), got shape (2, 8, 8, 3); the channels are in "
            "dimension -1: pass layout='HWC'",
        ),
    ],
)
def test_channels_where_they_are_not_expected(shape: tuple[int, ...], layout: str, message: str) -> None:
    # Arrays have their channels last and tensors first: no layout is passed.
    pixels: Any = np.zeros(shape) if layout == "HWC" else torch.zeros(shape)
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        IMAGENET(pixels)


def test_a_layout_that_is_none() -> None:
    with pytest.raises(InputError, match=r"^layout must be 'CHW', 'HWC' or None, got 'NCHW'$"):
        IMAGENET(np.zeros((4, 4, 3)), layout="NCHW")  # type: ignore[arg-type]


def test_a_picture_of_pillow() -> None:
    image = pytest.importorskip("PIL.Image").new("RGB", (4, 4))
    message = "expected a torch tensor or a NumPy array, got Image; numpy.asarray(image) makes an array of a picture"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        IMAGENET(image)
    assert IMAGENET(np.asarray(image)).shape == (4, 4, 3)


def test_an_empty_batch_and_another_number_of_channels() -> None:
    assert IMAGENET(torch.zeros(0, 3, 8, 8)).shape == (0, 3, 8, 8)
    four = Preprocessing(mean=(0.1,) * 4, std=(0.2,) * 4)
    close(four(np.full((2, 2, 4), 0.5)), np.full((2, 2, 4), 2.0))


def test_it_survives_its_dict() -> None:
    weights = WeightsSpec(file="f", mean=(1, 2), std=(3, 4), input_space="BGR", input_range=(0, 255))
    prepare = Preprocessing.of_weights(weights)
    assert prepare.to_dict() == {"mean": [1, 2], "std": [3, 4], "input_space": "BGR", "input_range": [0, 255]}
    assert Preprocessing.from_dict(prepare.to_dict()) == prepare


def test_it_compiles_into_one_graph() -> None:
    compiled = torch.compile(lambda x: CAFFE(x), backend="eager", fullgraph=True)
    for x in (torch.rand(2, 3, 8, 8), torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)):
        torch.testing.assert_close(compiled(x), CAFFE(x))


def test_arrays_need_no_torch() -> None:
    import subprocess

    script = (
        "import sys, numpy\nfrom smp_core.inputs import Preprocessing\n"
        "x = Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3)(numpy.full((2, 2, 3), 255, numpy.uint8))\n"
        "print(x[0, 0].tolist(), 'torch' in sys.modules)"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[2.0, 2.0, 2.0] False"), done.stderr

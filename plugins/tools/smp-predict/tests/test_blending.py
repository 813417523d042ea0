"""The result is the one of plain blending with everything in memory, whatever the sizes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smp_predict import predict
from smp_predict.grid import BLENDS, axis, reflected, weights

_SPEC = importlib.util.spec_from_file_location("reference", Path(__file__).with_name("reference.py"))
reference = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(reference)


def ramp(x):
    """Scores that depend on the place in the tile, so that every weight shows: (N, 2, h, w)."""
    rows = torch.linspace(0, 1, x.shape[2])[:, None]
    columns = torch.linspace(0, 2, x.shape[3])[None]
    return torch.stack([x[:, 0] + rows, x.sum(dim=1) * columns], dim=1)


def ramp_of_arrays(tile):
    return ramp(torch.from_numpy(tile).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    channels=st.integers(1, 3),
    tile=st.integers(1, 70),
    overlap=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.8]),
    blend=st.sampled_from(BLENDS),
    context=st.sampled_from([0, 5, 32]),
    batch_size=st.sampled_from([1, 3, 50]),
    columns_at_once=st.sampled_from([1, 40, 10**6]),
)
def test_as_plain_blending(height, width, channels, tile, overlap, blend, context, batch_size, columns_at_once):
    tile = max(tile, max(height, width) // 12)  # not thousands of tiles
    values = np.random.default_rng(0).random((height, width, channels), dtype=np.float32)
    expected = reference.blended(values, ramp_of_arrays, tile, overlap, blend, context)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smp_predict.job.Job.swath_width", property(lambda _: columns_at_once))
        options = {"tile": tile, "overlap": overlap, "blend": blend, "context": context, "batch_size": batch_size}
        found = predict(ramp, values, output="scores", **options)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("blend", BLENDS)
@pytest.mark.parametrize("overlap", [0, 0.25, 0.6])
def test_what_sees_single_pixels_has_no_seams(image, blend, overlap):
    found = predict(lambda x: x, image, tile=64, overlap=overlap, blend=blend, output="scores")
    np.testing.assert_allclose(found, image / np.float32(255), atol=1e-6)


def test_a_network_agrees_with_itself_on_the_whole_image(image, network):
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        network[-1].bias -= network.eval()(x).mean(dim=(0, 2, 3))  # otherwise one class has all
        whole = network(x)[0].argmax(dim=0).numpy()
    assert len(np.unique(whole)) == 3
    found = predict(network, image, tile=128)
    # The last pixels see a mirror image where the network itself sees zeros.
    assert (found == whole)[:-4, :-4].mean() > 0.995
    np.testing.assert_array_equal(predict(network, image, tile=512)[:-4, :-4], whole[:-4, :-4])


def test_edges_see_the_mirror_image():
    assert reflected(0, 9, 4).tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert reflected(0, 4, 1).tolist() == [0, 0, 0, 0]
    seen = []

    def keep(x):
        seen.append(x.clone())
        return x

    values = np.arange(40 * 50, dtype=np.float32).reshape(40, 50)
    predict(keep, values, output="scores")
    (tile,) = seen[1:]  # the first is the probe
    assert tile.shape == (1, 1, 64, 64)
    np.testing.assert_array_equal(tile[0, 0], np.pad(values, ((0, 24), (0, 14)), mode="reflect"))


def test_the_grid():
    assert (axis(512, 512, 0.25).count, axis(513, 512, 0.25).count) == (1, 2)
    assert axis(10_000, 512, 0.25).stride == 384
    assert axis(512, 256, 0.25).stride == 128  # rather than 192, which would end 128 pixels beyond the image
    assert axis(10_000, 500, 0.25).stride == 352  # a multiple of 32, so that strides of encoders agree
    assert (axis(100, 512, 0.25).tile, axis(100, 100, 0.25).tile) == (128, 100)


@pytest.mark.parametrize("blend", ["gaussian", "cosine", "constant"])
def test_weights_are_symmetric_and_positive(blend):
    values = weights(blend, 64, 16)
    np.testing.assert_allclose(values, values[::-1], rtol=1e-5)
    assert values.min() > 0
    assert values.max() <= 1
    assert (values[31] > values[0]) == (blend != "constant")


@pytest.mark.parametrize("ratio", [0.25, 0.5, 2])
def test_results_of_another_size(image, ratio):
    def scale(x):
        return torch.nn.functional.interpolate(x, scale_factor=ratio, mode="nearest")

    found = predict(scale, image, tile=64, output="scores")
    assert found.shape == (300 * ratio, 420 * ratio, 3)
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    np.testing.assert_allclose(found, scale(x)[0].permute(1, 2, 0), atol=1e-6)

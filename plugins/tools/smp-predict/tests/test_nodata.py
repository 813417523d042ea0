"""Pixels that show nothing, one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from smp_predict import ModelOutputWarning, predict


@pytest.fixture
def holes():
    """(300, 420) bool: a slanted edge, as satellites' scenes have, an island of it, and single pixels."""
    rows, columns = np.mgrid[0:300, 0:420]
    found = (columns + rows // 2 < 120) | ((rows - 200) ** 2 + (columns - 300) ** 2 < 900)
    found[::37, ::41] = True
    return found


@pytest.mark.parametrize("blend", ["gaussian", "none"])
@pytest.mark.parametrize(
    ("dtype", "nodata"), [("float32", float("nan")), ("float32", -9999), ("uint8", 0), ("uint8", 255)]
)
def test_the_result_has_the_same_holes(image, holes, network, dtype, nodata, blend):
    values = np.clip(image, 1, 254).astype(dtype)
    whole = predict(network, values, tile=64, blend=blend, output="scores")
    values[holes] = nodata
    labels = predict(network, values, tile=64, blend=blend, nodata=nodata)
    np.testing.assert_array_equal(labels == 255, holes)
    scores = predict(network, values, tile=64, blend=blend, nodata=nodata, output="scores")
    np.testing.assert_array_equal(np.isnan(scores).all(axis=2), holes)
    np.testing.assert_array_equal(np.isnan(scores).any(axis=2), holes)
    # Beyond what the network sees, 4 pixels, nothing is changed by holes.
    near = torch.nn.functional.max_pool2d(torch.from_numpy(holes[None]).float(), 9, 1, 4)[0].numpy() > 0
    assert (~near).mean() > 0.2
    np.testing.assert_allclose(scores[~near], whole[~near], atol=1e-4 if dtype == "uint8" else 1e-2)


def test_a_pixel_with_one_channel_is_one(image, network):
    values = np.clip(image, 1, 255)
    values[10:20, 10:20, 0] = 0
    assert (predict(network, values, tile=64, nodata=0) != 255).all()


def test_the_model_sees_the_mean_of_the_others():
    seen = []

    def model(x):
        seen.append(x)
        return x

    values = np.full((32, 32, 2), 10, np.uint8)
    values[16:] = 30, 50
    values[:4] = 0
    predict(model, values, tile=32, nodata=0, output="scores", preprocessing=lambda x: x)
    mean = [(12 * 10 + 16 * 30) / 28, (12 * 10 + 16 * 50) / 28]
    np.testing.assert_array_equal(seen[-1][0, :, 0, 0].numpy(), np.rint(mean))
    np.testing.assert_array_equal(seen[-1][0, :, 4:].permute(1, 2, 0).numpy(), values[4:])


@pytest.mark.parametrize("ratio", ["half", "double"])
def test_results_of_another_size(image, holes, ratio):
    values = np.clip(image, 1, 255)
    values[holes] = 0

    def model(x):
        if ratio == "half":
            return torch.nn.functional.avg_pool2d(x, 2)
        return torch.nn.functional.interpolate(x, scale_factor=2)

    found = np.isnan(predict(model, values, tile=64, nodata=0, output="scores")[..., 0])
    expected = holes[::2, ::2] if ratio == "half" else np.kron(holes, np.ones((2, 2), bool))
    np.testing.assert_array_equal(found, expected)


def test_floats_that_are_none_show_nothing(image, network):
    """Where no file says what shows nothing, no model takes NaN and infinity, in any channel."""
    values = image.astype(np.float32)
    values[3, 4, 1], values[50:60, 70:90], values[200, 300, 2] = np.nan, np.nan, np.inf
    holes = ~np.isfinite(values).all(axis=2)
    labels = predict(network, values, tile=64)
    np.testing.assert_array_equal(labels == 255, holes)
    with pytest.warns(ModelOutputWarning, match="the model gives NaN"):  # and so for what lies around
        assert (predict(network, values, tile=64, nodata=None)[48:50, 70:90] == 255).all()

    def binary(x):
        return x[:, :1] + 1

    found = predict(binary, values, tile=64, foreground=255)
    np.testing.assert_array_equal(found == 0, holes)  # no other label is left
    assert np.isnan(predict(binary, values, tile=64, output="probabilities")[..., 0]).sum() == holes.sum()

"""What a model gives that is no result: NaN, sizes that are no ratio, another number of classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from smp_predict import ModelOutputError, ModelOutputWarning, SourceError, predict


def centred(x):
    return x - 0.5


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda x: None, r"the model must give \(N, K, h, w\) for \(1, 3, 320, 448\), got NoneType"),
        (lambda x: x[:, 0], r"must give \(N, K, h, w\) .* got shape \(1, 320, 448\)"),
        (
            lambda x: x[..., 1:-1, 1:-1],
            "the model gives 318x446 for 320x448; expected one ratio for both sides",
        ),
        (lambda x: x[..., ::2], "the model gives 320x224 for 320x448; expected one ratio for both sides"),
    ],
)
def test_results_that_are_no_maps(image, result, message):
    with pytest.raises(ModelOutputError, match=message):
        predict(result, image)


@pytest.mark.parametrize(
    "cut", [lambda x: x[..., 1:-1, 1:-1], lambda x: torch.nn.functional.max_pool2d(x, 3, ceil_mode=True)]
)
def test_sizes_that_are_no_ratio(image, cut):
    """A border that is lost, and rounding, look like a ratio where one size alone is tried."""
    with pytest.raises(
        ModelOutputError, match=r"the model gives \d+x\d+ for 64x64, but \d+x\d+ for 128x128; expected one"
    ):
        predict(cut, image, tile=64)


def test_models_that_change_their_minds(image):
    calls = []

    def model(x):
        calls.append(x)
        return x if len(calls) < 3 else x[:, :2]

    text = r"maps of shape \(2, 64, 64\) for a tile, and gave \(3, 64, 64\) for the first; expected one number"
    with pytest.raises(ModelOutputError, match=text):
        predict(model, image, tile=64, batch_size=2)


@pytest.mark.parametrize(
    ("options", "there"),
    [
        ({}, 255),
        ({"foreground": 255}, 255),  # has no meaning with several classes
        ({"mode": "multilabel"}, 255),
        ({"mode": "multilabel", "foreground": 255}, 0),
        ({"output": "probabilities"}, np.nan),
        ({"output": "scores"}, np.nan),
        ({"output": "probabilities", "output_dtype": "uint8"}, 0),
    ],
)
def test_what_the_model_does_not_know(image, options, there):
    """Scores that are NaN, as half precision gives where numbers are too large for it."""

    def model(x):
        return torch.where((x[:, :1] > 0.9) & (torch.arange(x.shape[1])[:, None, None] == 1), torch.nan, x - 0.5)

    unknown = image[..., 0] > 0.9 * 255
    with pytest.warns(ModelOutputWarning, match=r"the model gives NaN for \d+ pixels of Window\(.*they become"):
        found = predict(model, image, tile=512, **options)
    np.testing.assert_array_equal(found[unknown], np.full_like(found[unknown], there))
    np.testing.assert_array_equal(found[~unknown], predict(centred, image, tile=512, **options)[~unknown])


def test_masked_arrays(image):
    with pytest.raises(SourceError, match=r"beneath its mask: give image.filled\(value\) and nodata=value"):
        predict(centred, np.ma.masked_array(image, image == 0))
    with pytest.raises(SourceError, match="expected numbers of at most 64 bits"):
        predict(centred, image.astype(np.longdouble))

"""What the model sees around a tile."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from smp_predict import OptionError, Options, predict, predict_many
from smp_predict.grid import axis


@pytest.mark.parametrize("blend", ["none", "gaussian"])
def test_enough_context_gives_the_labels_of_one_piece(image, network, blend):
    """To the last bits, at the edges too: the windows of the last tiles end where the image does."""
    image = image[:256, :384]
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        network[-1].bias -= network.eval()(x).mean(dim=(0, 2, 3))
        whole = network(x)[0].permute(1, 2, 0).numpy()
    options = {"tile": 64, "overlap": 0, "blend": blend, "output": "scores"}
    found = predict(network, image, context=32, **options)
    np.testing.assert_allclose(found, whole, atol=1e-5)
    assert np.abs(predict(network, image, **options) - whole).max() > 0.01


def test_what_the_model_sees(image):
    seen = []

    def model(x):
        seen.append(tuple(x.shape))
        return x

    found = predict(model, image, tile=64, overlap=0.5, context=20, batch_size=4, output="scores")
    assert {shape[2:] for shape in seen} == {(104, 104)}
    np.testing.assert_allclose(found, image / np.float32(255), atol=1e-6)


def test_windows_lie_within_the_image():
    side = axis(512, 256, 0, 64)
    assert (side.seen, [side.window(k) for k in range(side.count)]) == (384, [0, 128])
    side = axis(1024, 256, 0, 32)
    assert [side.window(k) for k in range(side.count)] == [0, 224, 480, 704]
    side = axis(1000, 256, 0, 32)  # the end of the last tile is a mirror image, and nothing more
    assert [side.window(k) for k in range(side.count)] == [0, 224, 480, 704]
    side = axis(300, 256, 0, 1000)  # no more than there is
    assert (side.seen, [side.window(k) for k in range(side.count)]) == (320, [0, 0])
    side = axis(200, 256, 0, 32)  # in one piece
    assert (side.seen, side.window(0)) == (224, 0)


def test_nodata_in_the_context_hides_nothing(image):
    image = image.copy() | 1
    image[:, :64] = 0
    found = predict(lambda x: x, image, tile=64, overlap=0, context=32, nodata=0, output="scores")
    assert np.isnan(found[:, :64]).all()
    np.testing.assert_allclose(found[:, 64:], image[:, 64:] / np.float32(255), atol=1e-6)


def test_results_of_another_size(image):
    def halved(x):
        return x[:, :, ::2, ::2]

    found = predict(halved, image, tile=64, context=10, output="scores")
    np.testing.assert_allclose(found, image[::2, ::2] / np.float32(255), atol=1e-6)
    message = "context must be a multiple of 2, which must divide 32; got a context of 9"
    with pytest.raises(OptionError, match=message):
        predict(halved, image, tile=64, context=9)


def test_many(tmp_path, image, network):
    options = {"tile": 64, "context": 32, "batch_size": 3}
    images = {"a.npy": image, "b.npy": image[::-1]}
    outcomes = predict_many(network, images, tmp_path, options=Options(**options))
    assert [outcome.error for outcome in outcomes] == [None, None]
    for name, values in images.items():
        np.testing.assert_array_equal(np.load(tmp_path / name), predict(network, values, **options))


@pytest.mark.parametrize("context", [-1, 1.5, True])
def test_contexts_that_make_no_sense(context):
    with pytest.raises(OptionError, match=f"context must be an int of at least 0, got {context!r}"):
        Options(context=context)

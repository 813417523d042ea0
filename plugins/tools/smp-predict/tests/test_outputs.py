"""Labels, probabilities and scores; what is skipped; how the model is called."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import smp_core
from smp_core.inputs import Preprocessing
from smp_predict import (
    ArraySource,
    BatchHalvedWarning,
    OptionError,
    SinkError,
    SourceError,
    Window,
    predict,
)


def centred(x):
    return x - 0.5


def test_labels_of_several_classes(image):
    found = predict(centred, image, tile=128)
    assert (found.dtype, found.shape) == (np.uint8, (300, 420))
    np.testing.assert_array_equal(found, image.argmax(axis=2))


@pytest.mark.parametrize("classes", [2, 20, 255, 300])
def test_labels_are_those_of_numpy(classes):
    """Of equal scores the first class."""
    scores = np.random.default_rng(0).integers(0, classes, (70, 80, classes)).astype(np.float32)
    scores[3, 4], scores[5, 6] = -np.inf, np.inf
    labels = predict(lambda x: x, scores, tile=128, overlap=0, nodata=None)
    np.testing.assert_array_equal(labels, scores.argmax(axis=2))


def test_labels_of_one_class_follow_the_threshold(image):
    grey = image[..., 0]
    found = predict(centred, grey, tile=128)
    assert (found.dtype, found.shape) == (np.uint8, (300, 420))
    np.testing.assert_array_equal(found, grey > 127)
    probabilities = torch.sigmoid(torch.from_numpy(grey) / 255 - 0.5).numpy()
    found = predict(centred, grey, tile=128, threshold=0.6)
    assert 0 < found.mean() < 1
    # Within rounding of the threshold either answer is right.
    clear = np.abs(probabilities - 0.6) > 1e-5
    np.testing.assert_array_equal(found[clear], (probabilities > 0.6)[clear])


def test_masks_that_are_looked_at(image):
    found = predict(centred, image[..., 0], tile=128, foreground=255)
    np.testing.assert_array_equal(found, (image[..., 0] > 127) * 255)


def test_labels_of_a_multilabel_model(image):
    found = predict(centred, image, tile=128, mode="multilabel")
    assert found.shape == (300, 420, 3)
    np.testing.assert_array_equal(found, image > 127)


def test_probabilities(image):
    x = torch.from_numpy(image).permute(2, 0, 1).float() / 255 - 0.5
    several = predict(centred, image, tile=128, output="probabilities")
    np.testing.assert_allclose(several, torch.softmax(x, dim=0).permute(1, 2, 0), atol=1e-6)
    each = predict(centred, image, tile=128, output="probabilities", mode="multilabel")
    np.testing.assert_allclose(each, torch.sigmoid(x).permute(1, 2, 0), atol=1e-6)
    given = predict(lambda x: x, image, tile=128, output="probabilities", from_logits=False)
    np.testing.assert_allclose(given, image / 255, atol=1e-6)


@pytest.mark.parametrize(("dtype", "most"), [("uint8", 255), ("uint16", 65535)])
def test_probabilities_as_integers(image, dtype, most):
    options = {"tile": 128, "output": "probabilities"}
    found = predict(centred, image, output_dtype=dtype, **options)
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_allclose(found, predict(centred, image, **options) * most, atol=0.501)


def test_many_classes_need_wider_labels():
    def model(x):
        scores = torch.zeros(len(x), 300, *x.shape[2:])
        scores[:, 299] = 1
        return scores

    found = predict(model, np.zeros((40, 40), np.float32))
    assert (found.dtype, int(found.min())) == (np.uint16, 299)


@pytest.mark.parametrize("nodata", [0, float("nan")])
def test_tiles_of_nodata_are_skipped(nodata):
    values = np.full((256, 256), nodata, np.float32)
    values[:64, :64] = 1
    sizes = []

    def model(x):
        sizes.append(len(x))
        return torch.cat([x, -x], dim=1)

    found = predict(model, values, tile=64, overlap=0, nodata=nodata, batch_size=2)
    assert sizes == [1, 1]  # the probe and one tile
    assert (found[:64, :64] == 0).all()
    assert (found[64:] == 255).all()
    assert (found[:, 64:] == 255).all()
    maps = predict(model, values, tile=64, overlap=0, nodata=nodata, output="scores")
    assert np.isnan(maps[64:]).all()
    assert (maps[:64, :64, 0] == 1).all()


def test_tiles_are_batched_across_rows():
    sizes = []

    def model(x):
        sizes.append(len(x))
        return x

    predict(model, np.zeros((96, 96), np.float32), tile=32, overlap=0, batch_size=4, output="scores")
    assert sizes == [1, 4, 4, 1]  # three tiles a row


@pytest.mark.parametrize("tta", ["flips", "d4"])
def test_augmentations_are_turned_back(image, tta):
    found = predict(centred, image[:, :130], tile=64, tta=tta, output="scores")
    np.testing.assert_allclose(found, image[:, :130] / 255 - 0.5, atol=1e-6)


@pytest.mark.parametrize(("tta", "number"), [("flips", 4), ("d4", 8)])
def test_augmentations_differ(tta, number):
    seen = []

    def model(x):
        seen.append(x.clone())
        return x

    predict(model, np.random.default_rng(0).random((32, 32), dtype=np.float32), tile=32, tta=tta, output="scores")
    assert len({item.numpy().tobytes() for item in seen[number:]}) == number


def test_a_batch_too_large_is_halved_aloud(image):
    sizes = []

    def model(x):
        sizes.append(len(x))
        if len(x) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return x

    message = "out of memory on cpu with 8 tiles: going on with batches of 4"
    with pytest.warns(BatchHalvedWarning) as warned:
        found = predict(model, image, tile=64, overlap=0, batch_size=8, output="scores")
    assert str(warned[0].message) == message
    assert [str(item.message)[-1] for item in warned] == ["4", "2"]
    assert sizes[:4] == [1, 8, 4, 2]
    assert max(sizes[4:]) == 2  # and it stays so
    np.testing.assert_allclose(found, image / np.float32(255), atol=1e-6)


def test_no_memory_for_one_tile(image):
    calls = []

    def model(x):
        calls.append(x)
        if len(calls) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return x

    with pytest.raises(
        RuntimeError, match=r"the memory of cpu does not suffice for one tile of \(64, 64\): choose a sm"
    ):
        predict(model, image, tile=64, batch_size=1)


def test_other_errors_of_a_model_pass_through(image):
    def model(x):
        raise RuntimeError("weights are missing")

    with pytest.raises(RuntimeError, match=r"^weights are missing\b"):
        predict(model, image)


def test_modules_run_in_evaluation_mode_and_keep_theirs(image, network):
    network.train()
    network[1].eval()
    before = network[1].running_mean.clone()
    predict(network, image, tile=128)
    assert [module.training for module in network.modules()] == [True, True, False, True, True]
    assert torch.equal(network[1].running_mean, before)


def test_models_of_smp_core_prepare_their_input(image):
    torch.manual_seed(0)
    model = smp_core.create(
        "unet", "resnet18", encoder_weights=None, classes=2, encoder_depth=2, decoder_channels=(8, 4)
    )
    model.preprocessing = Preprocessing(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.2))
    found = predict(model, image, tile=512, output="scores")
    x = model.preprocessing(torch.from_numpy(image).permute(2, 0, 1)[None])
    padded = torch.nn.functional.pad(x, (0, 448 - 420, 0, 320 - 300), mode="reflect")
    expected = model.predict(padded)[0, :, :300, :420].permute(1, 2, 0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    raw = predict(lambda x: x, image, tile=512, preprocessing=lambda x: x - 1, output="scores")
    np.testing.assert_array_equal(raw, image.astype(np.float32) - 1)


def test_what_models_may_return(image):
    expected = predict(centred, image, tile=128)
    np.testing.assert_array_equal(predict(lambda x: centred(x).numpy(), image, tile=128), expected)
    np.testing.assert_array_equal(predict(lambda x: (centred(x), "labels"), image, tile=128), expected)

    class Session:
        """Called as those of ONNX Runtime are."""

        def get_inputs(self):
            return [type("Input", (), {"name": "image"})]

        def run(self, outputs, feed):
            assert outputs is None
            return [centred(feed["image"])]

    np.testing.assert_array_equal(predict(Session(), image, tile=128), expected)


def test_autocast(image, network):
    seen = []
    network.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    found = predict(network, image, tile=128, dtype="bfloat16")
    assert set(seen) == {torch.bfloat16}
    assert (found == predict(network, image, tile=128)).mean() > 0.97


def test_results_into_arrays_and_sinks(image):
    expected = predict(centred, image, tile=128)
    target = np.zeros((300, 420), np.uint8)
    assert predict(centred, image, target, tile=128) is None
    np.testing.assert_array_equal(target, expected)

    class Own:
        shape, dtype = (300, 420), np.dtype(np.uint8)

        def __init__(self):
            self.covered = np.zeros((300, 420), int)
            self.values = np.zeros((300, 420), np.uint8)

        def write(self, window: Window, block):
            self.covered[window.slices] += 1
            self.values[window.slices] = block

    own = Own()
    predict(centred, image, own, tile=128)
    np.testing.assert_array_equal(own.values, expected)
    assert (own.covered == 1).all()


def test_a_source_that_gives_its_own_pixels_keeps_them(image):
    class Own(ArraySource):
        def read(self, window):
            view = held[window.slices]
            view.flags.writeable = False
            return view

    held = image.copy()
    options = {"tile": 64, "overlap": 0.5, "blend": "none", "output": "scores"}
    np.testing.assert_array_equal(predict(centred, Own(held), **options), predict(centred, image, **options))
    np.testing.assert_array_equal(held, image)


def test_sinks_of_another_shape(image):
    message = r"the sink is for uint8 of shape \(9, 9\), the result is uint8 of shape \(300, 420\)"
    with pytest.raises(SinkError, match=message):
        predict(centred, image, np.zeros((9, 9), np.uint8))


def test_progress(image):
    seen = []
    predict(centred, image, tile=64, overlap=0, batch_size=4, progress=seen.append)
    assert seen[-1].done == seen[-1].total == 5 * 7
    assert [item.done for item in seen] == sorted(item.done for item in seen)
    assert seen[0].seconds_left > 0
    assert seen[-1].seconds_left == 0
    assert seen[-1].megapixels_per_second > 0


def test_progress_as_a_line(image, capsys):
    predict(centred, image, tile=64, progress=True)
    assert "100.0 %, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile": 0}, "tile must be an int of at least 1, got 0"),
        ({"overlap": 1}, r"overlap must lie in \[0, 1\), got 1"),
        ({"blend": "linear"}, "blend must be one of 'gaussian', 'cosine', 'constant', 'none', got 'linear'"),
        ({"batch_size": "all"}, "batch_size must be an int of at least 1 or 'auto', got 'all'"),
        ({"tta": "rotations"}, "tta must be one of None, 'flips', 'd4', got 'rotations'"),
        ({"output": "mask", "tile": -1}, "tile must .* got -1; output must be one of 'labels', 'prob"),
        ({"threshold": 2}, r"threshold must lie in \[0, 1\], got 2"),
        ({"mode": "binary"}, "mode='binary' is for one map, the model gives 3; expected multiclass or multilabel"),
        ({"output_dtype": "float32"}, "output_dtype='float32' does not hold labels of 3 classes; expected one of"),
        (
            {"foreground": 255, "nodata": 0, "mode": "multilabel"},
            "foreground must lie in 1 to 255, and below that where there is nodata; got",
        ),
        ({"threshold": 0.3}, "threshold is of binary and multilabel labels; of 3 classes each pixel gets the one with"),
        ({"nodata": "zero"}, "nodata must be a number, None or 'source', got 'zero'"),
        ({"nodata": [1, 2]}, r"nodata must be a number, None or 'source', got \[1, 2\]"),
        ({"overlap": "half"}, r"overlap must lie in \[0, 1\), got 'half'"),
        ({"threshold": None}, r"threshold must lie in \[0, 1\], got None"),
        ({"foreground": 1.5}, "foreground must be an int, got 1.5"),
        ({"scale": "255"}, "scale must be a number above 0, got '255'"),
        ({"preprocessing": 3}, r"preprocessing must be a function of \(N, C, h, w\) or None, got 3"),
        ({"preprocessing": lambda x: None}, r"preprocessing must return a tensor .* got NoneType"),
        ({"preprocessing": lambda x: x[0]}, r"preprocessing must return a tensor .* got shape \(3, 320, 448\)"),
        ({"progress": 3}, "progress must be True, False or a function of Progress, got 3"),
    ],
)
def test_options_that_make_no_sense(image, options, message):
    with pytest.raises(OptionError, match=message):
        predict(centred, image, **options)


def test_ratios_that_do_not_fit_the_tiles(image):
    def model(x):
        return torch.nn.functional.avg_pool2d(x, 3)

    with pytest.raises(
        OptionError, match=r"1/3 pixel for each .* multiples of 3; got a tile of 96 with a stride of 64"
    ):
        predict(model, image, tile=96)


def test_no_model_and_no_image(image):
    with pytest.raises(OptionError, match=r"model must be callable with \(N, C, h, w\), got str"):
        predict("unet", image)
    with pytest.raises(OptionError, match="source must be an array, a path or a Source, got list"):
        predict(centred, [1, 2])
    with pytest.raises(OptionError, match="sink must be None, an array, a path or a Sink, got int"):
        predict(centred, image, 3)


@pytest.mark.parametrize("device", ["cuda:77", "toaster"])
def test_a_device_that_is_not_there(image, device):
    with pytest.raises(OptionError, match=rf"device '{device}' cannot be used here: ."):
        predict(lambda x: x, image, device=device)


def test_integers_without_a_range_need_a_scale(image):
    wide = image.astype(np.int32) * 100
    with pytest.raises(SourceError, match=r"pixels of int32, which have no fixed range: give scale= what they are"):
        predict(lambda x: x, wide)
    found = predict(lambda x: x, wide, output="scores", scale=25500)
    np.testing.assert_allclose(found, predict(lambda x: x, image, output="scores"), atol=1e-6)
    assert predict(lambda x: x, wide, preprocessing=lambda x: x / 2).shape == image.shape[:2]
    with pytest.raises(OptionError, match="scale must be a number above 0, got 0; scale and preprocessing exclude one"):
        predict(lambda x: x, wide, scale=0, preprocessing=lambda x: x)


class Configured(torch.nn.Module):
    def __init__(self, activation, last):
        super().__init__()
        self.config, self.last = {"activation": activation, "classes": 3}, last

    def forward(self, x):
        return self.last(x - 0.5)


def test_models_that_give_indices_vote(image):
    scores = Configured(None, lambda x: x)
    indices = Configured("argmax", lambda x: x.argmax(dim=1))
    np.testing.assert_array_equal(predict(indices, image, tile=64), predict(scores, image, tile=64))
    votes = predict(indices, image, tile=64, output="probabilities")
    assert votes.shape == (*image.shape[:2], 3)
    np.testing.assert_allclose(votes.sum(axis=2), 1, atol=1e-5)


def test_tanh_is_no_probability(image):
    model = Configured("tanh", lambda x: torch.tanh(x[:, :1]))
    plain = Configured(None, lambda x: x[:, :1])
    np.testing.assert_array_equal(predict(model, image), predict(plain, image))
    for options in ({"output": "probabilities"}, {"threshold": 0.4}):
        with pytest.raises(OptionError, match="'tanh', whose values are neither logits nor probabilities: expected"):
            predict(model, image, **options)

"""The accumulator: the same counts and scores as over all images at once, in constant memory; table and plot."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import smp_metrics
from smp_metrics import ConfusionMatrix, get_stats
from smp_metrics.ratios import SCORE_NAMES


def batches(number=4, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(number):
        target = torch.randint(0, classes, (2, 5, 6), generator=generator)
        target[0, :, 0] = 255
        yield torch.randint(0, classes, target.shape, generator=generator), target


def filled(number=4, seed=0):
    matrix = ConfusionMatrix(3, ignore_index=255, class_names=["road", "tree", "sky"])
    for prediction, target in batches(number, seed=seed):
        matrix.update(prediction, target)
    return matrix


@given(number=st.integers(1, 4), classes=st.integers(1, 5), seed=st.integers(0, 2**31))
def test_counts_over_batches_are_those_of_all_images(number, classes, seed):
    matrix = ConfusionMatrix(classes, ignore_index=255)
    stats = []
    for prediction, target in batches(number, classes, seed):
        matrix.update(prediction, target)
        stats.append(get_stats(prediction, target, "multiclass", ignore_index=255, num_classes=classes))
    for own, all_images in zip(matrix.stats(), map(torch.cat, zip(*stats, strict=True)), strict=True):
        assert own.shape == (1, classes)
        assert torch.equal(own, all_images.sum(0, keepdim=True))


@pytest.mark.parametrize("name", SCORE_NAMES)
def test_scores_are_those_of_the_functions(name):
    matrix = filled()
    prediction, target = map(torch.cat, zip(*batches(), strict=True))
    stats = get_stats(prediction, target, "multiclass", ignore_index=255, num_classes=3)
    score, beta = getattr(smp_metrics, name), {"beta": 2.0} if name == "fbeta_score" else {}
    for options in (
        {"reduction": "macro"},
        {"reduction": "micro"},
        {"reduction": "weighted", "class_weights": [1, 2, 3]},
    ):
        assert torch.equal(matrix.score(name, **options, **beta), score(*stats, **options, **beta))
    classes = score(*(count.sum(0, keepdim=True) for count in stats), **beta)[0]
    assert torch.equal(matrix.score(name, "none", **beta), classes)


def test_rows_are_targets():
    matrix = ConfusionMatrix(2)
    matrix.update(torch.tensor([[1, 1, 1]]), torch.tensor([[0, 0, 1]]))
    assert matrix.counts.tolist() == [[0, 2], [0, 1]]
    assert repr(matrix) == "ConfusionMatrix(num_classes=2, pixels=3)"


def test_binary_maps_and_scores_of_classes():
    probability, mask = torch.tensor([[[0.2, 0.7, 0.9]]]), torch.tensor([[[0, 0, 1]]])
    matrix = ConfusionMatrix(2)
    matrix.update(probability > 0.5, mask == 1)
    scores = torch.stack([1 - probability, probability], dim=1)
    matrix.update(scores, mask)
    assert matrix.counts.tolist() == [[2, 2], [0, 2]]


def test_memory_does_not_grow():
    sizes = {number: len(pickle.dumps(filled(number))) for number in (1, 20)}
    assert sizes[1] == sizes[20]


def test_absent_classes_leave_the_mean():
    matrix = ConfusionMatrix(4)
    matrix.update(torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0, 1]]))
    assert matrix.score("iou_score", "none").isnan().tolist() == [False, False, True, True]
    assert matrix.score("iou_score").item() == 0.5
    assert matrix.score("iou_score", zero_division=1.0).item() == 0.75
    assert matrix.compute()["iou_score"].item() == 0.5


def test_merge_copy_and_reset():
    a, b = filled(3, seed=1), filled(2, seed=2)
    before = a.counts
    assert a.merge(b) is a
    assert torch.equal(a.counts, before + b.counts)
    other = copy.deepcopy(a)
    other.counts.zero_()
    assert torch.equal(other.counts, a.counts)
    other.reset()
    assert other.counts.sum() == 0
    assert a.counts.sum() > 0
    assert other.score("iou_score").isnan()
    assert other.pixel_accuracy().isnan()


def test_all_reduce_of_one_process_is_a_copy():
    matrix = filled()
    total = matrix.all_reduce()
    assert torch.equal(total.counts, matrix.counts)
    total.reset()
    assert matrix.counts.sum() > 0


def test_counting_in_and_out_of_inference_mode():
    matrix, (prediction, target) = ConfusionMatrix(3, ignore_index=255), next(batches())
    with torch.inference_mode():
        matrix.update(prediction, target)
    matrix.update(prediction, target)
    matrix.merge(matrix)
    counted = matrix.counts.sum()
    assert counted == 4 * (target != 255).sum()
    matrix.reset()
    with torch.inference_mode():
        matrix.update(prediction, target)
    matrix.reset()
    assert matrix.counts.sum() == 0


def test_device():
    matrix = ConfusionMatrix(3, device="cpu")
    assert matrix.to("meta") is matrix
    assert matrix.counts.device.type == "meta"


def test_table():
    matrix = ConfusionMatrix(3, ignore_index=255, class_names=["road", "tree", "sky"])
    matrix.update(torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 1, 1, 255]]))
    assert matrix.table().splitlines() == [
        "class     IoU      F1  precision  recall  pixels",
        "------------------------------------------------",
        "road   0.5000  0.6667     0.5000  1.0000       1",
        "tree   0.5000  0.6667     1.0000  0.5000       2",
        "sky         -       -          -       -       0",
        "------------------------------------------------",
        "mean   0.5000  0.6667     0.7500  0.7500       3",
        "pixel accuracy 0.6667",
    ]
    titles, road, _, sky, mean = matrix.rows()
    assert titles == ["class", "IoU", "F1", "precision", "recall", "pixels"]
    assert road == ["road", 0.5, pytest.approx(2 / 3), 0.5, 1.0, 1]
    assert sky[0] == "sky"
    assert math.isnan(sky[1])
    assert mean[-1] == 3
    assert ConfusionMatrix(1).table().splitlines()[-1] == "pixel accuracy -"


@pytest.fixture
def axes():
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    return Figure().subplots()


@pytest.mark.parametrize("normalize", ["target", "prediction", "all", None])
def test_plot(axes, normalize):
    matrix = filled()
    assert matrix.plot(axes, normalize) is axes
    counts = matrix.counts
    sums = {"target": counts.sum(1, keepdim=True), "prediction": counts.sum(0), "all": counts.sum(), None: 1}
    torch.testing.assert_close(
        torch.from_numpy(axes.images[0].get_array().data).float(), counts / sums[normalize], check_dtype=False
    )
    assert [label.get_text() for label in axes.get_yticklabels()] == ["road", "tree", "sky"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("prediction", "target")
    digits = ".0f" if normalize is None else ".2f"
    first = (counts / sums[normalize])[0, 0].item()
    assert axes.texts[0].get_text() == f"{first:{digits}}"
    assert len(axes.texts) == 9
    axes.get_figure().canvas.draw()


def test_plot_of_many_and_of_absent_classes(axes):
    matrix = ConfusionMatrix(21)
    matrix.update(torch.tensor([[0]]), torch.tensor([[0]]))
    matrix.plot(axes)
    assert not axes.texts
    assert axes.images[0].get_array().data.sum() == 1


def test_plot_on_a_new_figure():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    axes = filled().plot(annotate=False)
    assert not axes.texts
    pyplot.close(axes.get_figure())

"""Counts and scores are those of scikit-learn on random cases."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import smp_metrics
from smp_metrics import ConfusionMatrix, get_stats

metrics = pytest.importorskip("sklearn.metrics")

SCORES = {
    "iou_score": metrics.jaccard_score,
    "f1_score": metrics.f1_score,
    "precision": metrics.precision_score,
    "recall": metrics.recall_score,
    "sensitivity": metrics.recall_score,
    "positive_predictive_value": metrics.precision_score,
}


@st.composite
def labels(draw):
    """Prediction and target, (N, P) numpy, and the number of classes; 255 is ignored."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(2, 40)))
    classes = draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    # The last class is sometimes absent.
    output, target = (rng.integers(0, classes - draw(st.integers(0, 1)), shape) for _ in range(2))
    target = np.where(rng.random(shape) < 0.5, output, target)
    target[:, 1:][rng.random((shape[0], shape[1] - 1)) < 0.2] = 255
    return output, target, classes


def stats(output, target, classes):
    return get_stats(*map(torch.from_numpy, (output, target)), "multiclass", ignore_index=255, num_classes=classes)


@given(case=labels(), name=st.sampled_from(sorted(SCORES)), zero=st.sampled_from([0.0, 1.0]))
def test_scores_of_classes(case, name, zero):
    output, target, classes = case
    counts, valid = stats(*case), target != 255
    own = getattr(smp_metrics, name)
    options = {"labels": range(classes), "zero_division": zero}
    for average in ("micro", "macro", "weighted", None):
        with warnings.catch_warnings():
            # Of classes that are nowhere.
            warnings.simplefilter("ignore")
            expected = SCORES[name](target[valid], output[valid], average=average, **options)
        support = np.bincount(target[valid], minlength=classes).tolist()
        if average is None:
            value = own(*(count.sum(0, keepdim=True) for count in counts), zero_division=zero)[0]
        else:
            value = own(*counts, reduction=average, class_weights=support, zero_division=zero)
        assert value.numpy() == pytest.approx(expected, abs=1e-6), average


@given(case=labels(), beta=st.sampled_from([0.5, 1.0, 2.0]))
def test_fbeta(case, beta):
    output, target, classes = case
    valid = target != 255
    value = smp_metrics.fbeta_score(*stats(*case), beta=beta, reduction="macro")
    options = {"beta": beta, "average": "macro", "labels": range(classes), "zero_division": 1.0}
    assert value.item() == pytest.approx(metrics.fbeta_score(target[valid], output[valid], **options), abs=1e-6)


@given(case=labels())
def test_counts_and_the_matrix(case):
    output, target, classes = case
    counts = [count.numpy() for count in stats(*case)]
    for image in range(len(target)):
        valid = target[image] != 255
        expected = metrics.multilabel_confusion_matrix(
            target[image][valid], output[image][valid], labels=range(classes)
        )
        (tn, fp), (fn, tp) = expected.transpose(1, 2, 0)
        for own, theirs in zip(counts, (tp, fp, fn, tn), strict=True):
            assert np.array_equal(own[image], theirs)
    matrix = ConfusionMatrix(classes, ignore_index=255)
    for prediction, label in zip(*map(torch.from_numpy, (output, target)), strict=True):
        matrix.update(prediction.unsqueeze(0), label.unsqueeze(0))
    valid = target != 255
    expected = metrics.confusion_matrix(target[valid], output[valid], labels=range(classes))
    assert np.array_equal(matrix.counts.numpy(), expected)
    assert matrix.pixel_accuracy().item() == pytest.approx(metrics.accuracy_score(target[valid], output[valid]))


@given(seed=st.integers(0, 2**31), pixels=st.integers(4, 60))
def test_binary(seed, pixels):
    rng = np.random.default_rng(seed)
    output, target = (rng.integers(0, 2, (1, 1, pixels)) for _ in range(2))
    # Both classes occur, as balanced accuracy and likelihood ratios need.
    target[..., :2], output[..., :4] = [0, 1], [0, 1, 1, 0]
    target[..., 2:4] = [0, 1]
    counts = get_stats(*map(torch.from_numpy, (output, target)), "binary")
    flat = target.ravel(), output.ravel()
    assert smp_metrics.accuracy(*counts, "micro").item() == pytest.approx(metrics.accuracy_score(*flat))
    assert smp_metrics.balanced_accuracy(*counts, "micro").item() == pytest.approx(
        metrics.balanced_accuracy_score(*flat)
    )
    assert smp_metrics.specificity(*counts, "micro").item() == pytest.approx(metrics.recall_score(*flat, pos_label=0))
    value = smp_metrics.negative_predictive_value(*counts, "micro").item()
    assert value == pytest.approx(metrics.precision_score(*flat, pos_label=0))
    theirs = metrics.class_likelihood_ratios(*flat)
    assert smp_metrics.positive_likelihood_ratio(*counts, "micro").item() == pytest.approx(theirs[0])
    assert smp_metrics.negative_likelihood_ratio(*counts, "micro").item() == pytest.approx(theirs[1])


@given(seed=st.integers(0, 2**31), classes=st.integers(2, 5), average=st.sampled_from(["micro", "macro"]))
def test_multilabel(seed, classes, average):
    rng = np.random.default_rng(seed)
    output, target = (rng.integers(0, 2, (2, classes, 20)) for _ in range(2))
    counts = get_stats(*map(torch.from_numpy, (output, target)), "multilabel")
    flat = [item.transpose(0, 2, 1).reshape(-1, classes) for item in (target, output)]
    for name in ("iou_score", "f1_score", "precision", "recall"):
        expected = SCORES[name](*flat, average=average, zero_division=1.0)
        assert getattr(smp_metrics, name)(*counts, average).item() == pytest.approx(expected, abs=1e-6)

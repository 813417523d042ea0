"""Wrong input is refused, and the error says what came and what was expected."""

from __future__ import annotations

import copy
import pickle
import re
import threading

import pytest
import torch

import smp_metrics
from smp_metrics import ConfusionMatrix, get_stats, iou_score
from smp_metrics.ratios import SCORE_NAMES

INDICES = torch.zeros(2, 4, 5, dtype=torch.long)
MAPS = torch.zeros(2, 3, 4, 5, dtype=torch.long)
COUNTS = [torch.ones(2, 3, dtype=torch.long)] * 4


def refused(error, message):
    return pytest.raises(error, match=re.escape(message))


def multiclass(output=INDICES, target=INDICES, **options):
    return get_stats(output, target, "multiclass", **{"num_classes": 3, **options})


def test_mode():
    with refused(ValueError, "get_stats: mode must be 'binary', 'multilabel' or 'multiclass', got 'multi'"):
        get_stats(INDICES, INDICES, "multi")


@pytest.mark.parametrize("mode", ["binary", "multilabel", "multiclass"])
def test_tensors(mode):
    maps = MAPS[:, :1]
    where = f"get_stats ({mode}): "
    with refused(TypeError, f"{where}output must be a tensor, got list"):
        get_stats([1, 2], maps, mode, num_classes=3)
    with refused(TypeError, f"{where}target must be a tensor, got ndarray"):
        get_stats(maps, maps.numpy(), mode, num_classes=3)
    with refused(TypeError, f"{where}target must have an integer dtype or bool, got torch.float32"):
        get_stats(maps, maps.float(), mode, num_classes=3)
    with refused(TypeError, f"{where}output must be real, got torch.complex64"):
        get_stats(maps.to(torch.complex64), maps, mode, num_classes=3)
    with refused(ValueError, f"{where}target must have an axis of images, got a tensor without any axis"):
        get_stats(maps, torch.tensor(1), mode, num_classes=3)
    with refused(ValueError, f"{where}output and target must have one shape, got (2, 1, 4, 5) and (2, 1, 4, 4)"):
        get_stats(maps, maps[..., :4], mode, num_classes=3)
    with refused(ValueError, f"{where}output is on cpu, but target is on meta"):
        get_stats(maps, maps.to("meta"), mode, num_classes=3)


def test_multiclass():
    where = "get_stats (multiclass): "
    with refused(ValueError, f"{where}num_classes is needed, as not every class need occur in a batch"):
        multiclass(num_classes=None)
    with refused(ValueError, f"{where}num_classes must be an int of at least 1, got 0"):
        multiclass(num_classes=0)
    with refused(ValueError, f"{where}threshold=0.5 has no meaning for class indices; leave it out"):
        multiclass(threshold=0.5)
    with refused(
        TypeError,
        f"{where}the prediction must hold class indices in an integer dtype, got torch.float32; "
        f"of scores (N, C, ...) take output.argmax(dim=1)",
    ):
        multiclass(INDICES.float())
    for label in (0, 2):
        with refused(
            ValueError,
            f"{where}ignore_index must lie outside of the classes 0 to 2, got {label}; to leave a class out of an "
            f"average, give it the weight 0 with reduction='weighted'",
        ):
            multiclass(ignore_index=label)


def test_labels_of_classes():
    where, wrong = "get_stats (multiclass): ", INDICES.clone()
    wrong[0, 0, 0] = 3
    with refused(ValueError, f"{where}target must hold integers from 0 to 2; got values from 0 to 3"):
        multiclass(target=wrong)
    with refused(ValueError, "integers from 0 to 2, or 255 for what is ignored; got values from 0 to 3"):
        multiclass(target=wrong, ignore_index=255)
    with refused(ValueError, f"{where}the prediction must hold integers from 0 to 2; got values from 0 to 3"):
        multiclass(output=wrong)
    target = INDICES.clone()
    target[1] = 255
    # Not where it is wrong, but elsewhere, is something ignored.
    with refused(ValueError, f"{where}the prediction must hold integers from 0 to 2; got values from 0 to 3"):
        multiclass(output=wrong, target=target, ignore_index=255)
    target[0, 0, 0] = -1
    with refused(ValueError, "integers from 0 to 2, or 255 for what is ignored; got values from -1 to 0"):
        multiclass(target=target, ignore_index=255)


def test_maps():
    with refused(
        ValueError,
        "get_stats (binary): output must have shape (N, 1, ...) or (N, H, W), got (2, 3, 4, 5); "
        "unsqueeze(1) adds the axis of channels, and several channels are for the mode 'multilabel'",
    ):
        get_stats(MAPS, MAPS, "binary")
    with refused(ValueError, "get_stats (binary): output must have shape (N, 1, ...) or (N, H, W), got (2,)"):
        get_stats(MAPS[:, 0, 0, 0], MAPS[:, 0, 0, 0], "binary")
    with refused(ValueError, "get_stats (multilabel): output must have shape (N, C, ...), got (2,)"):
        get_stats(MAPS[:, 0, 0, 0], MAPS[:, 0, 0, 0], "multilabel")
    with refused(
        TypeError,
        "get_stats (multilabel): output must hold 0 and 1 in an integer dtype or bool, got torch.float32; "
        "scores need a threshold, such as threshold=0.5 for probabilities",
    ):
        get_stats(MAPS.float(), MAPS, "multilabel")
    for threshold in ([0.5], [0.5] * 4):
        with refused(
            ValueError,
            f"get_stats (multilabel): threshold must be one number, or 3 in a list, one per class, got {threshold}",
        ):
            get_stats(MAPS.float(), MAPS, "multilabel", threshold=threshold)
    with refused(ValueError, "get_stats (multilabel): ignore_index must lie outside of the classes 0 to 1, got 1"):
        get_stats(MAPS, MAPS, "multilabel", ignore_index=1)
    with refused(ValueError, "get_stats (binary): target must hold integers from 0 to 1; got values from 2 to 2"):
        get_stats(MAPS[:, :1], MAPS[:, :1] + 2, "binary")
    with refused(
        ValueError, "get_stats (binary): the prediction must hold integers from 0 to 1; got values from 0 to 9"
    ):
        get_stats(MAPS[:, :1].index_fill(3, torch.tensor([1]), 9), MAPS[:, :1], "binary")
    with refused(
        ValueError, "get_stats (binary): SMP ignores no label in this mode; leave out smp_values or ignore_index"
    ):
        get_stats(MAPS[:, :1], MAPS[:, :1], "binary", ignore_index=255, threshold=0.5, smp_values=True)


@pytest.mark.parametrize("name", SCORE_NAMES)
def test_options_of_scores(name):
    score = getattr(smp_metrics, name)
    known = "'micro', 'macro', 'weighted', 'micro-imagewise', 'macro-imagewise', 'weighted-imagewise', 'none' or None"
    with refused(ValueError, f"{name}: reduction must be one of {known}, got 'mean'"):
        score(*COUNTS, reduction="mean")
    for value in ("ignore", None, [1.0]):
        with refused(ValueError, f"{name}: zero_division must be a number, 'warn' or 'skip', got {value!r}"):
            score(*COUNTS, zero_division=value)
    for reduction in ("weighted", "weighted-imagewise"):
        with refused(ValueError, f"{name}: reduction='{reduction}' needs class_weights, one number per class"):
            score(*COUNTS, reduction=reduction)
        with refused(ValueError, f"{name}: class_weights must be one number per class, 3, got [1.0, 2.0]"):
            score(*COUNTS, reduction=reduction, class_weights=[1, 2])
        for weights in ([0, 0, 0], [-1, 1, 1], [[1, 1, 1]], [float("nan"), 1, 1], [float("inf"), 1, 1]):
            with refused(
                ValueError, f"{name}: class_weights must be one number per class, none negative and not all 0"
            ):
                score(*COUNTS, reduction=reduction, class_weights=weights)


@pytest.mark.parametrize("name", SCORE_NAMES)
def test_counts(name):
    score = getattr(smp_metrics, name)
    with refused(TypeError, f"{name}: tp must be a tensor, got int"):
        score(1, 2, 3, 4)
    with refused(TypeError, f"{name}: tn must hold counts, got torch.bool"):
        score(*COUNTS[:3], COUNTS[3] > 0)
    with refused(
        ValueError,
        f"{name}: tp, fp, fn and tn must each have the shape (N, C), got [(2, 3), (2, 3), (2, 3), (2, 1)]",
    ):
        score(*COUNTS[:3], COUNTS[3][:, :1])
    with refused(
        ValueError, f"{name}: tp, fp, fn and tn must each have the shape (N, C), got [(3,), (3,), (3,), (3,)]"
    ):
        score(*(count[0] for count in COUNTS))
    with refused(ValueError, f"{name}: tp, fp, fn and tn must be on one device, got ['cpu', 'cpu', 'cpu', 'meta']"):
        score(*COUNTS[:3], COUNTS[3].to("meta"))


def test_beta():
    for beta in (-1.0, float("nan")):
        with refused(ValueError, f"fbeta_score: beta must be at least 0, got {beta}"):
            smp_metrics.fbeta_score(*COUNTS, beta=beta)


def test_confusion_matrix():
    with refused(ValueError, "ConfusionMatrix: num_classes must be an int of at least 1, got 0"):
        ConfusionMatrix(0)
    with refused(ValueError, "ConfusionMatrix: class_names must be 3 names, got 2"):
        ConfusionMatrix(3, class_names=["a", "b"])
    with refused(ValueError, "ConfusionMatrix: ignore_index must lie outside of the classes 0 to 2, got 0"):
        ConfusionMatrix(3, ignore_index=0)
    matrix = ConfusionMatrix(3)
    with refused(ValueError, "ConfusionMatrix.update: output and target must have one shape, got (2, 4, 5) and (2, 4)"):
        matrix.update(INDICES, INDICES[..., 0])
    with refused(ValueError, "ConfusionMatrix.update: target must hold integers from 0 to 2; got values from 3 to 3"):
        matrix.update(INDICES, INDICES + 3)
    with refused(TypeError, "ConfusionMatrix.update: output must be a tensor, got list"):
        matrix.update([1], INDICES)
    with refused(TypeError, "ConfusionMatrix.update: target must have an integer dtype or bool, got torch.float32"):
        matrix.update(MAPS.float(), INDICES.float())
    with refused(
        ValueError,
        "ConfusionMatrix.update: scores of 3 classes must have the shape (N, 3, ...) for a target (N, ...), "
        "got (2, 4, 5) for (2, 4, 5); labels must have an integer dtype",
    ):
        matrix.update(INDICES.float(), INDICES)
    assert matrix.counts.sum() == 0
    with refused(
        ValueError, "ConfusionMatrix.merge: the classes differ, ['0', '1', '2'] here and ['a', 'b', 'c'] there"
    ):
        matrix.merge(ConfusionMatrix(3, class_names="abc"))
    with refused(
        ValueError,
        "ConfusionMatrix.score: reduction must be 'micro', 'macro', 'weighted' or 'none', got 'macro-imagewise'; "
        "a matrix over all images does not tell them apart",
    ):
        matrix.score("iou_score", "macro-imagewise")
    with refused(ValueError, "unknown score 'iou'; known are accuracy, balanced_accuracy, f1_score, "):
        matrix.score("iou")
    with refused(ValueError, "plot: normalize must be 'target', 'prediction', 'all' or None, got 'row'"):
        matrix.plot(normalize="row")


def test_no_gradient_is_promised():
    # Counts are integers: nothing flows back, and nothing pretends to.
    scores = torch.rand(2, 1, 4, requires_grad=True)
    counts = get_stats(scores, torch.ones(2, 1, 4, dtype=torch.long), "binary", threshold=0.5)
    assert not iou_score(*counts, "micro").requires_grad


@pytest.mark.parametrize("number", [3.0, True, "3", None, torch.tensor(3)])
def test_a_number_of_classes_that_is_none(number):
    with refused(ValueError, f"ConfusionMatrix: num_classes must be an int of at least 1, got {number!r}"):
        ConfusionMatrix(number)
    if number is not None:
        with refused(ValueError, f"get_stats (multiclass): num_classes must be an int of at least 1, got {number!r}"):
            multiclass(num_classes=number)


def test_more_classes_than_a_matrix_can_hold():
    with refused(ValueError, "ConfusionMatrix: num_classes must be at most 16384, got 10000000000: it counts pairs of"):
        ConfusionMatrix(10**10)


def test_scores_that_are_nan():
    """Where labels count; elsewhere they may be anything."""
    scores = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    labels = INDICES.clone()
    labels[0, 0, :2] = 255
    expected = ConfusionMatrix(3, ignore_index=255)
    expected.update(scores, labels)
    scores[0, :, 0, :2] = float("nan")
    matrix = ConfusionMatrix(3, ignore_index=255)
    matrix.update(scores, labels)
    assert torch.equal(matrix.counts, expected.counts)
    scores[1, 2, 3, 4] = float("nan")
    with refused(ValueError, "ConfusionMatrix.update: the prediction is NaN at 1 places that count"):
        matrix.update(scores, labels)
    with refused(ValueError, "get_stats (multilabel): the prediction is NaN at 7 places that count"):
        get_stats(scores, MAPS, "multilabel", threshold=0.5)
    maps = MAPS.masked_fill(scores.isnan(), 255)
    assert int(sum(get_stats(scores, maps, "multilabel", ignore_index=255, threshold=0.5)).sum()) == MAPS.numel() - 7


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
@pytest.mark.parametrize("name", SCORE_NAMES)
def test_counts_of_narrow_dtypes(name, dtype):
    """Their sums and products must not overflow."""
    counts = [torch.full((3, 2), value, dtype=dtype) for value in (100, 120, 90, 110)]
    for reduction in ("micro", "macro", "micro-imagewise", "none"):
        score = getattr(smp_metrics, name)
        given = {"beta": 2.0} if name == "fbeta_score" else {}
        found = score(*counts, reduction=reduction, **given)
        wanted = score(*(count.long() for count in counts), reduction=reduction, **given)
        torch.testing.assert_close(found, wanted)


def test_updates_of_several_threads():
    matrix, labels = ConfusionMatrix(3), torch.ones(1, 64, dtype=torch.long)
    threads = [threading.Thread(target=lambda: [matrix.update(labels, labels) for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert int(matrix.counts.sum()) == 8 * 200 * 64
    for copied in (copy.deepcopy(matrix), pickle.loads(pickle.dumps(matrix)), copy.copy(matrix)):
        copied.update(labels, labels)
        assert int(copied.counts.sum()) == 8 * 200 * 64 + 64
    assert int(matrix.counts.sum()) == 8 * 200 * 64

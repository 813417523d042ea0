"""What the scores do with what is undefined and with weights, and where they correct SMP; see parity for the rest."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import smp_metrics
from smp_metrics import f1_score, fbeta_score, iou_score, precision, recall
from smp_metrics.ratios import SCORE_NAMES

# Two images, three classes; the last is nowhere, the second is not in the first image.
TP = torch.tensor([[3, 0, 0], [1, 2, 0]])
FP = torch.tensor([[1, 0, 0], [0, 2, 0]])
FN = torch.tensor([[2, 0, 0], [1, 0, 0]])
TN = torch.tensor([[4, 10, 10], [8, 6, 10]])
COUNTS = (TP, FP, FN, TN)
PERFECT = (torch.tensor([[4, 6], [5, 5]]), *[torch.zeros(2, 2, dtype=torch.int64)] * 2, torch.tensor([[6, 4], [5, 5]]))


def test_absent_classes_are_perfect_by_default():
    assert iou_score(*COUNTS).tolist() == [[0.5, 1.0, 1.0], [0.5, 0.5, 1.0]]
    assert iou_score(*COUNTS, reduction="macro").item() == pytest.approx((0.5 + 0.5 + 1) / 3)
    assert iou_score(*COUNTS, reduction="macro-imagewise").item() == pytest.approx(4.5 / 6)


def test_absent_classes_can_be_left_out():
    assert iou_score(*COUNTS, reduction="macro", zero_division="skip").item() == 0.5
    assert iou_score(*COUNTS, reduction="macro-imagewise", zero_division="skip").item() == 0.5
    undefined = iou_score(*COUNTS, zero_division="skip").isnan()
    assert undefined.tolist() == [[False, True, True], [False, False, True]]


def test_weights_of_the_classes_left_out_go_to_the_others():
    options = {"zero_division": "skip", "class_weights": [1, 3, 100]}
    value = precision(*COUNTS, reduction="weighted", **options)
    assert value.item() == pytest.approx((1 * 4 / 5 + 3 * 2 / 4) / 4)
    value = precision(*COUNTS, reduction="weighted-imagewise", **options)
    assert value.item() == pytest.approx((3 / 4 + (1 * 1 + 3 * 0.5) / 4) / 2)


def test_images_and_classes_without_anything_defined():
    nothing = [torch.zeros_like(TP)] * 4
    for reduction in ("micro", "macro", "micro-imagewise", "macro-imagewise", "weighted", "weighted-imagewise"):
        options = {"reduction": reduction, "class_weights": [1, 1, 1]}
        assert iou_score(*nothing, **options, zero_division="skip").isnan(), reduction
        assert iou_score(*nothing, **options).item() == 1.0, reduction
        assert iou_score(*nothing, **options, zero_division=0.25).item() == 0.25, reduction
    # The image without anything does not pull the mean of images.
    half = [torch.cat([count, torch.zeros_like(count)]) for count in COUNTS]
    for reduction in ("micro-imagewise", "macro-imagewise", "weighted-imagewise"):
        options = {"reduction": reduction, "class_weights": [1, 1, 1], "zero_division": "skip"}
        assert iou_score(*half, **options).item() == pytest.approx(iou_score(*COUNTS, **options).item()), reduction


def test_infinite_scores_of_weight_zero_do_not_spoil_a_mean_with_skip():
    counts = [torch.tensor([[5, 3]]), torch.tensor([[0, 1]]), torch.tensor([[5, 1]]), torch.tensor([[5, 5]])]
    options = {"reduction": "weighted", "class_weights": [0, 1]}
    value = smp_metrics.positive_likelihood_ratio(*counts, **options, zero_division="skip")
    assert value.item() == pytest.approx((3 / 4) / (1 / 6))


def test_warning():
    with pytest.warns(UserWarning, match=r"^iou_score: zero division; the score is taken for 0$") as record:
        assert iou_score(*COUNTS, reduction="macro", zero_division="warn").item() == pytest.approx(1 / 3)
    assert record[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert iou_score(*PERFECT, zero_division="warn").mean() == 1


@pytest.mark.parametrize("reduction", ["weighted-imagewise", "macro-imagewise", "macro", "weighted"])
def test_weights_are_weighed_once(reduction):
    options = {"reduction": reduction, "class_weights": [1, 3]}
    assert iou_score(*PERFECT, **options).item() == 1.0
    # SMP divides by the two classes once more.
    expected = 1.0 if reduction == "weighted" else 0.5
    assert iou_score(*PERFECT, **options, smp_values=True).item() == expected


def test_macro_has_no_weights():
    for reduction in ("macro", "macro-imagewise", "micro", "micro-imagewise", "none"):
        options = {"reduction": reduction, "zero_division": 0.0}
        with_weights = iou_score(*COUNTS, **options, class_weights=[1, 3, 5])
        assert torch.equal(with_weights, iou_score(*COUNTS, **options)), reduction
    theirs = iou_score(*COUNTS, "macro", [1, 3, 5], 0.0, smp_values=True)
    assert theirs.item() == pytest.approx((0.5 * 1 + 0.5 * 3) / 9 / 3)


def test_micro_heeds_zero_division():
    nothing = [torch.zeros(1, 2, dtype=torch.int64)] * 4
    assert iou_score(*nothing, "micro").item() == 1.0
    assert iou_score(*nothing, "micro", smp_values=True).isnan()


@given(
    counts=st.lists(st.integers(0, 50), min_size=4, max_size=4),
    beta=st.floats(0, 5),
    name=st.sampled_from(SCORE_NAMES),
)
def test_formulas(counts, beta, name):
    tp, fp, fn, tn = counts

    def ratio(a, b):
        if b == 0:
            return math.nan if a == 0 or math.isnan(a) else math.inf
        return a / b

    tpr, tnr = ratio(tp, tp + fn), ratio(tn, tn + fp)
    expected = {
        "accuracy": ratio(tp + tn, tp + fp + fn + tn),
        "balanced_accuracy": (tpr + tnr) / 2,
        "f1_score": ratio(2 * tp, 2 * tp + fp + fn),
        "false_discovery_rate": ratio(fp, fp + tp),
        "false_negative_rate": ratio(fn, fn + tp),
        "false_omission_rate": ratio(fn, fn + tn),
        "false_positive_rate": ratio(fp, fp + tn),
        "fbeta_score": ratio((1 + beta**2) * tp, (1 + beta**2) * tp + beta**2 * fn + fp),
        "iou_score": ratio(tp, tp + fp + fn),
        "negative_likelihood_ratio": ratio(ratio(fn, tp + fn), tnr),
        "negative_predictive_value": ratio(tn, tn + fn),
        "positive_likelihood_ratio": ratio(tpr, ratio(fp, tn + fp)),
        "positive_predictive_value": ratio(tp, tp + fp),
        "precision": ratio(tp, tp + fp),
        "recall": tpr,
        "sensitivity": tpr,
        "specificity": tnr,
    }[name]
    options = {"beta": beta} if name == "fbeta_score" else {}
    score = getattr(smp_metrics, name)
    value = score(*(torch.tensor([[float(x)]], dtype=torch.float64) for x in counts), zero_division="skip", **options)
    assert value.item() == pytest.approx(expected, nan_ok=True)


def test_dtypes():
    assert iou_score(*COUNTS, "macro").dtype == torch.float32
    assert iou_score(*(count.double() for count in COUNTS), "macro").dtype == torch.float64
    assert iou_score(*(count.int() for count in COUNTS), "macro").dtype == torch.float32
    # Sums of counts beyond 2 ** 24 are exact, as they are integers until they are divided.
    big = [torch.full((64, 1), 2**24 + 1), *[torch.zeros(64, 1, dtype=torch.int64)] * 3]
    assert iou_score(*big, "micro").item() == 1.0


def test_f_scores():
    assert torch.equal(fbeta_score(*COUNTS, 1.0), f1_score(*COUNTS))
    torch.testing.assert_close(
        fbeta_score(*COUNTS, 0.0, zero_division="skip"), precision(*COUNTS, zero_division="skip"), equal_nan=True
    )
    torch.testing.assert_close(
        fbeta_score(*COUNTS, beta=1e4, reduction="micro"), recall(*COUNTS, "micro"), rtol=1e-5, atol=0
    )


def test_weights_may_be_a_tensor():
    value = iou_score(*COUNTS, "weighted", torch.tensor([1, 2, 3]))
    assert value.item() == iou_score(*COUNTS, "weighted", [1.0, 2.0, 3.0]).item()

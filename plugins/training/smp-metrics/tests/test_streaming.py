"""The torchmetrics metrics: the values of the functions, in collections, merged, and their errors."""

from __future__ import annotations

import inspect
import pickle
import re
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import smp_metrics
from smp_metrics import get_stats
from smp_metrics.ratios import SCORE_NAMES

torchmetrics = pytest.importorskip("torchmetrics")

from smp_metrics import streaming  # noqa: E402 - needs torchmetrics
from smp_metrics.accumulate import compensated_sum  # noqa: E402

CLASSES = {
    item.score_name: item
    for name, item in vars(streaming).items()
    if inspect.isclass(item) and issubclass(item, streaming.StreamingScore) and item is not streaming.StreamingScore
}
REDUCTIONS = ["micro", "macro", "weighted", "micro-imagewise", "macro-imagewise", "weighted-imagewise"]


def batches(mode, number=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for size in range(1, number + 1):
        shape = (size, 4, 5) if mode == "multiclass" else (size, 1 if mode == "binary" else 3, 4, 5)
        classes = 3 if mode == "multiclass" else 2
        prediction, target = (torch.randint(0, classes, shape, generator=generator) for _ in range(2))
        # The last class is not in each image.
        target[0] = target[0].clamp(max=classes - 2)
        prediction[0] = prediction[0].clamp(max=classes - 2)
        target[torch.rand(shape, generator=generator) < 0.1] = 255
        yield prediction, target


def options_of(reduction, mode):
    weights = [2.0] if mode == "binary" else [1.0, 2.0, 3.0]
    return {"reduction": reduction, "class_weights": weights if reduction.startswith("weighted") else None}


def test_there_is_one_class_for_each_score():
    assert set(CLASSES) == set(SCORE_NAMES)
    assert set(streaming.__all__) == {"StreamingScore", *(item.__name__ for item in CLASSES.values())}
    for name, item in CLASSES.items():
        assert item.__name__.lower() == name.replace("_", "")


@pytest.mark.parametrize("mode", ["binary", "multilabel", "multiclass"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", SCORE_NAMES)
def test_values_are_those_of_the_functions(name, reduction, mode):
    options = options_of(reduction, mode)
    for zero_division in ("skip", 1.0):
        metric = CLASSES[name](mode, 3, **options, zero_division=zero_division, ignore_index=255)
        counts = []
        for index, (prediction, target) in enumerate(batches(mode)):
            # forward is another way than update to the same sums.
            (metric.forward if index % 2 else metric.update)(prediction, target)
            counts.append(get_stats(prediction, target, mode, ignore_index=255, num_classes=3))
        together = list(map(torch.cat, zip(*counts, strict=True)))
        expected = getattr(smp_metrics, name)(*together, **options, zero_division=zero_division)
        torch.testing.assert_close(metric.compute(), expected, equal_nan=True)


def test_scores_per_class():
    metric = streaming.IoUScore("multiclass", 3, reduction="none", ignore_index=255)
    matrix = smp_metrics.ConfusionMatrix(3, ignore_index=255)
    for prediction, target in batches("multiclass"):
        metric.update(prediction, target)
        matrix.update(prediction, target)
    assert torch.equal(metric.compute(), matrix.score("iou_score", "none"))


def test_scores_of_classes_and_thresholds():
    scores, target = torch.rand(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    a, b = streaming.F1Score("multiclass", 3), streaming.F1Score("multiclass", 3)
    assert torch.equal(a(scores, target), b(scores.argmax(1), target))
    maps, labels = torch.rand(2, 3, 4, 5), torch.randint(0, 2, (2, 3, 4, 5))
    limits = [0.2, 0.5, 0.7]
    a, b = streaming.F1Score("multilabel", 3, threshold=limits), streaming.F1Score("multilabel", 3)
    assert torch.equal(a(maps, labels), b(maps >= torch.tensor(limits).view(3, 1, 1), labels))


def test_beta():
    metric = streaming.FBetaScore("multiclass", 3, beta=2.0, ignore_index=255)
    other = streaming.FBetaScore("multiclass", 3, ignore_index=255)
    ((prediction, target),) = batches("multiclass", 1)
    counts = get_stats(prediction, target, "multiclass", 255, num_classes=3)
    expected = smp_metrics.fbeta_score(*counts, beta=2.0, reduction="macro", zero_division="skip")
    assert torch.equal(metric(prediction, target), expected)
    assert metric.compute() != other(prediction, target)


def test_collections_count_once_and_share_only_what_is_the_same():
    metrics = {
        "iou": streaming.IoUScore("multilabel", 3, threshold=0.5),
        "f1": streaming.F1Score("multilabel", 3, threshold=0.5, reduction="micro"),
        "other threshold": streaming.IoUScore("multilabel", 3, threshold=0.6),
        "iou imagewise": streaming.IoUScore("multilabel", 3, threshold=0.5, reduction="macro-imagewise"),
        "f1 imagewise": streaming.F1Score("multilabel", 3, threshold=0.5, reduction="macro-imagewise"),
        "weights": streaming.IoUScore(
            "multilabel", 3, threshold=0.5, reduction="weighted-imagewise", class_weights=[1, 1, 2]
        ),
    }
    collection = torchmetrics.MetricCollection(dict(metrics))
    alone = {name: metric.clone() for name, metric in metrics.items()}
    # In the first batch all predictions are right and certain, so that all states are alike.
    target = torch.randint(0, 2, (2, 3, 8, 8))
    inputs = [(target.float(), target), (torch.rand(2, 3, 8, 8), target)]
    for scores, labels in inputs:
        collection.update(scores, labels)
        for metric in alone.values():
            metric.update(scores, labels)
    groups = [set(group) for group in collection.compute_groups.values()]
    assert {"iou", "f1"} in groups
    assert len(groups) == len(metrics) - 1
    for name, value in collection.compute().items():
        torch.testing.assert_close(value, alone[name].compute(), msg=name)


def test_collection_with_keywords_beside_a_metric_of_torchmetrics():
    collection = torchmetrics.MetricCollection(
        [streaming.IoUScore("multiclass", 3), torchmetrics.JaccardIndex("multiclass", num_classes=3)]
    )
    prediction, target = torch.randint(0, 3, (2, 2, 8, 8))
    values = collection(preds=prediction, target=target)
    torch.testing.assert_close(values["IoUScore"], values["MulticlassJaccardIndex"])


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_merge_reset_and_pickle(reduction):
    make = lambda: streaming.Recall("multiclass", 3, ignore_index=255, **options_of(reduction, "multiclass"))  # noqa: E731
    whole, *parts = make(), make(), make()
    for index, (prediction, target) in enumerate(batches("multiclass")):
        whole.update(prediction, target)
        parts[index % 2].update(prediction, target)
    parts[0].merge_state(parts[1])
    torch.testing.assert_close(parts[0].compute(), whole.compute())
    torch.testing.assert_close(pickle.loads(pickle.dumps(whole)).compute(), whole.compute())
    whole.reset()
    with warnings.catch_warnings():
        # torchmetrics warns that nothing was counted.
        warnings.simplefilter("ignore")
        assert whole.compute().isnan()


def test_memory_does_not_grow():
    for reduction in REDUCTIONS:
        metric = streaming.IoUScore("multiclass", 3, ignore_index=255, **options_of(reduction, "multiclass"))
        sizes = []
        for prediction, target in batches("multiclass", 5):
            metric.update(prediction, target)
            sizes.append(sum(state.numel() for state in metric.metric_state.values()))
        assert len(set(sizes)) == 1


@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=200),
    split=st.integers(0, 200),
)
def test_sums_keep_their_digits(values, split):
    pairs = torch.tensor([[value, 0.0] for value in values])
    exact = pairs[:, 0].double().sum().item()
    parts = [compensated_sum(part) for part in (pairs[:split], pairs[split:]) if len(part)]
    total = compensated_sum(torch.stack(parts)).double().sum().item()
    assert total == pytest.approx(exact, rel=1e-9, abs=1e-9 * sum(map(abs, values)) + 1e-30)


def test_infinite_scores_stay_infinite():
    pairs = torch.tensor([[1.0, 0.0], [float("inf"), 0.0], [2.0, 0.0]])
    assert compensated_sum(pairs).sum() == float("inf")


def test_mean_over_many_images():
    metric = streaming.Recall("binary", reduction="micro-imagewise")
    target = torch.ones(1, 1, 10, dtype=torch.long)
    prediction = target.clone()
    prediction[..., :3] = 0
    for _ in range(3000):
        metric.update(prediction, target)
    # Plain float32 is 1e-5 off here.
    assert metric.compute().item() == pytest.approx(0.7, rel=2e-7)


def refused(error, message):
    return pytest.raises(error, match=re.escape(message))


def test_errors():
    with refused(ValueError, "IoUScore: num_classes is needed in mode 'multiclass'"):
        streaming.IoUScore("multiclass")
    with refused(ValueError, "mode must be 'binary', 'multilabel' or 'multiclass', got 'multi'"):
        streaming.IoUScore("multi", 3)
    with refused(ValueError, "iou_score: reduction must be one of"):
        streaming.IoUScore("binary", reduction="mean")
    with refused(ValueError, "iou_score: reduction='weighted' needs class_weights"):
        streaming.IoUScore("multiclass", 3, reduction="weighted")
    with refused(ValueError, "iou_score: class_weights must be one number per class, 3, got [1.0, 2.0]"):
        streaming.IoUScore("multiclass", 3, reduction="weighted", class_weights=[1.0, 2.0])
    with refused(ValueError, "ignore_index must lie outside of the classes 0 to 2, got 2"):
        streaming.IoUScore("multiclass", 3, ignore_index=2)
    with refused(ValueError, "threshold=0.5 has no meaning for class indices"):
        streaming.IoUScore("multiclass", 3, threshold=0.5)
    with refused(ValueError, "threshold must be one number, or 3 in a list, one per class, got"):
        streaming.IoUScore("multilabel", 3, threshold=[0.5, 0.5])
    with refused(ValueError, "fbeta_score: beta must be at least 0, got -1"):
        streaming.FBetaScore("binary", beta=-1)
    with refused(ValueError, "Unexpected keyword arguments: `treshold`"):
        streaming.IoUScore("binary", treshold=0.5)
    metric = streaming.IoUScore("multilabel", 3)
    with refused(ValueError, "IoUScore: num_classes is 3, got 2 channels"):
        metric.update(torch.zeros(1, 2, 4).long(), torch.zeros(1, 2, 4).long())
    metric = streaming.IoUScore("multiclass", 3)
    with refused(
        ValueError, "IoUScore: scores of 3 classes must have the shape (N, 3, ...) for a target (N, ...), got"
    ):
        metric.update(torch.zeros(1, 2, 4), torch.zeros(1, 4).long())

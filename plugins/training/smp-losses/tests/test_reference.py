"""Every loss against plain NumPy, written from the papers: loops over classes and pixels, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import smp_losses

IGNORED = 255
WEIGHTS = [0.5, 2.0, 0.0, 1.0]
MODES = st.sampled_from(["binary", "multiclass", "multilabel"])
SEEDS = st.integers(0, 2**31)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def case(mode, seed, ignore, classes=4, size=(5, 6)):
    """Logits and labels as arrays, about a fifth of the labels ignored if asked for; one class often absent."""
    rng = np.random.default_rng(seed)
    channels = 1 if mode == "binary" else classes
    x = rng.normal(0, 2, (2, channels, *size))
    if mode == "multiclass":
        y = rng.integers(0, classes - rng.integers(0, 2), (2, *size))
    else:
        y = rng.integers(0, 2, x.shape)
        if rng.integers(0, 2):
            y[:, channels - 1] = 0
    if ignore:
        y[rng.random(y.shape) < 0.2] = IGNORED
    return x, y


def per_class(mode, x, y):
    """For each class: the pixels' logits (or softmax) and labels, without the ignored pixels."""
    p = softmax(x) if mode == "multiclass" else sigmoid(x)
    for c in range(x.shape[1]):
        labels = y if mode == "multiclass" else y[:, c]
        valid = labels != IGNORED
        truth = (labels == c) if mode == "multiclass" else (labels == 1)
        yield x[:, c][valid], p[:, c][valid], truth[valid].astype(float)


def mean_of(values, weights, counted):
    pairs = [(v, w) for v, w, k in zip(values, weights, counted, strict=True) if k]
    total = sum(w for _, w in pairs)
    return sum(v * w for v, w in pairs) / total if total else 0.0


def weights_of(mode, weighted, count):
    return WEIGHTS if weighted and mode != "binary" else [1.0] * count


def close(ours, expected):
    assert ours.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def run(loss, x, y):
    return loss(torch.from_numpy(x), torch.from_numpy(y))


REGIONS = {
    "DiceLoss": lambda tp, fp, fn, s: (2 * tp + 2 * s) / (2 * tp + fp + fn + 2 * s),
    "JaccardLoss": lambda tp, fp, fn, s: (tp + s) / (tp + fp + fn + s),
    "TverskyLoss": lambda tp, fp, fn, s: (tp + s) / (tp + 0.3 * fp + 0.9 * fn + s),
}


@pytest.mark.parametrize("name", REGIONS)
@given(MODES, SEEDS, st.booleans(), st.booleans(), st.sampled_from([0.0, 0.7]), st.booleans(), st.booleans())
def test_region_losses(name, mode, seed, ignore, weighted, smooth, log_loss, smp_values):
    x, y = case(mode, seed, ignore)
    values, present = [], []
    for _, p, t in per_class(mode, x, y):
        score = REGIONS[name]((p * t).sum(), (p * (1 - t)).sum(), ((1 - p) * t).sum(), smooth)
        present.append(t.sum() > 0)
        values.append((-np.log(score) if log_loss else 1 - score) if present[-1] else 0.0)
    weights = weights_of(mode, weighted, len(values))
    expected = mean_of(values, weights, [True] * len(values) if smp_values else present)
    more = {"alpha": 0.3, "beta": 0.9, "gamma": 1.5} if name == "TverskyLoss" else {}
    loss = getattr(smp_losses, name)(
        mode,
        log_loss=log_loss,
        smooth=smooth,
        ignore_index=IGNORED if ignore else None,
        class_weights=WEIGHTS if weighted and mode != "binary" else None,
        smp_values=smp_values,
        **more,
    )
    close(run(loss, x, y), expected ** more.get("gamma", 1))


@given(MODES, SEEDS, st.booleans(), st.booleans())
def test_mcc(mode, seed, ignore, weighted):
    x, y = case(mode, seed, ignore)
    values, defined = [], []
    for _, p, t in per_class(mode, x, y):
        tp, fp, fn, tn = ((a * b).sum() + 1e-5 for a, b in ((p, t), (p, 1 - t), (1 - p, t), (1 - p, 1 - t)))
        values.append(1 - (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))
        defined.append(0 < t.sum() < t.size)
    loss = smp_losses.MCCLoss(
        mode=mode,
        from_logits=True,
        ignore_index=IGNORED if ignore else None,
        class_weights=WEIGHTS if weighted and mode != "binary" else None,
    )
    close(run(loss, x, y), mean_of(values, weights_of(mode, weighted, len(values)), defined))


def focal_terms(x, t, alpha, gamma, threshold):
    p = sigmoid(x)
    pt = np.where(t == 1, p, 1 - p)
    factor = (1 - pt) ** gamma
    if threshold is not None:
        factor = np.where(pt < threshold, 1.0, factor / threshold**gamma)
    share = 1.0 if alpha is None else np.where(t == 1, alpha, 1 - alpha)
    return factor, -np.log(pt) * share


@given(
    MODES,
    SEEDS,
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, 0.3]),
    st.sampled_from([0.0, 0.5, 2.0, 3.1]),
    st.sampled_from([None, 0.4]),
    st.booleans(),
    st.sampled_from(["mean", "sum", "batchwise_mean"]),
)
def test_focal(mode, seed, ignore, weighted, alpha, gamma, threshold, normalized, reduction):
    x, y = case(mode, seed, ignore)
    values = []
    for logits, _, t in per_class(mode, x, y):
        factor, entropy = focal_terms(logits, t, alpha, gamma, threshold)
        if normalized:
            factor = factor / factor.sum()
        terms = factor * entropy
        values.append(terms.sum() if reduction == "sum" else terms.mean() * (2 if reduction == "batchwise_mean" else 1))
    loss = smp_losses.FocalLoss(
        mode,
        alpha,
        gamma,
        IGNORED if ignore else None,
        reduction=reduction,
        normalized=normalized,
        reduced_threshold=threshold,
        class_weights=WEIGHTS if weighted and mode != "binary" else None,
    )
    close(run(loss, x, y), mean_of(values, weights_of(mode, weighted, len(values)), [True] * len(values)))


def jaccard_loss(wrong, truth):
    """1 - intersection over union of the labelled set and the prediction that is wrong at the given pixels."""
    predicted = truth ^ wrong
    union = (truth | predicted).sum()
    return 1 - (truth & predicted).sum() / union if union else 0.0


def lovasz_extension(errors, t):
    """By its definition: the errors in falling order, times what each further wrong pixel adds to the Jaccard loss."""
    truth, wrong = t == 1, np.zeros(t.shape, bool)
    value = before = 0.0
    for i in np.argsort(-errors, kind="stable"):
        wrong[i] = True
        after = jaccard_loss(wrong, truth)
        value += max(errors[i], 0) * (after - before)
        before = after
    return value


def lovasz_of_image(mode, x, y, weighted):
    """The value, and whether there is one."""
    parts = list(per_class(mode, x, y))
    present = [bool(t.sum()) for *_, t in parts]
    if mode == "multiclass":
        values = [lovasz_extension(np.abs(t - p), t) for _, p, t in parts]
        weights = weights_of(mode, weighted, len(parts))
        return mean_of(values, weights, present), any(k and w for k, w in zip(present, weights, strict=True))
    if weighted and mode == "multilabel":
        values = [lovasz_extension(1 - logits * (2 * t - 1), t) for logits, _, t in parts]
        return mean_of(values, WEIGHTS, present), any(k and w for k, w in zip(present, WEIGHTS, strict=True))
    logits, t = (np.concatenate([part[k] for part in parts]) for k in (0, 2))
    return lovasz_extension(1 - logits * (2 * t - 1), t), bool(t.sum())


@given(MODES, SEEDS, st.booleans(), st.booleans(), st.booleans(), st.sampled_from([torch.float32, torch.float64]))
def test_lovasz(mode, seed, ignore, weighted, per_image, dtype):
    x, y = case(mode, seed, ignore, size=(3, 4))
    groups = [slice(0, 1), slice(1, 2)] if per_image else [slice(0, 2)]
    results = [lovasz_of_image(mode, x[group], y[group], weighted) for group in groups]
    expected = mean_of([v for v, _ in results], [1.0] * len(results), [k for _, k in results])
    loss = smp_losses.LovaszLoss(
        mode,
        per_image,
        IGNORED if ignore else None,
        class_weights=WEIGHTS if weighted and mode != "binary" else None,
    )
    ours = loss(torch.from_numpy(x).to(dtype), torch.from_numpy(y))
    assert ours.item() == pytest.approx(expected, rel=1e-9 if dtype == torch.float64 else 1e-5, abs=1e-12)


@given(SEEDS, st.booleans(), st.sampled_from([None, 0.1]), st.booleans(), st.sampled_from(["mean", "sum", "none"]))
def test_soft_bce(seed, ignore, smooth, weighted, reduction):
    x, y = case("multilabel", seed, ignore)
    valid = y != IGNORED
    t = np.where(valid, y, 0) * 1.0
    if smooth:
        t = t * (1 - smooth) + (1 - t) * smooth
    shares = np.broadcast_to(np.array(WEIGHTS if weighted else [1.0] * 4).reshape(4, 1, 1), x.shape)
    terms = -(t * np.log(sigmoid(x)) + (1 - t) * np.log(sigmoid(-x))) * shares * valid
    loss = smp_losses.SoftBCEWithLogitsLoss(
        ignore_index=IGNORED,
        reduction=reduction,
        smooth_factor=smooth,
        class_weights=WEIGHTS if weighted else None,
    )
    ours = run(loss, x, y)
    expected = {"none": terms, "sum": terms.sum(), "mean": terms.sum() / (shares * valid).sum()}[reduction]
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-9, atol=1e-12)


@given(SEEDS, st.booleans(), st.sampled_from([None, 0.1]), st.booleans(), st.sampled_from(["mean", "sum", "none"]))
def test_soft_cross_entropy(seed, ignore, smooth, weighted, reduction):
    x, y = case("multiclass", seed, ignore)
    s, weights = smooth or 0.0, np.array(WEIGHTS if weighted else [1.0] * 4)
    terms, size = np.zeros(y.shape), 0.0
    for place in np.argwhere(y != IGNORED):
        n, i, j = place
        truth = np.full(4, s / 4)
        truth[y[n, i, j]] += 1 - s
        terms[n, i, j] = -(truth * weights * np.log(softmax(x)[n, :, i, j])).sum()
        size += weights[y[n, i, j]]
    loss = smp_losses.SoftCrossEntropyLoss(reduction, smooth, IGNORED, class_weights=WEIGHTS if weighted else None)
    ours = run(loss, x, y)
    expected = {"none": terms, "sum": terms.sum(), "mean": terms.sum() / (size or 1)}[reduction]
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-9, atol=1e-12)

"""Counts and scores are those of segmentation_models_pytorch 0.6.0, over random cases in every mode and option."""

from __future__ import annotations

import inspect
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import smp_metrics
from smp_metrics.ratios import SCORE_NAMES

pytestmark = pytest.mark.parity

REDUCTIONS = [
    "micro",
    "macro",
    "weighted",
    "micro-imagewise",
    "macro-imagewise",
    "weighted-imagewise",
    "none",
    None,
]


@pytest.fixture(scope="module")
def peer():
    return pytest.importorskip("segmentation_models_pytorch").metrics


@st.composite
def label_cases(draw):
    """Arguments of get_stats."""
    mode = draw(st.sampled_from(["binary", "multilabel", "multiclass"]))
    n, classes = draw(st.integers(1, 4)), 1 if mode == "binary" else draw(st.integers(1, 6))
    size = draw(st.lists(st.integers(0, 6), min_size=1, max_size=3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    dtype = draw(st.sampled_from([torch.int64, torch.int32, torch.uint8, torch.int16]))
    if mode == "multiclass":
        output, target = (torch.randint(0, classes, (n, *size), generator=generator).to(dtype) for _ in range(2))
        # With a single class SMP counts ignored pixels.
        ignored = [255, *([-1] if dtype != torch.uint8 else [])] if classes > 1 else []
        ignore_index = draw(st.sampled_from([None, *ignored]))
        target = torch.where(torch.rand(target.shape, generator=generator) < 0.5, target, output)
        if ignore_index is not None:
            target[torch.rand(target.shape, generator=generator) < 0.2] = ignore_index
        return output, target, mode, ignore_index, None, classes
    shape = (n, classes, *size)
    output = torch.rand(shape, generator=generator, dtype=draw(st.sampled_from([torch.float32, torch.float64])))
    # Some values upon the threshold.
    output = (output * 16).round() / 16
    output = output.to(draw(st.sampled_from([output.dtype, torch.float16, torch.bfloat16])))
    target = torch.randint(0, 2, shape, generator=generator).to(draw(st.sampled_from([dtype, torch.bool])))
    threshold = draw(st.none() | st.sampled_from([0.5, 0.3, 0, 1, 0.25, 2.0, -1.5]))
    if threshold is None:
        output = (output > 0.5).to(draw(st.sampled_from([dtype, torch.bool])))
    return output, target, mode, None, threshold, draw(st.sampled_from([None, classes]))


def compare_stats(peer, case):
    theirs = peer.get_stats(*case)
    threshold = case[4]
    # SMP compares the labels with the threshold too.
    forms = [{"smp_values": True}] + ([{}] if threshold is None or 0 < threshold <= 1 else [])
    for form in forms:
        ours = smp_metrics.get_stats(*case, **form)
        for name, a, b in zip(("tp", "fp", "fn", "tn"), ours, theirs, strict=True):
            assert a.dtype == b.dtype, name
            assert a.tolist() == b.tolist(), name


@given(case=label_cases())
def test_stats(peer, case):
    compare_stats(peer, case)


@pytest.mark.slow
@settings(derandomize=True, max_examples=2000)
@given(case=label_cases())
def test_stats_of_many(peer, case):
    compare_stats(peer, case)


@st.composite
def score_cases(draw):
    """A score, counts, and the options of the score; zeros are frequent among the counts."""
    name = draw(st.sampled_from(SCORE_NAMES))
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 5)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    highest = draw(st.sampled_from([1, 3, 1000, 10**7]))
    counts = [torch.randint(0, highest + 1, shape, generator=generator) for _ in range(4)]
    # A share of zeros, and with it 0 / 0.
    zeros = draw(st.sampled_from([0.0, 0.3, 0.8]))
    for count in counts:
        count[torch.rand(shape, generator=generator) < zeros] = 0
    options = {
        "reduction": draw(st.sampled_from(REDUCTIONS)),
        "zero_division": draw(st.sampled_from([1.0, 0.0, 0.25, "warn", float("nan"), 1])),
    }
    weights = st.lists(st.integers(1, 30).map(lambda n: n / 8), min_size=shape[1], max_size=shape[1])
    needed = str(options["reduction"]).startswith("weighted")
    options["class_weights"] = draw(weights if needed else st.none() | weights)
    if name == "fbeta_score":
        options["beta"] = draw(st.sampled_from([0.5, 1.0, 2.0, 0.0]))
    return name, counts, options


def is_corrected(counts, options, expected):
    """Whether a documented correction touches this case."""
    if options["reduction"] == "micro":
        return bool(expected.isnan())
    affected = options["reduction"] in ("weighted-imagewise", "macro-imagewise", "macro")
    return affected and options["class_weights"] is not None and counts[0].shape[1] > 1


def compare_scores(peer, case):
    """In float64, where digits cannot hide anything, and with integers, whose scores are float32."""
    name, counts, options = case
    forms = [([count.double() for count in counts], 1e-6)]
    # SMP subtracts rates from 1 for the ratios of rates, and loses the digits of small ones in float32.
    if not name.endswith("likelihood_ratio"):
        forms.append((counts, 2e-6))
    for values, tolerance in forms:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compare_values(peer, name, values, options, tolerance)


def compare_values(peer, name, counts, options, tolerance):
    theirs, ours = getattr(peer, name), getattr(smp_metrics, name)

    def same(value, expected):
        assert value.dtype == expected.dtype
        torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance, equal_nan=True)

    expected = theirs(*counts, **options)
    same(ours(*counts, **options, smp_values=True), expected)
    if not is_corrected(counts, options, expected):
        same(ours(*counts, **options), expected)
    elif options["reduction"] == "weighted-imagewise":
        # Weighed once: SMP's value before its second division.
        same(ours(*counts, **options), expected * counts[0].shape[1])
    elif options["reduction"] in ("macro", "macro-imagewise"):
        same(ours(*counts, **options), theirs(*counts, **{**options, "class_weights": None}))
    else:
        same(
            ours(*counts, **options),
            theirs(*(count.sum().view(1, 1) for count in counts), **{**options, "reduction": "none"})[0, 0],
        )


@given(case=score_cases())
def test_scores(peer, case):
    compare_scores(peer, case)


@pytest.mark.slow
@settings(derandomize=True, max_examples=4000)
@given(case=score_cases())
def test_scores_of_many(peer, case):
    compare_scores(peer, case)


@pytest.mark.parametrize("name", SCORE_NAMES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_each_score_with_each_reduction(peer, name, reduction):
    generator = torch.Generator().manual_seed(0)
    counts = [torch.randint(0, 4, (5, 3), generator=generator) for _ in range(4)]
    for zero_division in (1.0, 0.0):
        options = {"reduction": reduction, "zero_division": zero_division, "class_weights": None}
        if str(reduction).startswith("weighted"):
            options["class_weights"] = [1.0, 2.0, 5.0]
        compare_scores(peer, (name, counts, options))


def test_likelihood_ratios_keep_digits_that_the_peer_loses(peer):
    counts = [torch.tensor([[count]]) for count in (5_000_000, 1, 5_000_000, 9_000_000)]
    exact = 0.5 / (1 / 9_000_001)
    assert smp_metrics.positive_likelihood_ratio(*counts).item() == pytest.approx(exact, rel=1e-6)
    assert peer.positive_likelihood_ratio(*counts).item() != pytest.approx(exact, rel=1e-2)
    counts = [count.double() for count in counts]
    assert peer.positive_likelihood_ratio(*counts).item() == pytest.approx(exact, rel=1e-6)


def test_all_is_there(peer):
    theirs = {name for name in dir(peer) if inspect.isfunction(getattr(peer, name))}
    assert theirs == {*SCORE_NAMES, "get_stats"}
    assert theirs <= set(smp_metrics.__all__)


@pytest.mark.parametrize("name", [*SCORE_NAMES, "get_stats"])
def test_arguments_and_defaults(peer, name):
    theirs = inspect.signature(getattr(peer, name)).parameters
    ours = inspect.signature(getattr(smp_metrics, name)).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    for key, parameter in theirs.items():
        assert (ours[key].default, ours[key].kind) == (parameter.default, parameter.kind), key
    assert all(item.kind == item.KEYWORD_ONLY for item in list(ours.values())[len(theirs) :])


def test_binary_masks_without_channel_have_the_same_sums(peer):
    output, target = torch.rand(3, 4, 5), torch.randint(0, 2, (3, 4, 5))
    theirs = peer.get_stats(output, target, "binary", threshold=0.5)
    ours = smp_metrics.get_stats(output, target, "binary", threshold=0.5)
    assert theirs[0].shape == (3, 4)
    assert ours[0].shape == (3, 1)
    for a, b in zip(ours[:3], theirs[:3], strict=True):
        assert a[:, 0].tolist() == b.sum(1).tolist()

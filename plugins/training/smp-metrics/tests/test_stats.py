"""Counts of get_stats against plain numpy, with ignored labels in every mode, and what must not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smp_metrics import counting, get_stats


def reference(positive, labelled, valid):
    """tp, fp, fn and tn of maps (N, C, P) of bools."""
    pairs = ((positive, labelled), (positive, ~labelled), (~positive, labelled), (~positive, ~labelled))
    return [(a & b & valid).sum(-1) for a, b in pairs]


def same(stats, expected):
    for name, a, b in zip(("tp", "fp", "fn", "tn"), stats, expected, strict=True):
        assert a.dtype == torch.int64, name
        assert np.array_equal(a.numpy(), b), name


sizes = st.lists(st.integers(0, 5), min_size=0, max_size=3)
seeds = st.integers(0, 2**31)


@given(n=st.integers(0, 4), classes=st.integers(1, 6), size=sizes, seed=seeds, ignore=st.sampled_from([None, -1, 255]))
def test_class_indices(n, classes, size, seed, ignore):
    rng = np.random.default_rng(seed)
    output, target = (rng.integers(0, classes, (n, *size)) for _ in range(2))
    if ignore is not None:
        ignored = rng.random(target.shape) < 0.3
        target[ignored] = ignore
        # What is predicted there may be anything.
        output[ignored & (rng.random(target.shape) < 0.5)] = 77
    stats = get_stats(*map(torch.from_numpy, (output, target)), "multiclass", ignore_index=ignore, num_classes=classes)
    pixels = int(np.prod(size))
    output, target = output.reshape(n, 1, pixels), target.reshape(n, 1, pixels)
    each = np.arange(classes).reshape(1, -1, 1)
    same(stats, reference(output == each, target == each, target != (-99 if ignore is None else ignore)))


@given(
    n=st.integers(0, 4),
    classes=st.integers(0, 5),
    size=sizes,
    seed=seeds,
    ignore=st.sampled_from([None, -1, 255]),
    form=st.sampled_from(["one", "each", "tensor", "none"]),
)
def test_maps(n, classes, size, seed, ignore, form):
    rng = np.random.default_rng(seed)
    shape, pixels = (n, classes, *size), int(np.prod(size))
    output, target = rng.random(shape), rng.integers(0, 2, shape)
    limits = rng.random(classes)
    if form in ("one", "none"):
        limits[:] = 0.5
    threshold = {"one": 0.5, "each": limits.tolist(), "tensor": torch.from_numpy(limits), "none": None}[form]
    positive = output >= limits.reshape(1, -1, *[1] * len(size))
    if ignore is not None:
        target[rng.random(shape) < 0.3] = ignore
    given_output = torch.from_numpy(positive if form == "none" else output)
    stats = get_stats(given_output, torch.from_numpy(target), "multilabel", ignore_index=ignore, threshold=threshold)
    valid = (target != (-99 if ignore is None else ignore)).reshape(n, classes, pixels)
    expected = reference(positive.reshape(n, classes, pixels), (target == 1).reshape(n, classes, pixels), valid)
    same(stats, expected)
    if classes == 1:
        binary = get_stats(given_output, torch.from_numpy(target), "binary", ignore_index=ignore, threshold=threshold)
        same(binary, expected)


@given(n=st.integers(1, 3), classes=st.integers(1, 5), seed=seeds, ignore=st.booleans())
def test_many_classes_are_counted_without_bins_for_pairs(n, classes, seed, ignore):
    generator = torch.Generator().manual_seed(seed)
    output, target = (torch.randint(0, classes, (n, 30), generator=generator) for _ in range(2))
    if ignore:
        target[:, ::3] = 255
        output[:, ::6] = 99
    rows = counting.rows_of(output, target, classes, 255, "test")
    pairs = counting.count_pairs(rows)
    for a, b in zip(
        counting._count_each(rows), (pairs.diagonal(dim1=1, dim2=2), pairs.sum(1), pairs.sum(2)), strict=True
    ):
        assert torch.equal(a, b)


def test_number_of_bins():
    # 3 x 4000 x 4000 bins would take 384 MB.
    output = torch.arange(12000).view(3, 4000) % 4000
    target = output.clone()
    target[0, 5] = 7
    target[1, 0] = 9999
    tp, fp, fn, tn = get_stats(output, target, "multiclass", ignore_index=9999, num_classes=4000)
    assert [count.sum().item() for count in (tp, fp, fn)] == [11998, 1, 1]
    assert (tp + fp + fn + tn)[:, 0].tolist() == [4000, 3999, 4000]
    assert fp[0].nonzero().tolist() == [[5]]
    assert fn[0].nonzero().tolist() == [[7]]


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32]
)
def test_dtypes_and_inputs_that_stay_as_they_are(dtype):
    output, target = torch.tensor([[0, 1, 2, 2]]).to(dtype), torch.tensor([[0, 2, 2, 100]]).to(dtype)
    before = output.clone(), target.clone()
    tp, fp, fn, _ = get_stats(output, target, "multiclass", ignore_index=100, num_classes=3)
    assert [count.tolist() for count in (tp, fp, fn)] == [[[1, 0, 1]], [[0, 1, 0]], [[0, 0, 1]]]
    assert torch.equal(output, before[0])
    assert torch.equal(target, before[1])


def test_memory_layouts():
    generator = torch.Generator().manual_seed(0)
    output, target = (torch.randint(0, 3, (2, 6, 7), generator=generator) for _ in range(2))
    expected = get_stats(output, target, "multiclass", num_classes=3)
    turned = target.transpose(1, 2).contiguous().transpose(1, 2)
    for a, b in zip(get_stats(output, turned, "multiclass", num_classes=3), expected, strict=True):
        assert torch.equal(a, b)
    maps = torch.rand(2, 3, 6, 7, generator=generator), torch.randint(0, 2, (2, 3, 6, 7), generator=generator)
    expected = get_stats(*maps, "multilabel", threshold=0.5)
    last = [item.to(memory_format=torch.channels_last) for item in maps]
    for a, b in zip(get_stats(*last, "multilabel", threshold=0.5), expected, strict=True):
        assert torch.equal(a, b)


def test_large_labels():
    target = torch.tensor([[0, 2**40]])
    tp, *_ = get_stats(torch.tensor([[0, 1]]), target, "multiclass", ignore_index=2**40, num_classes=2)
    assert tp.tolist() == [[1, 0]]
    # 2 ** 32 would be 0 in int32.
    with pytest.raises(ValueError, match="got values from 0 to 4294967296"):
        get_stats(torch.tensor([[0, 1]]), torch.tensor([[0, 2**32]]), "multiclass", ignore_index=255, num_classes=2)


def test_threshold_of_logits_leaves_labels_alone():
    # SMP compares the labels with the threshold too: with 0 all are positive.
    logits, target = torch.tensor([[[-1.0, 1.0, 2.0]]]), torch.tensor([[[0, 0, 1]]])
    assert [count.item() for count in get_stats(logits, target, "binary", threshold=0)] == [1, 1, 0, 1]
    theirs = get_stats(logits, target, "binary", threshold=0, smp_values=True)
    assert [count.item() for count in theirs] == [2, 0, 1, 0]


def test_binary_masks_without_channel_are_one_map():
    output, target = torch.rand(2, 4, 5), torch.randint(0, 2, (2, 4, 5))
    flat = get_stats(output, target, "binary", threshold=0.5)
    channel = get_stats(output.unsqueeze(1), target.unsqueeze(1), "binary", threshold=0.5)
    for a, b in zip(flat, channel, strict=True):
        assert a.shape == (2, 1)
        assert torch.equal(a, b)


def test_threshold_of_integers_and_of_bools():
    output, target = torch.tensor([[[0, 100, 200]]], dtype=torch.uint8), torch.tensor([[[0, 0, 1]]])
    for threshold in (128, 128.5, [128.0]):
        assert [count.item() for count in get_stats(output, target, "binary", threshold=threshold)] == [1, 0, 0, 2]
    assert [count.item() for count in get_stats(output > 99, target == 1, "binary", threshold=0.5)] == [1, 1, 0, 1]

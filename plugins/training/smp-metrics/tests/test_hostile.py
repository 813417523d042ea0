"""Counts that are none, tensors that hold no values, and several threads at once."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from smp_metrics import ConfusionMatrix, get_stats, iou_score

_LABELS = torch.zeros(1, 4, 4, dtype=torch.long)
_ODD: dict[str, Callable[[], Tensor]] = {
    "torch.sparse_coo": _LABELS.to_sparse,
    "torch.quint8": lambda: torch.quantize_per_tensor(torch.zeros(1, 4, 4), 1.0, 0, torch.quint8),
}


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("kind", _ODD)
def test_tensors_without_values(kind: str) -> None:
    for name, given in (("output", (_ODD[kind](), _LABELS)), ("target", (_LABELS, _ODD[kind]()))):
        message = f"{name} must be a dense tensor in a dtype to compute with; it is {kind}"
        for call in (
            lambda given=given: get_stats(*given, "multiclass", num_classes=2),
            lambda given=given: ConfusionMatrix(2).update(*given),
        ):
            with pytest.raises(TypeError, match=re.escape(message)):
                call()


def test_tensors_on_the_meta_device() -> None:
    given = _LABELS.to("meta")
    message = "output and target must have values to count; they are on the meta device"
    for call in (
        lambda: get_stats(given, given, "multiclass", num_classes=2),
        lambda: ConfusionMatrix(2).update(given, given),
    ):
        with pytest.raises(TypeError, match=message):
            call()


@pytest.mark.parametrize("value", [float("nan"), -1.0])
def test_counts_that_are_none(value: float) -> None:
    counts = [torch.ones(1, 2) for _ in range(4)]
    for position, name in enumerate(("tp", "fp", "fn", "tn")):
        wrong = [item.clone() for item in counts]
        wrong[position][0, 1] = value
        with pytest.raises(ValueError, match=rf"^iou_score: {name} must hold counts, got {value}$"):
            iou_score(*wrong)
    with pytest.raises(ValueError, match=r"^iou_score: tp must hold counts, got -2$"):
        iou_score(*[torch.full((1, 2), -2) for _ in range(4)])
    assert iou_score(*[torch.zeros(1, 0) for _ in range(4)]).shape == (1, 0)


def test_scores_are_mapped() -> None:
    """By `torch.func.vmap`, which has no values to look at."""
    counts = [torch.randint(1, 9, (3, 2, 4), generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    mapped = torch.func.vmap(lambda *item: iou_score(*item, reduction="micro"))(*counts)
    expected = [iou_score(*(count[i] for count in counts), reduction="micro") for i in range(3)]
    torch.testing.assert_close(mapped, torch.stack(expected))


@pytest.mark.parametrize("number", [10**8, 10**30])
def test_more_classes_than_anybody_has(number: int) -> None:
    with pytest.raises(ValueError, match=rf"^get_stats .*: num_classes must be at most 16777216, got {number}$"):
        get_stats(_LABELS, _LABELS, "multiclass", num_classes=number)


def test_several_threads_count_and_merge() -> None:
    total, part = ConfusionMatrix(2), ConfusionMatrix(2)
    part.update(_LABELS, _LABELS)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:

        def count() -> None:
            for _ in range(100):
                total.merge(part)
                total.update(_LABELS, _LABELS)

        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert int(total.counts.sum()) == 8 * 100 * 2 * 16

"""One of two processes that count a half each and then share their sums; started by test_processes.py.

python two_processes.py RANK FILE: meets the other at FILE, prints what it has in the end as JSON.
"""

from __future__ import annotations

import json
import sys

import torch
from torch import distributed as dist

from smp_metrics import ConfusionMatrix


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    prediction, target = (torch.randint(0, 3, (5, 8, 8), generator=generator) for _ in range(2))
    target[0, 0] = 255
    return prediction, target


def main(rank: int, meeting: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    prediction, target = data()
    # Halves of different sizes.
    part = slice(0, 2) if rank == 0 else slice(2, 5)
    matrix = ConfusionMatrix(3, ignore_index=255)
    matrix.update(prediction[part], target[part])
    result: dict[str, object] = {"own": matrix.counts.tolist(), "all": matrix.all_reduce().counts.tolist()}
    # Twice, as after each epoch: nothing may be counted double.
    result["again"] = matrix.all_reduce().counts.tolist()
    result["kept"] = matrix.counts.tolist()
    if "streaming" in sys.argv:
        from smp_metrics.streaming import IoUScore

        for reduction in ("macro", "macro-imagewise", "none"):
            metric = IoUScore("multiclass", 3, reduction=reduction, ignore_index=255)
            metric.update(prediction[part], target[part])
            result[reduction] = metric.compute().tolist()
    dist.destroy_process_group()
    print(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

"""Two processes of torch.distributed, each with a part of the images, end with the scores of all of them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from smp_metrics import ConfusionMatrix, get_stats, iou_score

PROGRAM = Path(__file__).with_name("two_processes.py")
STREAMING = importlib.util.find_spec("torchmetrics") is not None


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    meeting = tmp_path_factory.mktemp("processes") / "meeting"
    # By the loopback interface alone; on other systems than Linux the name is another, and gloo finds its own.
    network = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **network}
    more = ["streaming"] if STREAMING else []
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", str(PROGRAM), str(rank), str(meeting), *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for rank in (0, 1)
    ]
    try:
        outputs = [process.communicate(timeout=150) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], outputs
    return [json.loads(out.splitlines()[-1]) for out, _ in outputs]


@pytest.fixture(scope="module")
def data():
    spec = importlib.util.spec_from_file_location("two_processes", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.data()


def test_confusion_matrix(results, data):
    matrix = ConfusionMatrix(3, ignore_index=255)
    matrix.update(*data)
    for result in results:
        assert result["all"] == result["again"] == matrix.counts.tolist()
        assert result["kept"] == result["own"]
    assert (torch.tensor(results[0]["own"]) + torch.tensor(results[1]["own"])).tolist() == matrix.counts.tolist()


@pytest.mark.skipif(not STREAMING, reason="torchmetrics is not installed")
def test_streaming(results, data):
    counts = get_stats(*data, "multiclass", ignore_index=255, num_classes=3)
    classes = iou_score(*(count.sum(0, keepdim=True) for count in counts))[0].tolist()
    for result in results:
        assert result["none"] == pytest.approx(classes)
        for reduction in ("macro", "macro-imagewise"):
            assert result[reduction] == pytest.approx(iou_score(*counts, reduction).item()), reduction

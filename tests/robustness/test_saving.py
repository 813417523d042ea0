"""Killed at any moment, with several that save and read at once, with no room left: the old model or the new one."""

from __future__ import annotations

import inspect
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import smp_core


def build(classes: int) -> smp_core.SegmentationModel:
    torch.manual_seed(classes)
    options = {"encoder_depth": 3, "decoder_channels": (8, 8, 8), "classes": classes}
    return smp_core.create("unet", "mobilenet_v2", encoder_weights=None, **options)


_MODEL = f"from __future__ import annotations\nimport torch, smp_core\n{inspect.getsource(build)}"
_SAVE = """
import sys
models = {number: build(number) for number in map(int, sys.argv[2:])}
print("ready", flush=True)
while True:
    for classes, model in models.items():
        model.save_pretrained(sys.argv[1], max_shard_size=200_000 if classes == 3 else None)
        print(classes, flush=True)
"""
_FILES = {"README.md", "config.json", "model.safetensors", "model.safetensors.index.json"}


@pytest.fixture(scope="module")
def states() -> dict[int, dict[str, torch.Tensor]]:
    return {classes: build(classes).state_dict() for classes in (2, 3, 4, 5)}


@contextmanager
def saving(folder: Path, *classes: int) -> Iterator[subprocess.Popen[str]]:
    """A process that saves models in turn, until it is killed."""
    command = [sys.executable, "-c", _MODEL + _SAVE, str(folder), *map(str, classes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def check_whole(folder: Path, states: dict[int, dict[str, torch.Tensor]]) -> int:
    """The number of classes of the model that is there, whose tensors are that model's."""
    model = smp_core.from_pretrained(folder)
    assert model.blueprint is not None
    expected = states[model.blueprint.classes]
    assert all(torch.equal(tensor, expected[key]) for key, tensor in model.state_dict().items())
    return model.blueprint.classes


def kill(folder: Path, states: dict[int, dict[str, torch.Tensor]], seed: int, count: int) -> Counter[int]:
    draw, found = random.Random(seed), Counter[int]()
    for _ in range(count):
        with saving(folder, 2, 3) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "2\n"
            time.sleep(draw.random() * 0.4)
        found[check_whole(folder, states)] += 1
    build(4).save_pretrained(folder)
    assert {path.name for path in folder.iterdir()} < _FILES
    assert check_whole(folder, states) == 4
    return found


def test_kills(tmp_path: Path, states: dict[int, dict[str, torch.Tensor]]) -> None:
    kill(tmp_path, states, seed=0, count=2)


@pytest.mark.robustness
@pytest.mark.parametrize("seed", range(1, 11))
def test_many_kills(tmp_path: Path, states: dict[int, dict[str, torch.Tensor]], seed: int) -> None:
    print(kill(tmp_path, states, seed, count=20))


@pytest.mark.robustness
def test_savers_and_readers(tmp_path: Path, states: dict[int, dict[str, torch.Tensor]]) -> None:
    """Two that save one file or shards in turn, and 300 readings meanwhile."""
    found = Counter[int]()
    with saving(tmp_path, 2, 3) as first, saving(tmp_path, 4, 5) as second:
        for process in (first, second):
            assert process.stdout is not None
            process.stdout.readline()
        for _ in range(300):
            found[check_whole(tmp_path, states)] += 1
        assert [process.poll() for process in (first, second)] == [None, None]
    print(found)
    assert len(found) > 1
    check_whole(tmp_path, states)


@pytest.mark.robustness
def test_no_room(tmp_path: Path, states: dict[int, dict[str, torch.Tensor]]) -> None:
    """Wherever in its files a save runs out of room, the old model stays."""
    pytest.importorskip("resource", reason="limits of file sizes are POSIX")
    build(2).save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    script = f"""{_MODEL}
import resource, sys
model = build(5)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    model.save_pretrained(sys.argv[1])
except smp_core.errors.CheckpointError as error:
    print(error)
"""
    sizes = [0, 1, 500, *range(1000, len(before["model.safetensors"]), 60_000)]
    for size in sizes:
        command = [sys.executable, "-c", script, str(tmp_path), str(size)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout.startswith(f"could not save the model in {str(tmp_path)!r}, which is as it was: "), done
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
        assert os.listdir(tmp_path).count("config.json") == 1
    assert check_whole(tmp_path, states) == 2

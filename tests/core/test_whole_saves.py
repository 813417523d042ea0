"""A save is whole or did not happen: killed, failing, beside others, over links; and what no two saves may become."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_models import assert_same, randomise

import smp_core
from smp_core import checkpoint
from smp_core.errors import CheckpointError
from smp_core.sources import tensor_files

FILES = ["README.md", "config.json", "model.safetensors"]


def build(classes: int, seed: int = 0) -> smp_core.SegmentationModel:
    torch.manual_seed(seed)
    model = smp_core.create("toy", "toy_encoder", encoder_weights=None, classes=classes)
    randomise(model, seed)
    return model


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours runs after it."""


def save_killed(model: smp_core.SegmentationModel, folder: Path, monkeypatch: Any, *, moves: int, **how: Any) -> None:
    """Save, and die after so many files were moved into place."""
    with monkeypatch.context() as patch:
        done: list[Path] = []
        replace = Path.replace

        def move(self: Path, target: Path) -> Path:
            if len(done) == moves:
                patch.setattr(shutil, "rmtree", lambda *_, **__: None)
                patch.setattr(Path, "replace", lambda self, _: self)
                patch.setattr(Path, "unlink", lambda *_, **__: None)
                raise Killed
            done.append(target)
            return replace(self, target)

        patch.setattr(Path, "replace", move)
        with pytest.raises(Killed):
            model.save_pretrained(folder, **how)


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("moves", [0, 1, 2])
def test_killed_between_the_moves(tmp_path: Path, monkeypatch, moves: int) -> None:
    old, new, last = build(2), build(5), build(3)
    old.save_pretrained(tmp_path)
    save_killed(new, tmp_path, monkeypatch, moves=moves)
    assert len(files(tmp_path)) > 3
    assert_same(smp_core.from_pretrained(tmp_path), new if moves else old)
    # Whoever saves next finishes that first, also where it fails itself.
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(
            CheckpointError, match=r"^could not save the model in .*\[Errno 28\] No space left on device$"
        ):
            last.save_pretrained(tmp_path)
    assert files(tmp_path) == FILES
    assert_same(smp_core.from_pretrained(tmp_path), new if moves else old)
    last.save_pretrained(tmp_path)
    assert files(tmp_path) == FILES
    assert_same(smp_core.from_pretrained(tmp_path), last)


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(
    ("before", "after", "moves"),
    [
        (before, after, moves)
        for before, after, most in ((None, 4000, 6), (4000, None, 3), (4000, 6000, 4))
        for moves in range(most)
    ],
)
def test_killed_between_the_moves_of_shards(tmp_path: Path, monkeypatch, before: Any, after: Any, moves: int) -> None:
    old, new = build(2), build(5)
    old.save_pretrained(tmp_path, max_shard_size=before)
    save_killed(new, tmp_path, monkeypatch, moves=moves, max_shard_size=after)
    assert_same(smp_core.from_pretrained(tmp_path), new if moves else old)
    new.save_pretrained(tmp_path)
    assert files(tmp_path) == FILES


_SAVER = """
import sys, torch, smp_core
model = smp_core.create("unet", "mobilenet_v2", encoder_weights=None, encoder_depth=3, decoder_channels=(8, 8, 8))
print("ready", flush=True)
while True:
    model.save_pretrained(sys.argv[1])
"""


def test_a_process_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _SAVER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        while not (tmp_path / "model.safetensors").exists():
            time.sleep(0.01)
        time.sleep(0.2)
        process.kill()
    model = smp_core.from_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    assert files(tmp_path) == FILES


@pytest.mark.usefixtures("toys")
def test_savers_and_readers_at_once(tmp_path: Path) -> None:
    models = {classes: build(classes, seed=classes) for classes in (2, 3, 4, 5)}
    models[2].save_pretrained(tmp_path)
    stop, wrong = threading.Event(), []

    def save(*classes: int) -> None:
        while not stop.is_set():
            for item in classes:
                models[item].save_pretrained(tmp_path)

    def read() -> None:
        while not stop.is_set():
            try:
                loaded = smp_core.from_pretrained(tmp_path)
                assert_same(loaded, models[loaded.blueprint.classes])
            except Exception as error:  # noqa: PERF203  # what is tested is that there is none
                wrong.append(error)

    threads = [threading.Thread(target=save, args=pair) for pair in ((2, 3), (4, 5))]
    threads += [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert files(tmp_path) == FILES


@pytest.mark.usefixtures("toys")
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    script = """
import resource, sys, torch, smp_core
model = smp_core.create("unet", "mobilenet_v2", encoder_weights=None)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
for folder in sys.argv[1:]:
    try:
        model.save_pretrained(folder)
    except smp_core.errors.CheckpointError as error:
        print(error)
"""
    pytest.importorskip("resource", reason="limits of file sizes are POSIX")
    old = build(2)
    old.save_pretrained(tmp_path / "old")
    folders = [str(tmp_path / "old"), str(tmp_path / "not" / "there")]
    done = subprocess.run([sys.executable, "-c", script, *folders], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for folder, line in zip(folders, lines, strict=True):
        assert re.match(rf"could not save the model in '{folder}', which is as it was: .*File too large", line)
    assert files(tmp_path) == ["old"]
    assert files(tmp_path / "old") == FILES
    assert_same(smp_core.from_pretrained(tmp_path / "old"), old)


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_the_way(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    message = rf"^could not save the model in .*{name}' is in the way, and no regular file$"
    with pytest.raises(CheckpointError, match=message):
        build(2).save_pretrained(tmp_path)
    assert files(tmp_path) == [name]


@pytest.mark.usefixtures("toys")
def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(CheckpointError, match=r"^could not save the model in "):
            build(2).save_pretrained(folder)


# --- links and modes


@pytest.mark.usefixtures("toys")
def test_links_and_modes_are_kept(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "model", tmp_path / "elsewhere"
    build(2).save_pretrained(folder)
    elsewhere.mkdir()
    (folder / "model.safetensors").rename(elsewhere / "weights.safetensors")
    (folder / "model.safetensors").symlink_to(elsewhere / "weights.safetensors")
    (folder / "config.json").chmod(0o640)
    (elsewhere / "weights.safetensors").chmod(0o444)
    new = build(5)
    new.save_pretrained(folder)
    assert (folder / "model.safetensors").readlink() == elsewhere / "weights.safetensors"
    assert stat.S_IMODE((folder / "config.json").stat().st_mode) == 0o640
    assert stat.S_IMODE((elsewhere / "weights.safetensors").stat().st_mode) == 0o444
    assert (files(folder), files(elsewhere)) == (FILES, ["weights.safetensors"])
    assert_same(smp_core.from_pretrained(folder), new)


@pytest.mark.usefixtures("toys")
def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "gone" / "weights.safetensors")
    with pytest.raises(CheckpointError, match=r"^could not save the model in .*No such file or directory"):
        build(2).save_pretrained(tmp_path)
    assert files(tmp_path) == ["model.safetensors"]


# --- what belongs together


@pytest.mark.usefixtures("toys")
def test_the_same_model_makes_the_same_files(tmp_path: Path) -> None:
    for name in ("first", "second", "third"):
        build(2).save_pretrained(tmp_path / name, max_shard_size=4000 if name == "third" else None)
    for name in FILES:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    identities = {
        json.loads((tmp_path / name / "config.json").read_text())["_smp_core"]["identity"]
        for name in ("first", "second", "third")
    }
    assert len(identities) == 1
    assert re.fullmatch("[0-9a-f]{64}", *identities)


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("shards", [None, 4000])
def test_tensors_of_another_save(tmp_path: Path, shards: int | None) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    build(2, seed=1).save_pretrained(one, max_shard_size=shards)
    build(2, seed=2).save_pretrained(other, max_shard_size=shards)
    name = min(path.name for path in other.glob("*.safetensors"))
    shutil.copy(other / name, one / name)
    with pytest.raises(CheckpointError, match=r"^config\.json and model\.safetensors in ") as caught:
        smp_core.from_pretrained(one)
    assert str(caught.value) == (
        f"config.json and model.safetensors in {str(one)!r} are of two different saves: saving was interrupted, or one "
        "of the files was exchanged; save the model again. If you know that they belong together, delete 'identity' "
        "from '_smp_core' in config.json"
    )
    config = json.loads((one / "config.json").read_text())
    del config["_smp_core"]["identity"]
    (one / "config.json").write_text(json.dumps(config))
    assert smp_core.from_pretrained(one).blueprint.classes == 2


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("mmap", [True, False])
def test_what_is_read_does_not_change_with_the_file(tmp_path: Path, monkeypatch, mmap: bool) -> None:
    """A file replaced after its config was read, and, without a map, one that is cut in place while the model lives."""
    old, new = build(2), build(5)
    old.save_pretrained(tmp_path)
    fill = checkpoint.fill

    def replaced(*arguments: Any) -> Any:
        new.save_pretrained(tmp_path)
        return fill(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "fill", replaced)
        assert_same(smp_core.from_pretrained(tmp_path, mmap=mmap), old)
    if not mmap:
        loaded = smp_core.from_pretrained(tmp_path, mmap=False)
        os.truncate(tmp_path / "model.safetensors", 0)
        assert_same(loaded, new)


@pytest.mark.usefixtures("toys")
def test_parameters_without_values(tmp_path: Path) -> None:
    model = build(2).to("meta")
    with pytest.raises(
        CheckpointError, match=r"^parameter '[\w.]+' \(torch.strided, torch.float32, on meta\) cannot be "
    ):
        model.save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("moves", [1, 2])
def test_the_card_of_a_saver_that_died_is_moved_too(tmp_path: Path, monkeypatch, moves: int) -> None:
    build(2).save_pretrained(tmp_path, dataset="old data")
    save_killed(build(5), tmp_path, monkeypatch, moves=moves, dataset="new data")
    assert "old data" in (tmp_path / "README.md").read_text()
    with monkeypatch.context() as patch:  # of the next one only its beginning
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(CheckpointError, match="No space left"):
            build(3).save_pretrained(tmp_path)
    assert "new data" in (tmp_path / "README.md").read_text()
    assert files(tmp_path) == FILES
    assert_same(smp_core.from_pretrained(tmp_path), build(5))


# --- what could not be loaded


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.complex64])
def test_parameters_that_are_no_floating_point_numbers(tmp_path: Path, dtype: torch.dtype) -> None:
    model = build(2)
    weight = model.segmentation_head[0].weight
    model.segmentation_head[0].weight = torch.nn.Parameter(weight.data.to(dtype), requires_grad=False)
    message = rf"segmentation_head\.0\.weight is {dtype}, torch\.float32 was built"
    with pytest.raises(CheckpointError, match=message):
        model.save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- readers


@pytest.mark.usefixtures("toys")
def test_a_file_that_is_replaced_while_it_is_opened(tmp_path: Path, monkeypatch) -> None:
    """safetensors opens it twice: what it says could be of one save, its data of another."""
    build(2).save_pretrained(tmp_path)
    opens, replaced = tensor_files._open, []

    def replaces(path: Path, mmap: bool) -> Any:
        opened = opens(path, mmap)
        if not replaced:
            replaced.append(path)
            build(2, seed=1).save_pretrained(tmp_path)
        return opened

    monkeypatch.setattr(tensor_files, "_open", replaces)
    assert_same(smp_core.from_pretrained(tmp_path), build(2, seed=1))
    monkeypatch.setattr(tensor_files, "_which", lambda _: (len(replaced), replaced.append(tmp_path)))
    message = r"model\.safetensors' was replaced while it was opened; try again when nobody saves$"
    with pytest.raises(CheckpointError, match=message):
        smp_core.from_pretrained(tmp_path)


@pytest.mark.usefixtures("toys")
def test_what_is_being_written_has_no_name_yet(tmp_path: Path, monkeypatch) -> None:
    """Not even beside its place: its header says which save it is of before its data are there."""
    seen: list[list[str]] = []
    fsync = os.fsync

    def looks(handle: int) -> None:
        seen.append([path.name for path in tmp_path.rglob("model.safetensors")])
        fsync(handle)

    monkeypatch.setattr(os, "fsync", looks)
    build(2).save_pretrained(tmp_path)
    assert seen[:2] == [[], []]  # of the config, and of the tensors
    assert seen[2] == ["model.safetensors"]

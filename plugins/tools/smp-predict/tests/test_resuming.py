"""A run that is cut goes on, and gives the same file to the byte; nothing half-made has the name of the target."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from smp_predict import Options, SinkError, predict, predict_many

OPTIONS = {"tile": 32, "overlap": 0.5, "batch_size": 2}


class CutError(Exception):
    pass


class Counted(torch.nn.Module):
    """Counts its calls, and breaks at one of them."""

    def __init__(self, breaks_at=None):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(3, 4, 3, padding=1)
        self._seen, self._breaks_at = [], breaks_at  # attributes that are public numbers are part of a model

    @property
    def calls(self):
        return len(self._seen)

    def forward(self, x):
        if self.calls == self._breaks_at:
            raise CutError
        self._seen.append(len(x))
        return self.layer(x)


@pytest.fixture
def source(tmp_path, image):
    path = tmp_path / "image.npy"
    np.save(path, image)
    return path


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    """Several swaths and many checkpoints, as a large image has."""
    monkeypatch.setattr("smp_predict.job.Job.swath_width", property(lambda _: 160))
    monkeypatch.setattr("smp_predict.job._BATCHES", 4)


@pytest.mark.parametrize(("suffix", "output"), [(".npy", "scores"), (".tif", "labels"), (".png", "labels")])
def test_cut_at_random_moments(tmp_path, source, suffix, output):
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    model = Counted()
    predict(model, source, whole, output=output, **OPTIONS)
    moments = random.Random(0).sample(range(1, model.calls), 2)
    for moment in moments:
        cut.unlink(missing_ok=True)
        with pytest.raises(CutError):
            predict(Counted(breaks_at=moment), source, cut, output=output, **OPTIONS)
        assert not cut.exists()
        again = Counted()
        predict(again, source, cut, output=output, **OPTIONS)
        assert cut.read_bytes() == whole.read_bytes()
        assert again.calls <= model.calls - moment + 2 + 4 * 4  # it did not begin anew
        assert not list(tmp_path.glob(".*"))


def test_cut_twice(tmp_path, source):
    whole, cut = tmp_path / "whole.npy", tmp_path / "cut.npy"
    model = Counted()
    predict(model, source, whole, **OPTIONS)
    third = model.calls // 3
    for _ in range(2):
        with pytest.raises(CutError):
            predict(Counted(breaks_at=third), source, cut, **OPTIONS)
    last = Counted()
    predict(last, source, cut, **OPTIONS)
    assert last.calls < 0.6 * model.calls
    assert cut.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("changed", ["options", "context", "model", "image", "resume"])
def test_what_changed_starts_over(tmp_path, source, image, changed):
    target = tmp_path / "labels.npy"
    whole = Counted()
    with pytest.raises(CutError):
        predict(Counted(breaks_at=60), source, target, **OPTIONS)
    options = dict(OPTIONS)
    if changed == "options":
        options["blend"] = "cosine"
    if changed == "context":
        options["context"] = 8
    if changed == "model":
        with torch.no_grad():
            whole.layer.bias += 1
    if changed == "image":
        np.save(source, image[::-1])
    predict(whole, source, target, resume=changed != "resume", **options)
    fresh = Counted()
    fresh.load_state_dict(whole.state_dict())
    expected = predict(fresh, np.load(source), **options)
    np.testing.assert_array_equal(np.load(target), expected)
    assert whole.calls == fresh.calls


def test_a_damaged_journal_starts_over(tmp_path, source):
    target = tmp_path / "labels.npy"
    with pytest.raises(CutError):
        predict(Counted(breaks_at=60), source, target, **OPTIONS)
    (folder,) = tmp_path.glob(".labels.npy.*")
    (folder / "journal.json").write_text("{")
    predict(Counted(), source, target, **OPTIONS)
    np.testing.assert_array_equal(np.load(target), predict(Counted(), source, **OPTIONS))


_PROGRAM = """
import sys, time, torch, smp_predict, smp_predict.job
smp_predict.job._BATCHES = 4
torch.manual_seed(0)
torch.set_num_threads(1)
layer = torch.nn.Conv2d(3, 4, 3, padding=1)
def report(progress):
    print(progress.done, flush=True)
    time.sleep(0.005)
smp_predict.predict(layer, sys.argv[1], sys.argv[2], tile=32, overlap=0.5, batch_size=2, progress=report)
"""


def _killed(source, target, after, delay):
    """Kill a run so many seconds after it has done so many batches; whether it was still running."""
    with subprocess.Popen([sys.executable, "-c", _PROGRAM, source, target], stdout=subprocess.PIPE) as process:
        for number, _ in enumerate(process.stdout):
            if number == after:
                time.sleep(delay)
                process.send_signal(signal.SIGKILL)
        return process.wait() != 0


def _run(source, target):
    """A run to its end; how many batches it has done."""
    command = [sys.executable, "-c", _PROGRAM, source, target]
    return len(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines())


def _bytes(path):
    """All files of a result."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(file.relative_to(path)): file.read_bytes() for file in files if file.is_file()}


def _stored(folder, image, kind):
    """The image in a file of a kind, and where its labels go."""
    if kind == "npy":
        np.save(folder / "image.npy", image)
        return folder / "image.npy", ".npy"
    if kind == "geotiff":
        rasterio = pytest.importorskip("rasterio")
        profile = {"driver": "GTiff", "height": 300, "width": 420, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
        place = rasterio.Affine(10, 0, 500_000, 0, -10, 5_300_000)
        with rasterio.open(folder / "image.tif", "w", transform=place, **profile) as file:
            file.write(np.moveaxis(image, 2, 0))
        return folder / "image.tif", ".tif"
    zarr = pytest.importorskip("zarr", minversion="3", reason="zarr 3 needs Python 3.11")
    zarr.create_array(str(folder / "image.zarr"), data=image, chunks=(64, 64, 3))
    return folder / "image.zarr", ".zarr"


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
@pytest.mark.parametrize("kind", ["npy", "geotiff", "zarr"])
@pytest.mark.slow
def test_killed_at_20_random_moments(tmp_path, image, kind):
    """16 while tiles run, 4 while the format is written or the result moved; half of them are killed a second time."""
    source, suffix = _stored(tmp_path, image, kind)
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    batches = _run(source, whole)
    expected = _bytes(whole)
    generator = random.Random(kind)
    fewer = 0
    for moment in range(20):
        ending = moment >= 16
        after = batches - 1 if ending else generator.randrange(5, batches - 20)
        running = _killed(source, cut, after, generator.uniform(0, 0.1 if ending else 0.02))
        if not ending:
            assert running
            assert not cut.exists()
            if moment % 2:
                _killed(source, cut, generator.randrange(5), generator.uniform(0, 0.02))
        if cut.exists():  # killed when it was whole
            assert ending
            assert _bytes(cut) == expected
        fewer += _run(source, cut) < batches
        assert _bytes(cut) == expected
        assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
        shutil.rmtree(cut) if cut.is_dir() else cut.unlink()
    assert fewer >= 12  # it goes on rather than begin anew


def test_a_former_result_stays_until_the_new_one_is_whole(tmp_path, source):
    target = tmp_path / "labels.npy"
    target.write_bytes(b"former")
    with pytest.raises(CutError):
        predict(Counted(breaks_at=60), source, target, **OPTIONS)
    assert target.read_bytes() == b"former"
    predict(Counted(), source, target, **OPTIONS)
    assert np.load(target).shape == (300, 420)


def test_links_give_way_and_what_they_lead_to_stays(tmp_path, source):
    held = source.read_bytes()
    soft, hard = tmp_path / "soft.npy", tmp_path / "hard.npy"
    soft.symlink_to(source)
    os.link(source, hard)
    for target in (soft, hard):
        predict(Counted(), source, target, **OPTIONS)
        assert np.load(target).shape == (300, 420)
        assert source.read_bytes() == held
        assert not target.is_symlink()


def test_no_folder(tmp_path, source):
    with pytest.raises(SinkError, match=r"cannot write '.*gone/a.npy': the folder '.*gone' does not exist"):
        predict(Counted(), source, tmp_path / "gone" / "a.npy")


@pytest.mark.parametrize("changed", ["model", "preprocessing", "array"])
def test_another_function_or_array_starts_over(tmp_path, image, changed):
    """Functions are told apart by what they do, arrays by what they hold: no result is of two of them."""

    def run(value, cut_at=None):
        seen = []

        def count(progress):
            seen.append(progress)
            if len(seen) == cut_at:
                raise CutError

        model = closure(value if changed == "model" else 1.0)
        preprocessing = closure(value if changed == "preprocessing" else 1 / 255)
        pixels = image + np.uint8(value) if changed == "array" else image
        options = {"output": "scores", "preprocessing": preprocessing, **OPTIONS}
        predict(model, pixels, tmp_path / "a.npy", progress=count, **options)
        return np.load(tmp_path / "a.npy")

    def closure(by):
        return lambda x: x * by

    expected = run(2.0)
    (tmp_path / "a.npy").unlink()
    with pytest.raises(CutError):
        run(3.0, cut_at=20)
    np.testing.assert_array_equal(run(2.0), expected)


def test_an_image_is_not_replaced_by_its_result(tmp_path, source):
    before = source.read_bytes()
    (tmp_path / "folder").symlink_to(tmp_path)
    for target in (source, tmp_path / "folder" / source.name):
        with pytest.raises(SinkError, match=rf"^'{target}' is the image itself: give the result another name$"):
            predict(Counted(), source, target, **OPTIONS)
    (outcome,) = predict_many(Counted(), {"image.npy": source}, tmp_path, options=Options(**OPTIONS))
    assert str(outcome.error).endswith("is the image itself: give the result another name")
    assert source.read_bytes() == before


@pytest.mark.parametrize("name", ["a.npy", "a.zarr"])
def test_a_folder_of_other_things_stays(tmp_path, source, name):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "keep").write_text("1")
    message = rf"^'{folder}' is a folder with other things in it: move it, or give the result another name$"
    with pytest.raises(SinkError, match=message):
        predict(Counted(), source, folder, **OPTIONS)
    (outcome,) = predict_many(Counted(), {name: source}, tmp_path, options=Options(**OPTIONS))
    assert "is a folder with other things in it" in str(outcome.error)
    assert (folder / "keep").read_text() == "1"

"""Many images into a folder: names, batches across images, failures, and runs that were cut."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from smp_predict import OptionError, Options, SourceError, predict, predict_many
from smp_predict.naming import names_for

SMALL = Options(tile=32, overlap=0.5, batch_size=4)


class Seen(torch.nn.Module):
    """A small network that notes the sizes of its batches."""

    def __init__(self, breaks_at=None):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.batches, self._breaks_at = [], breaks_at

    def forward(self, x):
        if len(self.batches) == self._breaks_at:
            raise KeyboardInterrupt
        self.batches.append(len(x))
        return self.layer(x)


def pictures(folder, shapes, name="{}.npy"):
    generator = np.random.default_rng(0)
    paths = []
    for number, shape in enumerate(shapes):
        paths.append(folder / name.format(number))
        np.save(paths[-1], generator.integers(0, 256, (*shape, 3), dtype=np.uint8))
    return paths


def test_batches_go_across_images(tmp_path):
    paths = pictures(tmp_path, [(30, 31)] * 7)
    model = Seen()
    found = predict_many(model, paths, tmp_path / "out", suffix=".npy", options=SMALL)
    assert [(item.name, item.error) for item in found] == [(f"{number}.npy", None) for number in range(7)]
    assert model.batches == [1, 4, 3]  # the first one asks what the model gives
    for path in paths:
        expected = predict(model, path, tile=32, overlap=0.5)
        np.testing.assert_array_equal(np.load(tmp_path / "out" / path.name), expected)
    assert sorted(item.name for item in (tmp_path / "out").iterdir()) == [f"{number}.npy" for number in range(7)]


def test_images_of_several_sizes_and_a_large_one(tmp_path):
    paths = pictures(tmp_path, [(30, 31), (70, 40), (200, 210), (32, 32), (5, 90), (64, 64), (30, 31), (9, 9), (40, 1)])
    model = Seen()
    outcomes = predict_many(model, paths, tmp_path / "out", suffix=".tif", options=SMALL)
    assert len(outcomes) == 9
    assert {item.error for item in outcomes} == {None}
    from smp_predict import Window, open_source

    for path in paths:
        source = open_source(tmp_path / "out" / f"{path.stem}.tif")
        found = source.read(Window(0, 0, *source.shape[:2]))[..., 0]
        np.testing.assert_array_equal(found, predict(model, path, tile=32, overlap=0.5, batch_size=4))


def test_one_that_fails_does_not_stop_the_others(tmp_path):
    paths = pictures(tmp_path, [(30, 31)] * 5)
    content = paths[1].read_bytes()
    paths[1].write_bytes(content[:-900])  # damaged: says so when it is opened
    grey = tmp_path / "9.npy"
    np.save(grey, np.zeros((30, 31, 2), np.uint8))
    model = Seen()
    model.in_channels = 3
    found = predict_many(model, [*paths, grey], tmp_path / "out", suffix=".npy", options=SMALL)
    errors = {item.name: item.error for item in found}
    assert [name for name, error in sorted(errors.items()) if error is None] == ["0.npy", "2.npy", "3.npy", "4.npy"]
    assert isinstance(errors["1.npy"], SourceError)
    assert "it ends early" in str(errors["1.npy"])
    assert str(errors["9.npy"]).startswith("the image has 2 channels, the model takes 3;")
    assert sorted(item.name for item in (tmp_path / "out").iterdir() if item.name[0] != ".") == [
        *("0.npy", "2.npy", "3.npy", "4.npy"),
    ]


class Breaking:
    """A source that breaks in its second row of tiles."""

    shape, dtype = (90, 31, 3), np.dtype("uint8")

    def read(self, window):
        if window.row + window.height > 40:
            raise SourceError("the disk is gone")
        return np.zeros((window.height, window.width, 3), np.uint8)


def test_one_that_breaks_in_the_middle(tmp_path):
    whole = np.random.default_rng(1).integers(0, 256, (30, 31, 3), dtype=np.uint8)
    items = {"a.npy": whole, "deep/b.npy": Breaking(), "c.npy": whole}
    model = Seen()
    found = {item.name: item.error for item in predict_many(model, items, tmp_path / "out", options=SMALL)}
    assert str(found.pop("deep/b.npy")) == "the disk is gone"
    assert found == {"a.npy": None, "c.npy": None}
    for name in ("a.npy", "c.npy"):
        expected = predict(model, whole, tile=32, overlap=0.5)
        np.testing.assert_array_equal(np.load(tmp_path / "out" / name), expected)
    assert not list((tmp_path / "out" / "deep").iterdir())


def test_a_result_that_cannot_be_written_concerns_its_image(tmp_path):
    whole = np.zeros((30, 31, 3), np.uint8)
    items = {"a.npy": whole, "b.png": whole, "c.gif": whole}
    options = Options(tile=32, output="scores")
    found = {item.name: str(item.error) for item in predict_many(Seen(), items, tmp_path, options=options)}
    assert found["a.npy"] == "None"
    assert found["b.png"].startswith("a PNG holds one map of uint8 or uint16, got float32 with 4;")
    assert found["c.gif"].startswith(f"no format can write {str(tmp_path / 'c.gif')!r};")


def test_a_cut_run_goes_on(tmp_path):
    paths = pictures(tmp_path, [(30, 31)] * 20)
    out, model = tmp_path / "out", Seen(breaks_at=1 + 2 + 1)
    with pytest.raises(KeyboardInterrupt):
        predict_many(model, paths, out, suffix=".npy", options=SMALL)
    lines = (out / ".smp-predict-done.jsonl").read_text().splitlines()
    assert len([json.loads(line)["name"] for line in lines if line]) == len(list(out.glob("*.npy"))) == 12
    assert [path.name for path in out.glob(".*")] == [".smp-predict-done.jsonl"]
    again = Seen()
    found = predict_many(again, paths, out, suffix=".npy", options=SMALL)
    assert again.batches == [1, 4, 4, 4]  # the first group is finished, the second begins anew
    assert [item.kept for item in found] == [True] * 8 + [False] * 12
    assert len(list(out.iterdir())) == 20
    changed = Seen()
    with torch.no_grad():
        changed.layer.bias += 1
    model._breaks_at = 4 + 3
    with pytest.raises(KeyboardInterrupt):
        predict_many(model, paths, out, suffix=".npy", options=SMALL)
    predict_many(changed, paths, out, suffix=".npy", options=SMALL)
    assert sum(changed.batches[1:]) == 20  # another model's results are not its own


def test_progress(tmp_path):
    paths = pictures(tmp_path, [(30, 31), (200, 210), (30, 31)])
    seen = []
    predict_many(Seen(), paths, tmp_path / "out", suffix=".npy", options=SMALL, progress=seen.append)
    done = [item.done for item in seen]
    assert done == sorted(done)
    assert (seen[-1].done, seen[-1].images, seen[-1].seconds_left) == (3, 3, 0)
    assert seen[-1].megapixels == pytest.approx((2 * 30 * 31 + 200 * 210) / 1e6)
    assert seen[-1].megapixels_per_second > 0


def test_names():
    assert names_for([], ".tif") == {}
    found = {name: path.as_posix() for name, path in names_for(["in/a.png"], "_mask.png").items()}
    assert found == {"a_mask.png": "in/a.png"}
    found = list(names_for(["in/x/a.png", "in/y/a.png", "in/y/a.jpg", "in/b.ome.zarr"], ".tif"))
    assert found == ["x/a.tif", "y/a.png.tif", "y/a.jpg.tif", "b.ome.tif"]
    with pytest.raises(OptionError, match=r"'in/A.png' is given twice, or differs from another file in case alone"):
        names_for(["in/a.png", "in/A.png"], ".tif")


@pytest.mark.parametrize("name", ["../a.npy", "/a.npy"])
def test_results_stay_in_the_folder(tmp_path, name):
    with pytest.raises(OptionError, match="names of results must be relative to the folder and lie in it, got"):
        predict_many(Seen(), {name: np.zeros((9, 9, 3), np.uint8)}, tmp_path)


def test_a_path_alone(tmp_path):
    with pytest.raises(OptionError, match=r"sources must be several paths, or a mapping; got the path 'a.png' alone"):
        predict_many(Seen(), "a.png", tmp_path)


def test_what_the_caller_raises_reaches_the_caller(tmp_path):
    def finished(outcome):
        raise LookupError("the caller's own")

    paths = pictures(tmp_path, [(30, 31)] * 3)
    with pytest.raises(LookupError, match=r"^the caller's own$"):
        predict_many(Seen(), paths, tmp_path / "out", suffix=".npy", options=SMALL, finished=finished)

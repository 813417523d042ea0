"""Two runs to one target: the second one is told, and the first one's result is whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from smp_predict import Options, SinkError, predict, predict_many

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no locks on folders")

MESSAGE = "another run is writing this result: "


def test_a_second_run_is_told(tmp_path, image):
    target = tmp_path / "labels.npy"
    told = []

    def report(progress):
        if len(told) < 3:
            with pytest.raises(SinkError, match=re.escape(MESSAGE)) as found:
                predict(lambda x: x, image, target, tile=64, blend="none")
            told.append(found)

    predict(lambda x: x - 0.5, image, target, tile=64, batch_size=4, progress=report)
    assert len(told) == 3
    np.testing.assert_array_equal(np.load(target), predict(lambda x: x - 0.5, image, tile=64, batch_size=4))
    assert [path.name for path in tmp_path.iterdir()] == ["labels.npy"]
    predict(lambda x: x, image, target, tile=64)  # nobody has it any more


def test_one_that_failed_lets_others_in(tmp_path, image):
    target = tmp_path / "labels.npy"

    def report(progress):
        if progress.done > 8:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        predict(lambda x: x, image, target, tile=64, batch_size=4, progress=report)
    predict(lambda x: x, image, target, tile=64, batch_size=4)
    assert np.load(target).shape == (300, 420)


def test_of_many_only_that_one_fails(tmp_path, image):
    told = []

    def finished(outcome):
        told.append(outcome)
        if len(told) == 1:
            small = Options(tile=64, batch_size=1)
            inner = predict_many(lambda x: x, {"big.npy": image, "c.npy": image[:9, :9]}, tmp_path, options=small)
            assert {item.name: str(item.error)[: len(MESSAGE)] for item in inner} == {
                "big.npy": MESSAGE,
                "c.npy": "None",
            }

    def hold(progress):
        if not told and progress.done > 0:
            finished(progress)

    options = Options(tile=64, batch_size=1)
    predict_many(lambda x: x - 0.5, {"big.npy": image}, tmp_path, options=options, progress=hold)
    np.testing.assert_array_equal(np.load(tmp_path / "big.npy"), predict(lambda x: x - 0.5, image, tile=64))


_PROGRAM = """
import sys, time, numpy as np
from smp_predict import predict
def report(progress):
    print("begun", flush=True)
    time.sleep(60)
predict(lambda x: x, np.zeros((300, 300, 3), np.uint8), sys.argv[1], tile=64, batch_size=1, progress=report)
"""


def test_a_killed_run_lets_others_in(tmp_path, image):
    target = tmp_path / "labels.npy"
    with subprocess.Popen([sys.executable, "-c", _PROGRAM, target], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"begun\n"
        with pytest.raises(SinkError, match=re.escape(MESSAGE)):
            predict(lambda x: x, image, target, tile=64)
        process.kill()
        process.wait()
    predict(lambda x: x, image, target, tile=64)
    assert np.load(target).shape == (300, 420)


def test_the_hidden_folder_is_never_a_link(tmp_path, image):
    """Somebody else's link in its place gives way, and what it leads to stays."""
    precious = tmp_path / "precious"
    (precious / "sub").mkdir(parents=True)
    (precious / "important").write_text("1")
    (tmp_path / ".a.npy.smp-predict").symlink_to(precious)
    predict(lambda x: x, image, tmp_path / "a.npy", tile=64)
    assert np.load(tmp_path / "a.npy").shape == image.shape[:2]
    assert sorted(path.name for path in precious.iterdir()) == ["important", "sub"]
    assert not (tmp_path / ".a.npy.smp-predict").exists()


def test_files_of_others_are_not_removed(tmp_path, image):
    folder = tmp_path / ".a.npy.smp-predict"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(SinkError, match=r"holds 'notes.txt', which is none; move or remove that folder"):
        predict(lambda x: x, image, tmp_path / "a.npy", tile=64)
    assert (folder / "notes.txt").read_text() == "mine"

"""Savers wait for one another: not for ever, not for what merely inherited a lock, and only where there are locks."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest
from toy_models import assert_same, randomise

import smp_core
from smp_core.errors import CheckpointError
from smp_core.tensors import locking

pytestmark = pytest.mark.usefixtures("toys")


def build(classes: int) -> smp_core.SegmentationModel:
    model = smp_core.create("toy", "toy_encoder", encoder_weights=None, classes=classes)
    randomise(model)
    return model


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded")
def test_a_process_forked_during_a_save(tmp_path: Path, monkeypatch) -> None:
    """A worker of a DataLoader, say: it inherits the open folder, and must not keep its lock."""
    model, children = build(2), []
    read, write = os.pipe()
    link = os.link

    def forks(*arguments: Any, **keywords: Any) -> None:
        if not children:
            child = os.fork()
            if child == 0:
                os.close(write)
                os.read(read, 1)  # until the parent has closed the other end
                os._exit(0)
            children.append(child)
        link(*arguments, **keywords)

    model.save_pretrained(tmp_path)
    monkeypatch.setattr(os, "link", forks)
    monkeypatch.setattr(locking, "_LONGEST", 1.0)
    try:
        model.save_pretrained(tmp_path)
        model.save_pretrained(tmp_path)
    finally:
        os.close(write)
        os.close(read)
        for child in children:
            os.waitpid(child, 0)
    assert len(children) == 1


def test_a_saver_that_has_stopped(tmp_path: Path, monkeypatch, caplog) -> None:
    fcntl = pytest.importorskip("fcntl", reason="no locks on folders here")
    build(2).save_pretrained(tmp_path)
    monkeypatch.setattr(locking, "_LONGEST", 0.2)
    monkeypatch.setattr(locking, "_TELL_EVERY", 0.05)
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        message = (
            rf"which is as it was: another program has been saving into {re.escape(repr(str(tmp_path)))} for 0 s, or"
        )
        with pytest.raises(CheckpointError, match=message):
            build(3).save_pretrained(tmp_path)
    finally:
        os.close(handle)
    assert "for another program that saves into" in caplog.text
    assert_same(smp_core.from_pretrained(tmp_path), build(2))
    build(3).save_pretrained(tmp_path)


def test_a_signal_while_waiting_is_no_lack_of_locks(tmp_path: Path, monkeypatch) -> None:
    fcntl = pytest.importorskip("fcntl", reason="no locks on folders here")

    def interrupted(*_: object) -> None:
        raise TimeoutError("of a user's alarm")

    monkeypatch.setattr(fcntl, "flock", interrupted)
    with pytest.raises(CheckpointError, match=r"which is as it was: of a user's alarm$"):
        build(3).save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.ENOLCK, errno.EBADF])
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch, number: int) -> None:
    fcntl = pytest.importorskip("fcntl", reason="no locks on folders here")

    def unsupported(*_: object) -> None:
        raise OSError(number, "as NFS says, which wants a file that is open for writing")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    build(3).save_pretrained(tmp_path)
    assert_same(smp_core.from_pretrained(tmp_path), build(3))
    assert len(list(tmp_path.iterdir())) == 3

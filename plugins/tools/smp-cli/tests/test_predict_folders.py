"""smp predict on folders, and what it must never do: overwrite a picture, leave half a file, stop at one that fails."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from smp_predict import Window, open_source


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


@pytest.fixture
def tree(tmp_path, pixels):
    """Pictures of one name in several folders, of one stem in one, and what is no picture."""
    grey = pixels[..., 0]
    for name in ("a.png", "x/a.png", "x/y/a.png", "x/a.tif", "x/A b#1%.png"):
        save(tmp_path / "in" / name, grey)
    save(tmp_path / "in" / ".hidden" / "a.png", grey)
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    return tmp_path / "in"


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.text = set(), text
        self.feed(text)

    def handle_starttag(self, _tag, attributes):
        self.found |= {unquote(value) for name, value in attributes if name in ("href", "src")}


def test_a_folder(run, save_model, tree, tmp_path):
    out = tree / "out"
    for _ in range(2):  # what the first run wrote is not taken for pictures
        result = run("predict", tree, "--recursive", "--model", save_model(), "--out", out)
        assert result.exit_code == 0, result.output
        found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
        stems = ["a", "x/A b#1%", "x/a.png", "x/a.tif", "x/y/a"]
        assert found == sorted(
            [f"{stem}_{kind}.png" for stem in stems for kind in ("mask", "overlay")] + ["index.html"]
        )
        assert "5/5" in result.stderr
        assert "megapixels/s" in result.stderr
    page = Links((out / "index.html").read_text(encoding="utf-8"))
    assert page.found == {name for name in found if name != "index.html"}
    assert all((out / name).is_file() for name in page.found)
    assert "5 pictures" in page.text
    assert "% of the pixels" in page.text


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
@pytest.mark.parametrize("reader", [">&-", "| head -n 1"])
def test_nobody_reads_to_the_end(save_model, tree, tmp_path, reader):
    out = tmp_path / "out"
    command = f"'{sys.executable}' -m smp_cli predict '{tree}' -r --model '{save_model()}' --out '{out}' {reader}"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=300)
    assert "rror" not in done.stderr
    assert (out / "index.html").is_file()
    assert len(list(out.rglob("*_overlay.png"))) == 5


def test_names_in_the_page_are_text(run, save_model, pixels, tmp_path):
    save(tmp_path / "in" / "<b>&.png", pixels[..., 0])
    arguments = ("--model", save_model(), "--out", tmp_path / "out", "--classes", "a<i>b")
    result = run("predict", tmp_path / "in", "-r", *arguments)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;&amp;.png" in page
    assert "a&lt;i&gt;b" in page
    assert "<b>" not in page
    assert "<i>" not in page


def test_folders_of_one_name_do_not_meet(run, save_model, pixels, tmp_path):
    for name, level in (("one", 0), ("two", 255)):
        save(tmp_path / name / "a.png", np.full((20, 20), level, np.uint8))
    out = tmp_path / "out"
    arguments = ("--model", save_model(), "--out", out)
    result = run("predict", tmp_path / "one", tmp_path / "two", "-r", *arguments)
    assert result.exit_code == 0, result.output
    assert (out / "one" / "a_mask.png").is_file()
    assert (out / "two" / "a_mask.png").is_file()
    result = run("predict", tmp_path / "one" / "a.png", tmp_path / "two" / "a.png", *arguments)
    assert result.exit_code == 1
    assert "would both write" in result.output


def test_an_empty_folder(run, save_model, tmp_path):
    (tmp_path / "in").mkdir()
    result = run("predict", tmp_path / "in", "-r", "--model", save_model(), "--out", tmp_path / "out")
    assert (result.exit_code, result.output) == (1, f"error: no pictures in {str(tmp_path / 'in')!r}\n")


def test_unreadable_files_are_listed_at_the_end(run, save_model, tree, tmp_path):
    (tree / "b.png").write_bytes(b"nothing")
    cut = tree / "x" / "cut.png"
    cut.write_bytes((tree / "a.png").read_bytes()[:300])
    out = tmp_path / "out"
    result = run("predict", tree, "-r", "--model", save_model(), "--out", out)
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert lines[0] == f"error: cannot read {str(tree / 'b.png')!r}: it is not a picture in a format that Pillow knows"
    assert lines[1].startswith(f"error: cannot read {str(cut)!r}: ")
    assert lines[2:] == ["error: 2 of 7 images failed; the others are done"]
    assert len(list(out.rglob("*_mask.png"))) == 5
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "5 pictures" in page
    assert "Failed" in page
    assert "b.png" in page


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_links_give_way(run, save_model, picture, pixels, tmp_path):
    other = save(tmp_path / "other.png", pixels[..., 1])
    held = {path: path.read_bytes() for path in (picture, other)}
    out = tmp_path / "out"
    out.mkdir()
    os.link(picture, out / "cells_mask.png")
    (out / "cells_overlay.png").symlink_to(other)
    (out / ".cells_overlay.png.new").symlink_to(other)  # as somebody with bad intentions leaves it
    result = run("predict", picture, "--model", save_model(), "--out", out)
    assert result.exit_code == 0, result.output
    assert {path: path.read_bytes() for path in held} == held
    assert not (out / "cells_overlay.png").is_symlink()
    assert open_source(out / "cells_overlay.png").shape == (37, 53, 3)


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_a_link_to_the_folder_of_inputs(run, save_model, picture, pixels, tmp_path):
    other = save(tmp_path / "cells_mask.png", pixels[..., 1])
    (tmp_path / "link").symlink_to(tmp_path)
    result = run("predict", picture, other, "--model", save_model(), "--out", tmp_path / "link")
    assert result.exit_code == 1
    assert "would overwrite the image" in result.output


def _whole(path):
    """Whether a file of results can be read to its end."""
    if path.suffix == ".html":
        return path.read_text(encoding="utf-8").endswith("</body></html>\n")
    source = open_source(path)
    return source.read(Window(0, 0, *source.shape[:2])).size > 0


@pytest.fixture
def _heard():
    """SIGINT is heard by processes that are started here, also where the tests run in the background and it is not."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def _has_a_mask(out):
    try:
        return any(out.rglob("*_mask.png"))
    except FileNotFoundError:  # a folder that went while it was listed
        return False


def _interrupted(arguments, out, signalled, seconds):
    command = [sys.executable, "-m", "smp_cli", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not _has_a_mask(out) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(seconds)
        process.send_signal(signalled)
        _, said = process.communicate()
        return process.returncode, said


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.usefixtures("_heard")
@pytest.mark.parametrize("signalled", [signal.SIGINT, signal.SIGKILL], ids=lambda item: item.name)
@pytest.mark.parametrize("times", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_an_interrupted_run_leaves_no_half_file(save_model, pixels, tmp_path, run, signalled, times):
    for number in range(40):
        save(tmp_path / "in" / f"{number}.png", np.tile(pixels[..., 0], (4, 4)))
    out = tmp_path / "out"
    arguments = ("predict", tmp_path / "in", "-r", "--model", save_model(), "--out", out)
    generator = random.Random(0)
    for _ in range(times):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        status, said = _interrupted(arguments, out, signalled, 0.4 * generator.random())
        assert status != 0, said
        found = [path for path in out.rglob("[!.]*") if path.is_file() and ".smp-predict" not in str(path)]
        assert found
        assert all(map(_whole, found))
        assert len(found) < 81
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert len(list(out.rglob("*_mask.png"))) == 40
    assert len(list(out.rglob("*_overlay.png"))) == 40
    assert not [path for path in out.rglob(".*") if path.is_file()]


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of files that are no text")
def test_names_that_are_no_text(run, save_model, pixels, tmp_path):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/in/b\xff")
    save(Path(folder) / "x.png", pixels[..., 0])
    (tmp_path / "in" / "bad.png").write_bytes(b"")
    out = tmp_path / "out"
    result = run("predict", tmp_path / "in", "-r", "--model", save_model(), "--out", out)
    assert result.exit_code == 1
    assert "error: 1 of 2 images failed; the others are done" in result.output
    page = (out / "index.html").read_text(encoding="utf-8")
    assert 'src="b%FF/x_overlay.png"' in page

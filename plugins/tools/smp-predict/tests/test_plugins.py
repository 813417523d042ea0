"""Formats of other distributions: found by their entry points, imported only when a name needs them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from smp_predict import UnknownFormatError, open_source, predict, readable_suffixes
from smp_predict.plugin import Format

_READING = """
import numpy as np
from smp_predict import ArraySource

def read(path):
    return ArraySource(np.loadtxt(path, dtype=np.float32, ndmin=2))

def write(path, result):
    for window, in [[__import__("smp_predict").Window(0, 0, *result.pixels.shape[:2])]]:
        np.savetxt(path, result.pixels.read(window)[..., 0])
"""

_PLUGIN = """
from smp_predict.plugin import Format

FORMATS = [Format(name="text", suffixes=(".txt",), reader="{package}.reading:read", writer="{package}.reading:write")]
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution on the path."""

    def make(name, plugin=_PLUGIN, value="{package}.plugin:FORMATS"):
        site, package = tmp_path / name, name.replace("-", "_")
        (site / package).mkdir(parents=True)
        (site / package / "__init__.py").touch()
        (site / package / "plugin.py").write_text(plugin.replace("{package}", package))
        (site / package / "reading.py").write_text(_READING)
        info = site / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[smp_predict]\ntext = {value.replace('{package}', package)}\n")
        monkeypatch.syspath_prepend(site)
        return package

    return make


def test_a_format_of_a_plugin(install, tmp_path):
    package = install("acme-text")
    np.savetxt(tmp_path / "a.txt", np.arange(12.0).reshape(3, 4))
    assert ".txt" in readable_suffixes()
    assert f"{package}.reading" not in sys.modules
    source = open_source(tmp_path / "a.txt")
    assert (source.shape, source.dtype) == ((3, 4, 1), np.float32)
    predict(lambda x: x - 4.5, tmp_path / "a.txt", tmp_path / "b.txt")
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "b.txt"), np.arange(12).reshape(3, 4) > 4.5)


def test_our_own_formats_do_not_ask_plugins(install, tmp_path):
    package = install("acme-slow", plugin="raise RuntimeError('imported')")
    np.save(tmp_path / "a.npy", np.zeros((3, 3)))
    open_source(tmp_path / "a.npy")
    assert f"{package}.plugin" not in sys.modules


def test_broken_plugins_are_named(install):
    install("acme-unlicensed", plugin="raise RuntimeError('no licence')")
    install("acme-odd", plugin="FORMATS = ['.txt']")
    with pytest.raises(UnknownFormatError) as error:
        open_source("a.unknown")
    assert "acme-unlicensed (RuntimeError: no licence)" in str(error.value)
    assert "acme-odd (TypeError: acme_odd.plugin:FORMATS must be a smp_predict.plugin.Format or several" in str(
        error.value
    )


def test_two_plugins_with_one_suffix(install):
    install("acme-one")
    install("acme-two")
    with pytest.raises(
        UnknownFormatError, match=r"several plugins have a format for 'a.txt': acme-one, acme-two; keep one"
    ):
        open_source("a.txt")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"suffixes": ("txt",), "reader": "a:b"}, "suffix 'txt' must be lower case and begin with a dot"),
        ({"suffixes": (".txt",), "reader": "a.b"}, "reader must be 'module:function', got 'a.b'"),
        ({"suffixes": (".txt",)}, "format 'text' needs a suffix, and a reader or a writer"),
    ],
)
def test_formats_that_cannot_be(fields, message):
    with pytest.raises(ValueError, match=message):
        Format(name="text", **fields)


def test_a_plugins_module_is_light():
    code = "import sys, smp_predict.plugin; print([n for n in ('torch', 'numpy', 'PIL') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

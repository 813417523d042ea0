"""The examples of the docstrings and of the README give what they say; so do the errors about missing packages."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import smp_metrics
from smp_metrics.ratios import SCORE_NAMES

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.parametrize("name", ["ConfusionMatrix", "get_stats"])
def test_docstring(name):
    names = {"torch": torch, **vars(smp_metrics)}
    tests = doctest.DocTestFinder(recurse=False).find(getattr(smp_metrics, name), name, globs=names)
    results = [doctest.DocTestRunner().run(test) for test in tests]
    assert sum(result.attempted for result in results) >= 3
    assert not any(result.failed for result in results)


@pytest.mark.parametrize("name", SCORE_NAMES)
def test_docstrings_of_scores_explain_the_arguments(name):
    text = getattr(smp_metrics, name).__doc__
    assert len(text.splitlines()[0]) > 20
    assert all(f"{argument}:" in text for argument in ("reduction", "class_weights", "zero_division", "smp_values"))


def test_readme():
    pytest.importorskip("torchmetrics")
    pytest.importorskip("matplotlib").use("Agg")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        lines = block.splitlines()
        number = 0
        while number < len(lines):
            line, number = lines[number], number + 1
            # An expression is followed by its value, as a comment.
            value = []
            while number < len(lines) and lines[number].startswith("# "):
                value.append(lines[number][2:])
                number += 1
            if value:
                assert repr(eval(line, names)) == "\n".join(value), line
            elif line:
                exec(line, names)
    assert names["matrix"].table() in README.read_text()


def test_readme_names_every_score_and_streaming_class():
    text = README.read_text()
    assert all(f"`{name}`" in text for name in SCORE_NAMES)
    streaming = pytest.importorskip("smp_metrics.streaming", exc_type=ImportError)
    assert all(f"`{name}`" in text for name in streaming.__all__)


@pytest.fixture
def without(monkeypatch):
    """A function that makes a package impossible to import, and forgets our modules that use it."""

    def hide(package):
        for name in [*sys.modules]:
            if name.split(".")[0] == package or name in ("smp_metrics.streaming", "smp_metrics.accumulate"):
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)

    return hide


def test_without_torchmetrics(without):
    without("torchmetrics")
    with pytest.raises(ImportError, match=re.escape('torchmetrics: pip install "smp-metrics[torchmetrics]"')) as caught:
        importlib.import_module("smp_metrics.streaming")
    assert caught.value.name == "torchmetrics"


def test_without_matplotlib(without):
    without("matplotlib")
    with pytest.raises(ImportError, match=re.escape('needs matplotlib: pip install "smp-metrics[plot]"')):
        smp_metrics.ConfusionMatrix(2).plot()


def test_the_package_needs_torch_alone():
    program = (
        "import sys, smp_metrics; print([n for n in ('torchmetrics', 'matplotlib', 'smp_core') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""The examples of the docstrings and of the README give what they say."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
import torch

import smp_losses

README = Path(__file__).parents[1] / "README.md"
LOSSES = [name for name in smp_losses.__all__ if name.endswith("Loss") and name != "Loss"]


@pytest.mark.parametrize("name", LOSSES)
def test_docstring(name):
    names = {"torch": torch, **vars(smp_losses)}
    tests = doctest.DocTestFinder(recurse=False).find(getattr(smp_losses, name), name, globs=names)
    results = [doctest.DocTestRunner().run(test) for test in tests]
    assert sum(result.attempted for result in results) >= 2
    assert not any(result.failed for result in results)


def test_readme():
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        lines = block.splitlines()
        for number, line in enumerate(lines):
            # An expression is followed by its value, as a comment.
            value = lines[number + 1][2:] if number + 1 < len(lines) and lines[number + 1].startswith("# ") else None
            if value is None:
                if line and not line.startswith("#"):
                    exec(line, names)
            else:
                assert repr(eval(line, names)) == value, line


def test_readme_names_every_loss():
    text = README.read_text()
    assert all(f"`{name}`" in text for name in LOSSES)

"""The examples of the docstrings and of the README give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import smp_datasets

README = Path(__file__).parents[1] / "README.md"
MODULES = [item.name for item in pkgutil.iter_modules(smp_datasets.__path__, "smp_datasets.")]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    module = importlib.import_module(name)
    names = {**vars(smp_datasets), **vars(module)}
    assert doctest.testmod(module, extraglobs=names).failed == 0


def test_public_names_are_documented():
    for name in smp_datasets.__all__:
        if name != "OXFORD_PET":
            assert len(getattr(smp_datasets, name).__doc__) > 20


@pytest.fixture
def data(tmp_path, monkeypatch):
    """What the README's examples read."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for number in range(20):
        for folder in ("images", "masks"):
            Path("data", folder).mkdir(parents=True, exist_ok=True)
        picture = generator.integers(0, 256, (360, 480, 3), dtype=np.uint8)
        Image.fromarray(picture).save(f"data/images/{number:02}.jpg")
        Image.fromarray(picture[..., 0] % 12).save(f"data/masks/{number:02}.png")


@pytest.mark.usefixtures("data")
def test_readme():
    pytest.importorskip("torchvision")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        statement: list[str] = []
        lines = block.splitlines()
        for number, line in enumerate(lines):
            if line.startswith("# "):
                continue
            # An expression is followed by its value, as a comment.
            value = lines[number + 1] if number + 1 < len(lines) and lines[number + 1].startswith("# ") else None
            if value is not None:
                assert repr(eval(line, names)) == value[2:], line
                continue
            statement.append(line)
            try:
                code = compile("\n".join(statement), "README", "exec")
            except SyntaxError:
                continue
            if number + 1 < len(lines) and lines[number + 1].startswith((" ", ")")):
                continue
            exec(code, names)
            statement = []
        assert not "".join(statement).strip()


def test_readme_names_everything_public():
    text = README.read_text(encoding="utf-8")
    assert [name for name in smp_datasets.__all__ if name not in text] == []

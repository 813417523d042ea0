"""What the page on weights and preprocessing shows works, without a network."""

import os
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "weights.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS)
def test_the_code_runs(code, warmed, tmp_path):
    shown = re.findall(r"^(\S.*\.shape)  # ((?:torch\.Size)?\([^)]*\))", code, flags=re.MULTILINE)
    checks = [f"assert str({expression}) == {shape!r}, {expression}" for expression, shape in shown]
    variables = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    done = warmed.run("\n".join([code, *checks]), environment=variables, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_there_is_code():
    assert len(BLOCKS) == 5

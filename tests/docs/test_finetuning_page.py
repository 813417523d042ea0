"""What the page on fine-tuning shows works."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "finetuning.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS)
def test_the_code_runs(code, tmp_path):
    shown = re.findall(r"^(\S.*\.stage_modules\(\))  # (\[.*\])$", code, flags=re.MULTILINE)
    checks = [f"assert {expression} == {value}, {expression}" for expression, value in shown]
    command = [sys.executable, "-W", "error", "-c", "\n".join([code, *checks])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_there_is_code():
    assert len(BLOCKS) == 2

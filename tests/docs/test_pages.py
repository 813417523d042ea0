"""What the pages on prediction, on fine-tuning, on changing models and on moving show works."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NUM_BLOCKS = {
    "prediction.md": 1,
    "finetuning.md": 2,
    "changing-models.md": 3,
    "moving-from-smp.md": 3,
    "speed.md": 4,
}


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize(
    "code",
    [pytest.param(code, id=f"{page}-{number}") for page in NUM_BLOCKS for number, code in enumerate(blocks(page))],
)
def test_the_code_runs(code, warmed, tmp_path):
    shown = re.findall(r"^(\S.*\.stage_modules\(\))  # (\[.*\])$", code, flags=re.MULTILINE)
    checks = [f"assert {expression} == {value}, {expression}" for expression, value in shown]
    done = warmed.run("\n".join([code, *checks]), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", NUM_BLOCKS)
def test_there_is_code(page):
    assert len(blocks(page)) == NUM_BLOCKS[page]

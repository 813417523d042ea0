"""The examples in the plugins' READMEs run, and give what the comment beside or below them says."""

import ast
import re
from pathlib import Path

import pytest

from smp_core.errors import MissingPluginError

ROOT = Path(__file__).parents[2]
# Examples that create something; others show part of a file of the reader's own.
EXAMPLES = [
    (path.parent.name, code)
    for path in sorted(ROOT.glob("plugins/*/*/README.md"))
    for code in re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    if "import smp_core" in code
]


def promised(lines, statement):
    """The comment at the end of a statement's last line, or on the line below it."""
    _, _, beside = lines[statement.end_lineno - 1][statement.end_col_offset :].partition("# ")
    below = lines[statement.end_lineno] if statement.end_lineno < len(lines) else ""
    return beside or (below.removeprefix("# ") if below.startswith("# ") else "")


@pytest.mark.parametrize(("distribution", "code"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_an_example_gives_what_it_says(distribution, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines, names, checked = code.splitlines(), {}, 0
    for statement in ast.parse(code).body:
        if not isinstance(statement, ast.Expr):
            try:
                exec(ast.unparse(statement), names)
            except MissingPluginError as error:
                pytest.skip(f"the example is over an encoder that is not installed: {error}")
            continue
        value = eval(ast.unparse(statement), names)
        assert str(value) == promised(lines, statement), f"{distribution}: {ast.unparse(statement)}"
        checked += 1
    assert checked, f"{distribution}: the example ends in nothing"


def test_every_architecture_and_encoder_has_an_example():
    with_models = {path.parents[1].name for path in ROOT.glob("plugins/*/*/smp_*/plugin.py")}
    assert with_models <= {name for name, _ in EXAMPLES}

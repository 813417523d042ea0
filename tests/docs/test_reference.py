"""The reference for plugin authors is what the docstrings say today, and leaves nothing out."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path

import pytest

from smp_core import plugin

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generator():
    specification = importlib.util.spec_from_file_location("generate_reference", DOCS / "generate_reference.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(generator):
    stands = (DOCS / "plugin-reference.md").read_text(encoding="utf-8")
    assert stands == generator.page(), "run: python docs/generate_reference.py"


def test_every_name_of_authors_is_there(generator):
    titles = [line.strip("#` ") for line in generator.page().splitlines() if line.startswith("###")]
    wanted = [name for name in plugin.__all__ if inspect.isroutine(getattr(plugin, name)) or name.endswith("Spec")]
    assert set(wanted) - {"hookimpl", "hookspec"} <= set(titles)
    kinds = [name for name in plugin.__all__ if inspect.isclass(getattr(plugin, name))]
    assert set(kinds) <= set(titles)


def test_docstrings_become_markdown(generator):
    def documented(width: int) -> int:
        """Do it.

        Args:
            width, height: of ``x``,
                in pixels.

        Returns:
            What it is.

        Raises:
            ValueError: it is not.

        >>> documented(1)
        2
        """
        return width

    assert generator._function(documented, "a.documented") == (
        "### `a.documented`\n\n```\ndocumented(width: int) -> int\n```\n\nDo it.\n\n**Args**\n\n"
        "- `width, height`: of `x`,\n  in pixels.\n\n**Returns**\n\nWhat it is.\n\n**Raises**\n\n"
        "- `ValueError`: it is not.\n\n```\n>>> documented(1)\n2\n```\n"
    )

"""What is not provided says so, and the page on moving lists it."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from smp_compat import NotProvidedError
from smp_compat._not_provided import NOT_PROVIDED

PAGE = Path(__file__).parents[4] / "docs" / "moving-from-smp.md"


@pytest.mark.parametrize("module", NOT_PROVIDED)
def test_it_says_so(module: str) -> None:
    names, instead = NOT_PROVIDED[module]
    home = importlib.import_module(f"smp_compat.{module}")
    for name in names:
        message = f"smp_compat.{module}.{name} is not provided: {instead}"
        with pytest.raises(NotProvidedError, match=f"^{re.escape(message)}$"):
            getattr(home, name)
        with pytest.raises(NotProvidedError, match=f"^{re.escape(message)}$"):
            exec(f"from smp_compat.{module} import {name}")
    with pytest.raises(AttributeError, match=f"^module 'smp_compat.{module}' has no attribute 'no_such_name'$"):
        _ = home.no_such_name


@pytest.mark.skipif(not PAGE.is_file(), reason="the pages are in the repository alone")
def test_the_page_lists_it() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for module, (names, _) in NOT_PROVIDED.items():
        (line,) = re.findall(rf"^- `{re.escape(module)}`: (.*)$", text, flags=re.MULTILINE)
        assert re.findall(r"`(\w+)`", line) == [*names]

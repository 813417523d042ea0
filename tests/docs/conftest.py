"""What the tests of the pages share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from smp_testing.warmed import Warmed


@pytest.fixture(scope="session")
def warmed() -> Iterator[Warmed]:
    """Runs the code of a page in a process of its own, in which torch alone is imported, and a warning is an error."""
    found = Warmed(("torch",), ("-W", "error"))
    yield found
    found.close()

"""Distributions that are on the path while a test module runs, as if they were installed."""

import sys
from pathlib import Path

import pytest

import smp_core

SITE = Path(__file__).parent / "site"


@pytest.fixture(autouse=True, scope="module")
def site():
    sys.path.insert(0, str(SITE))
    smp_core.refresh()
    yield SITE
    sys.path.remove(str(SITE))
    smp_core.refresh()

"""The helpers beside the tests, and the hub of the core's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hub_client import Client
from hub_server import Hub, serve


@pytest.fixture(scope="module")
def served() -> Iterator[Hub]:
    """One hub for the tests of a module; `hub` empties it."""
    with serve() as hub:
        yield hub


@pytest.fixture(scope="module")
def client(served: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A process with the real client, for the tests of a module."""
    with Client(served.url, tmp_path_factory.mktemp("client")) as started:
        yield started


@pytest.fixture
def hub(served: Hub) -> Hub:
    """The hub, as empty as it started."""
    served.clear()
    return served

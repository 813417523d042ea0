"""The installed plugins, and one more with a fake encoder of every kind."""

from __future__ import annotations

from collections.abc import Iterator

import fake_encoders
import pluggy
import pytest

from smp_core import plugin, registry
from smp_core.registry.discovery import LoadedPlugin, PluginRecord


@pytest.fixture(scope="session", autouse=True)
def _fakes() -> Iterator[None]:
    before = registry._registry
    fakes = LoadedPlugin(
        record=PluginRecord(distribution="acme-smp-fakes", version="1.0", module="fake_encoders"),
        encoders={spec.name: spec for spec in fake_encoders.SPECS},
        manager=pluggy.PluginManager(plugin.PROJECT_NAME),
    )
    fakes.manager.add_hookspecs(plugin)
    registry._registry = registry.Registry([*before.loaded, fakes])
    yield
    registry._registry = before

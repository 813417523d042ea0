"""Plugins that exist for one test: put into the registry directly, without metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pluggy
import pytest
import toy_models
from hub_client import Client
from hub_server import Hub, serve

from smp_core import plugin as plugin_api
from smp_core import registry
from smp_core.plugin import ArchitectureSpec, EncoderSpec, NeckSpec, hookimpl
from smp_core.registry.discovery import LoadedPlugin, PluginRecord

Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """``install(*specs, distribution=..., created=...)`` adds a plugin to those of the test."""
    monkeypatch.setattr(registry, "_registry", registry.Registry([]))

    def add(
        *specs: EncoderSpec | ArchitectureSpec | NeckSpec,
        distribution: str = "acme-smp-toy",
        version: str = "1.2.3",
        created: Callable[..., Any] | None = None,
    ) -> None:
        manager = pluggy.PluginManager(plugin_api.PROJECT_NAME)
        manager.add_hookspecs(plugin_api)
        if created is not None:
            module = ModuleType(distribution)
            module.smp_model_created = hookimpl(created)  # type: ignore[attr-defined]
            manager.register(module)
        loaded = LoadedPlugin(
            record=PluginRecord(distribution=distribution, version=version, module="toy_models"),
            encoders={spec.name: spec for spec in specs if isinstance(spec, EncoderSpec)},
            architectures={spec.name: spec for spec in specs if isinstance(spec, ArchitectureSpec)},
            necks={spec.name: spec for spec in specs if isinstance(spec, NeckSpec)},
            manager=manager,
        )
        monkeypatch.setattr(registry, "_registry", registry.Registry([*registry._registry.loaded, loaded]))

    return add


@pytest.fixture
def toys(install: Install) -> Install:
    """The toy encoder and the toy architecture are installed."""
    install(toy_models.encoder_spec(), toy_models.architecture_spec())
    return install


@pytest.fixture
def calls() -> SimpleNamespace:
    """Where a hook of a test writes down that it was called."""
    return SimpleNamespace(seen=[])


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every attempt to open a connection fails, and is written down."""
    import socket

    attempts: list[str] = []

    def refuse(*arguments: Any, **_: Any) -> None:
        attempts.append(repr(arguments))
        raise OSError("the test allows no network")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return attempts


@pytest.fixture(scope="module")
def served() -> Iterator[Hub]:
    """One hub for the tests of a module; `hub` empties it."""
    with serve() as hub:
        yield hub


@pytest.fixture(scope="module")
def client(served: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A process with the real client, for the tests of a module."""
    with Client(served.url, tmp_path_factory.mktemp("client"), HF_HUB_DOWNLOAD_TIMEOUT="2") as started:
        yield started


@pytest.fixture
def hub(served: Hub) -> Hub:
    """The hub, as empty as it started."""
    served.clear()
    return served

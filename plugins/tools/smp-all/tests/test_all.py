"""It brings every distribution, and every one of them is found."""

from __future__ import annotations

from importlib.metadata import distributions, requires

import smp_core


def test_its_dependencies_are_there() -> None:
    wanted = {item.partition(">")[0] for item in requires("smp-all") or []}
    installed = {item.metadata["Name"] for item in distributions()}
    assert len(wanted) > 30
    assert wanted <= installed
    assert all(">=" in item and "<" not in item for item in requires("smp-all") or [])


def test_every_plugin_works() -> None:
    wanted = {item.partition(">")[0] for item in requires("smp-all") or []}
    records = {item.distribution: item for item in smp_core.plugins() if item.distribution in wanted}
    assert {name: item.error for name, item in records.items() if item.status != "ok"} == {}
    assert len(smp_core.list_encoders()) >= 76
    assert len(smp_core.list_architectures()) >= 12

"""The environment switches, and looking again with refresh."""

from __future__ import annotations

import re

import pytest
from dummy_distributions import Dummy, architecture, encoder, plugin

from smp_core._specs.registered import normalise
from smp_core.errors import PluginError
from smp_core.registry.discovery import Settings

_ONE = Dummy(name="Acme_SMP.one", source=plugin(encoders=[encoder("one")]))
_TWO = Dummy(name="acme-smp-two", source=plugin(encoders=[encoder("two")]))
_BAD = Dummy(name="acme-smp-bad", source="raise RuntimeError('must not be imported')")
_LIST = "import smp_core\nreport({'records': records(), 'encoders': smp_core.list_encoders()})"


def _statuses(seen: dict) -> dict[str, str]:
    return {name: record["status"] for name, record in seen["records"].items()}


@pytest.fixture
def three(sandbox):
    sandbox.install(_ONE, _TWO, _BAD)
    return sandbox


def test_everything_loads_by_default(three) -> None:
    for environment in ({}, {"SMP_DISABLE_PLUGIN_AUTOLOAD": "0", "SMP_PLUGINS_STRICT": "0", "SMP_PLUGINS": " , "}):
        seen = three.run(_LIST, **environment)
        assert seen["encoders"] == ["one", "two"]
        assert _statuses(seen) == {"Acme_SMP.one": "ok", "acme-smp-bad": "broken", "acme-smp-two": "ok"}


def test_autoload_off(three) -> None:
    seen = three.run(_LIST, SMP_DISABLE_PLUGIN_AUTOLOAD="1", SMP_PLUGINS_STRICT="1")
    assert seen["encoders"] == []
    assert set(_statuses(seen).values()) == {"disabled"}
    assert {record["error"] for record in seen["records"].values()} == {"disabled by SMP_DISABLE_PLUGIN_AUTOLOAD=1"}


@pytest.mark.parametrize("autoload", ["0", "1"])
@pytest.mark.parametrize("spelling", ["Acme_SMP.one", "acme-smp-one", "ACME--SMP__ONE", " acme.smp.one ,"])
def test_an_allow_list(three, spelling: str, autoload: str) -> None:
    seen = three.run(_LIST, SMP_PLUGINS=spelling, SMP_DISABLE_PLUGIN_AUTOLOAD=autoload)
    assert seen["encoders"] == ["one"]
    assert _statuses(seen) == {"Acme_SMP.one": "ok", "acme-smp-bad": "disabled", "acme-smp-two": "disabled"}
    assert seen["records"]["acme-smp-two"]["error"] == "not in the allow list SMP_PLUGINS"


@pytest.mark.parametrize("spelling", ["Acme_SMP.one", "acme-smp-one,acme_smp_BAD", "acme.smp.one,not-installed"])
def test_a_block_list(three, spelling: str) -> None:
    seen = three.run(_LIST, SMP_DISABLE_PLUGINS=spelling)
    assert seen["encoders"] == ["two"]
    assert seen["records"]["Acme_SMP.one"]["status"] == "disabled"
    assert seen["records"]["Acme_SMP.one"]["error"] == "disabled by SMP_DISABLE_PLUGINS"


def test_the_block_list_wins_over_the_allow_list(three) -> None:
    seen = three.run(_LIST, SMP_PLUGINS="acme-smp-one,acme-smp-two", SMP_DISABLE_PLUGINS="acme-smp-two")
    assert seen["encoders"] == ["one"]


def test_a_disabled_plugin_is_not_imported(three) -> None:
    script = "import smp_core, sys\nsmp_core.plugins()\nreport([name for name in sys.modules if 'acme' in name])"
    assert three.run(script, SMP_DISABLE_PLUGIN_AUTOLOAD="1") == []
    assert three.run(script, SMP_PLUGINS="acme-smp-two") == ["acme_smp_two", "acme_smp_two.plugin"]


def test_an_allowed_plugin_that_is_not_installed(three) -> None:
    environment = {"SMP_PLUGINS": "acme-smp-two,Not_There"}
    seen = three.run(_LIST, **environment)
    assert seen["encoders"] == ["two"]
    record = seen["records"]["not-there"]
    message = "named in SMP_PLUGINS, but no plugin of that name is installed: pip install not-there"
    assert (record["status"], record["version"], record["error"]) == ("broken", "not installed", message)
    script = "import smp_core\nreport(attempt(lambda: smp_core.plugins()))"
    strict = three.run(script, SMP_PLUGINS_STRICT="1", **environment)
    assert strict == {"error": "PluginError", "message": f"plugin 'not-there': {message}"}


@pytest.mark.parametrize("value", ["yes", "true", "", " 1", "2", "01"])
@pytest.mark.parametrize("name", ["SMP_DISABLE_PLUGIN_AUTOLOAD", "SMP_PLUGINS_STRICT"])
def test_a_switch_that_is_neither_0_nor_1(name: str, value: str) -> None:
    message = f"environment variable {name} is {value!r}; expected 0 or 1"
    with pytest.raises(PluginError, match=f"^{re.escape(message)}$"):
        Settings.from_environment({name: value})


def test_a_wrong_switch_stops_the_first_use_and_can_be_mended(three) -> None:
    script = """
import os, smp_core
wrong = attempt(lambda: smp_core.list_encoders())
del os.environ["SMP_DISABLE_PLUGIN_AUTOLOAD"]
report([wrong, smp_core.list_encoders()])
"""
    wrong, right = three.run(script, SMP_DISABLE_PLUGIN_AUTOLOAD="yes")
    message = "environment variable SMP_DISABLE_PLUGIN_AUTOLOAD is 'yes'; expected 0 or 1"
    assert wrong == {"error": "PluginError", "message": message}
    assert right == ["one", "two"]


def test_settings_of_an_empty_environment() -> None:
    assert Settings.from_environment({}) == Settings(autoload=True, only=None, disabled=frozenset(), strict=False)
    both = Settings.from_environment({"SMP_PLUGINS": "A_b, c", "SMP_DISABLE_PLUGINS": "D.e", "SMP_PLUGINS_STRICT": "1"})
    assert both == Settings(autoload=True, only=frozenset({"a-b", "c"}), disabled=frozenset({"d-e"}), strict=True)
    assert normalise("Acme__SMP.-one") == "acme-smp-one"


def test_refresh_finds_what_was_installed_and_removed(sandbox) -> None:
    sandbox.install(_ONE)
    wheels = sandbox.target.parent / "later"
    _TWO.install(wheels)
    # The folder's time of change is put back, as a coarse clock would leave it: caches go by it.
    script = f"""
import os
import shutil
import smp_core
seen = [smp_core.list_encoders()]
changed = os.stat({str(sandbox.target)!r})
shutil.copytree({str(wheels)!r}, {str(sandbox.target)!r}, dirs_exist_ok=True)
os.utime({str(sandbox.target)!r}, ns=(changed.st_atime_ns, changed.st_mtime_ns))
seen.append(smp_core.list_encoders())
smp_core.refresh()
seen.append(smp_core.list_encoders())
for name in ({_ONE.info!r}, {_ONE.package!r}):
    shutil.rmtree({str(sandbox.target)!r} + "/" + name)
smp_core.refresh()
seen.append(smp_core.list_encoders())
seen.append([record.distribution for record in smp_core.plugins()])
report(seen)
"""
    assert sandbox.run(script) == [["one"], ["one"], ["one", "two"], ["two"], ["acme-smp-two"]]


def test_refresh_reads_the_switches_again(three) -> None:
    script = """
import os, smp_core
seen = [smp_core.list_encoders()]
os.environ["SMP_DISABLE_PLUGINS"] = "acme-smp-one"
smp_core.refresh()
seen.append(smp_core.list_encoders())
os.environ["SMP_PLUGINS_STRICT"] = "maybe"
seen.append(attempt(smp_core.refresh))
seen.append(smp_core.list_encoders())
report(seen)
"""
    message = "environment variable SMP_PLUGINS_STRICT is 'maybe'; expected 0 or 1"
    # A refresh that fails leaves everything as it was.
    assert three.run(script) == [["one", "two"], ["two"], {"error": "PluginError", "message": message}, ["two"]]


def test_refresh_finds_a_plugin_that_was_repaired(sandbox) -> None:
    sandbox.install(Dummy(name="acme-smp-half", source=None))
    whole = Dummy(name="acme-smp-half", source=plugin(architectures=[architecture("mended")]))
    tree = {path: text for path, text in whole.tree().items() if path.endswith(".py")}
    script = f"""
import pathlib
import smp_core
before = [records()["acme-smp-half"]["status"], smp_core.list_architectures()]
for path, text in {tree!r}.items():
    file = pathlib.Path({str(sandbox.target)!r}, path)
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
smp_core.refresh()
report([before, [records()["acme-smp-half"]["status"], smp_core.list_architectures()]])
"""
    assert sandbox.run(script) == [["broken", []], ["ok", ["mended"]]]


def test_models_in_use_keep_their_registry_until_refresh(sandbox) -> None:
    """A name that was resolved stays a value; nothing writes into it."""
    sandbox.install(_ONE)
    script = """
import smp_core
from smp_core.registry import resolve_encoder
found = resolve_encoder("one")
smp_core.refresh()
report([found == resolve_encoder("one"), found.spec is resolve_encoder("one").spec])
"""
    assert sandbox.run(script) == [True, False]

"""``smp plugins list``, ``show`` and ``validate``, for people and as JSON."""

from __future__ import annotations

import json
import sys
import types
from dataclasses import asdict, dataclass
from typing import Any

import pytest

import smp_core


def test_list_is_what_plugins_alone_is(run):
    alone, listed = run("plugins"), run("plugins", "list")
    assert [line.split("\t")[:4] for line in listed.stdout.splitlines()] == [
        line.split("\t")[:4] for line in alone.stdout.splitlines()
    ]
    assert "resnet18, resnet34" in run("plugins", "list", "--verbose").stdout


def test_list_as_json(run):
    found = json.loads(run("plugins", "list", "--json").stdout)
    assert found == json.loads(json.dumps([asdict(record) for record in smp_core.plugins()]))
    assert json.loads(run("plugins", "--json").stdout) == found


def test_options_before_a_command_are_refused(run):
    result = run("plugins", "--json", "list")
    assert result.exit_code == 2
    assert "options go behind the command: smp plugins list ..." in " ".join(result.output.replace("│", " ").split())


def test_show(run, sections):
    found = sections(run("plugins", "show", "SMP_UNet").stdout)
    assert found["smp-unet"]["status"] == "ok"
    assert found["smp-unet"]["licence"] == "MIT"
    assert found["smp-unet"]["module"] == "smp_unet.plugin"
    assert "smp-core<2,>=1.0" in found["smp-unet"]["needs"]
    assert found["architectures"] == {"unet": smp_core.describe("unet").spec.summary}


def test_show_as_json(run):
    (found,) = json.loads(run("plugins", "show", "smp-resnet", "--json").stdout)
    assert found["distribution"] == "smp-resnet"
    assert found["file"].endswith("plugin.py")
    (spec,) = [item for item in found["specs"]["encoders"] if item["name"] == "resnet50"]
    assert spec["weights"] == {"imagenet": "BSD-3-Clause", "ssl": "CC-BY-NC-4.0", "swsl": "CC-BY-NC-4.0"}
    assert spec["target"] == smp_core.describe("resnet50").spec.target


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "unet",
            "error: 'unet' is an architecture of smp-unet; run: smp show unet, or: smp plugins show smp-unet\n",
        ),
        ("regrid", "error: 'regrid' is a neck of smp-necks; run: smp show regrid, or: smp plugins show smp-necks\n"),
        ("smp-unett", "error: no plugin of a distribution 'smp-unett' is installed; did you mean 'smp-unet'"),
        (
            "zzz",
            "error: no plugin of a distribution 'zzz' is installed; smp plugins list names those that are\n",
        ),
    ],
)
def test_show_what_is_none(run, name, message):
    result = run("plugins", "show", name)
    assert result.exit_code == 1
    assert result.output.startswith(message)


@dataclass
class Report:
    """What `smp_testing.check_plugin` returns, as far as the command looks at it."""

    plugin: str
    passed: bool

    def as_dict(self) -> dict[str, Any]:
        return {"plugin": self.plugin, "passed": self.passed, "checks": []}

    def summary(self) -> str:
        return f"{self.plugin}: 3 checks, {0 if self.passed else 1} failed"


@pytest.fixture
def kit(monkeypatch):
    """Stands for smp-testing, which finds fault with smp-fpn."""
    kit = types.ModuleType("smp_testing")
    kit.check_plugin = lambda name: Report(name, name != "smp-fpn")
    monkeypatch.setitem(sys.modules, "smp_testing", kit)
    return kit


@pytest.mark.parametrize(("name", "status"), [("smp-unet", 0), ("smp-fpn", 1)])
def test_validate(run, kit, name, status):
    result = run("plugins", "validate", name)
    assert (result.exit_code, result.output) == (status, f"{name}: 3 checks, {status} failed\n")
    result = run("plugins", "validate", name, "--json")
    assert result.exit_code == status
    assert json.loads(result.output) == {"plugin": name, "passed": not status, "checks": []}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet18", "error: 'resnet18' is an encoder of smp-resnet; run: smp plugins validate smp-resnet\n"),
        ("smp-unett", "error: no plugin of a distribution 'smp-unett' is installed; did you mean 'smp-unet'"),
    ],
)
def test_validate_what_is_none(run, kit, name, message):
    result = run("plugins", "validate", name)
    assert result.exit_code == 1
    assert result.output.startswith(message)


def test_validate_without_the_kit(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "smp_testing", None)
    result = run("plugins", "validate", "smp-unet")
    assert result.exit_code == 1
    assert result.output == (
        "error: validating a plugin needs smp-testing, which is not installed; run: pip install smp-testing\n"
    )


def test_validate_with_an_older_kit(run, kit):
    del kit.check_plugin
    kit.__version__ = "0.9"
    result = run("plugins", "validate", "smp-unet")
    assert result.output == (
        "error: validating a plugin needs a newer smp-testing than 0.9; run: pip install -U smp-testing\n"
    )

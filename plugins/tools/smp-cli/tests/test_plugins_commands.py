"""``smp plugins list`` and ``show``, for people and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

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

"""list and show of necks, and of encoders that are resolved by name; what an encoder lets users choose."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

ACME = """
from smp_core.plugin import ArchitectureSpec, EncoderSpec, NeckSpec, Number, hookimpl


@hookimpl
def smp_resolve_encoder(name):
    if not name.startswith("fam-"):
        return None
    shape = {"out_channels": (3, 8), "reductions": (1, 2)}
    options = {"user_options": ("drop", "img_size"), "option_kinds": {"drop": Number()}}
    return EncoderSpec(name=name, target="a:b", license="MIT", **options, **shape)


@hookimpl
def smp_encoder_names():
    return [f"fam-{number}" for number in (10, 9, 1)]


@hookimpl
def smp_necks():
    return [NeckSpec(name="ladder", target="a:b", reductions=(4, 8), pyramid=True, options={"width": 3})]


@hookimpl
def smp_architectures():
    common = {"class_name": "A", "target": "a:b", "options": {}}
    return [
        ArchitectureSpec(name="needy", requires=(4, 8), **common),
        ArchitectureSpec(name="either", accepts_tokens=True, pyramid=False, **common),
        ArchitectureSpec(name="dense", tokens=True, pyramid=False, **common),
        ArchitectureSpec(name="free", pyramid=False, **common),
    ]
"""


@pytest.fixture
def acme(tmp_path: Path) -> dict[str, str]:
    """The environment in which a plugin with a neck, an open family and architectures is installed."""
    metadata = tmp_path / "acme_smp-0.3.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-smp\nVersion: 0.3\n")
    (metadata / "entry_points.txt").write_text("[smp_core]\nacme = acme_smp\n")
    (tmp_path / "acme_smp.py").write_text(ACME)
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH", ""))))}


# --- necks


def test_show_a_neck(run, sections):
    found = sections(run("show", "regrid").stdout)["regrid"]
    expected = {
        "kind": "neck",
        "qualified name": "smp-necks/regrid",
        "its licence": "MIT",
        "takes": "a feature pyramid",
        "reductions": "4, 8, 16, 32",
        "chosen": "where an encoder does not fit and no neck is named",
        "scriptable": "yes",
        "target": "smp_necks.regrid:Regrid",
    }
    assert {label: found[label] for label in expected} == expected


def test_show_a_strangers_neck(smp, sections, acme):
    found = sections(smp("show", "acme-smp/ladder", environment=acme).stdout)["ladder"]
    assert (found["takes"], found["chosen"]) == ("a plain transformer or a feature pyramid", "where it is named")
    assert (found["reductions"], found["options"], found["licence"]) == ("4, 8", "width=3", "unknown")


def test_a_list_of_necks(smp, acme):
    lines = smp("list", "necks", environment=acme).stdout.splitlines()
    assert lines == ["ladder", "regrid", "resize_pyramid", "simple_pyramid"]
    assert smp("list", "necks", "--provider", "acme_SMP", environment=acme).stdout == "ladder\n"
    nothing = smp("list", "necks", "--provider", "nobody")
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "", "No installed neck matches.\n")


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_a_table_of_necks(run):
    text = run("list", "necks").stdout
    assert text.split()[:4] == ["Neck", "What", "Takes", "Licence"]
    line = next(line for line in text.splitlines() if line.startswith("simple_pyramid "))
    for part in ("ViTDet", "a plain transformer", "MIT", "smp-necks"):
        assert part in line


def test_a_misspelt_neck(run):
    result = run("show", "simple_pyramyd")
    assert result.exit_code == 1
    assert result.output.startswith("error: unknown encoder 'simple_pyramyd'; ")
    assert result.output.endswith("Or the neck 'simple_pyramid' or 'resize_pyramid'?\n")


def test_plugins_name_their_necks(smp, acme):
    rows = [line.split("\t") for line in smp("plugins", environment=acme).stdout.splitlines()]
    provided = next(row[3] for row in rows if row[0] == "acme-smp")
    assert provided == "4 architectures; neck ladder; an open family of encoders"


# --- encoders that are resolved by name


def test_show_an_encoder_that_is_resolved_by_name(smp, sections, acme):
    for name in ("fam-x", "acme-smp/fam-x"):
        found = sections(smp("show", name, environment=acme).stdout)["fam-x"]
        assert (found["kind"], found["qualified name"]) == ("encoder", "acme-smp/fam-x")
    titles = sections(smp("show", name, environment=acme).stdout)
    unsaid = "its values are the implementation's to judge"
    assert titles["encoder_options"] == {"drop": "a number from 0 to 1", "img_size": unsaid}


def test_an_encoder_without_options_of_the_users_has_no_such_row(run, sections):
    assert "encoder_options" not in sections(run("show", "resnet18").stdout)


def test_they_are_listed_on_request(smp, acme):
    def names(*arguments: str) -> list[str]:
        return smp("list", "encoders", "--provider", "acme-smp", *arguments, environment=acme).stdout.splitlines()

    assert names() == []
    assert names("--open-families") == ["fam-1", "fam-9", "fam-10"]
    assert names("--open-families", "--license", "mit", "--weights", "none") == ["fam-1", "fam-9", "fam-10"]
    assert names("--open-families", "--weights", "any") == []


@pytest.mark.skipif(importlib.util.find_spec("smp_timm") is None, reason="smp-timm is not installed")
@pytest.mark.usefixtures("terminal")
def test_every_timm_model(run):
    lines = run("list", "encoders", "--open-families", "--provider", "smp-timm").stdout.splitlines()
    line = next(line for line in lines if line.startswith("tu-resnet18 "))
    assert "11.2 M" in line
    assert "encoder_options" in [line.strip() for line in run("show", "tu-resnet18").stdout.splitlines()]
    assert run("show", "tu-resnet18.no_such_tag").output.startswith(
        "error: unknown encoder 'tu-resnet18.no_such_tag'; "
    )


# --- what architectures need


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("needy", "an encoder with a feature pyramid and reduction 4, 8"),
        ("either", "any encoder, a plain transformer too"),
        ("dense", "an encoder with prefix tokens"),
        ("free", "an encoder that is no plain transformer"),
    ],
)
def test_show_what_an_architecture_needs(smp, sections, acme, name, needs):
    assert sections(smp("show", name, environment=acme).stdout)[name]["needs"] == needs

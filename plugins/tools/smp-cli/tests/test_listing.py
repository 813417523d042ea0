"""list, show, plugins and --version: for a terminal, for a pipe, and without torch."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import smp_core
from smp_cli.console import print_rows
from smp_cli.tables import millions, natural

LIGHT = """
import sys
from smp_cli.app import app
lists = (["list", "encoders"], ["list", "architectures"], ["list", "necks"])
for arguments in (*lists, ["show", "resnet34"], ["show", "regrid"], ["plugins"], ["--version"]):
    app(arguments, standalone_mode=False)
assert "smp_resnet.plugin" in sys.modules
heavy = {"torch", "numpy", "PIL"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.fixture
def broken_plugin(tmp_path: Path) -> dict[str, str]:
    """The environment in which a distribution with a broken plugin is installed."""
    metadata = tmp_path / "acme_smp_broken-0.3.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-smp-broken\nVersion: 0.3\n")
    (metadata / "entry_points.txt").write_text("[smp_core]\nbroken = acme_smp_broken\n")
    (tmp_path / "acme_smp_broken.py").write_text("raise RuntimeError('the flux is discharged')\n")
    inherited = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(tmp_path), inherited)))}


def test_listing_imports_nothing_heavy():
    result = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "unet" in result.stdout.splitlines()


@pytest.mark.parametrize("what", ["encoders", "architectures", "necks"])
def test_a_pipe_gets_one_name_a_line(run, what):
    result = run("list", what)
    assert result.exit_code == 0
    assert sorted(result.stdout.splitlines()) == sorted(getattr(smp_core, f"list_{what}")())


def test_names_are_in_natural_order(run):
    lines = run("list", "encoders", "--provider", "smp-resnet").stdout.splitlines()
    assert lines[:3] == ["resnet18", "resnet34", "resnet50"]
    assert sorted(["b10", "b9", "A2", "a-1"], key=natural) == ["A2", "a-1", "b9", "b10"]


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_tables(run):
    line = next(line for line in run("list", "encoders").stdout.splitlines() if line.startswith("resnet50 "))
    for text in ("23.5 M", "imagenet, ssl, swsl", "MIT", "smp-resnet"):
        assert text in line
    text = run("list", "architectures").stdout
    assert text.startswith("Architecture")
    assert "encoder and decoder joined by skip connections" in text


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals on Windows")
def test_a_real_terminal_is_recognised():
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "smp_cli", "list", "architectures"],
        stdout=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(theirs)
    output = b""
    try:
        while chunk := os.read(ours, 4096):
            output += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    assert b"Distribution" in output
    assert b"smp-unet" in output


def test_filters(run):
    def names(*arguments: str) -> list[str]:
        return run("list", "encoders", *arguments).stdout.splitlines()

    assert "resnext101_32x4d" in names("--weights", "swsl")
    assert "resnet34" not in names("--weights", "swsl")
    assert "resnet34" in names("--weights", "any")
    assert "resnet34" not in names("--weights", "none")
    assert "resnet34" in names("--capability", "dilation", "--provider", "SMP_ResNet", "--license", "mit")
    assert names("--capability", "tokens", "--provider", "smp-resnet") == []


def test_nothing_matches(smp):
    result = smp("list", "encoders", "--provider", "nobody")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.strip() == "No installed encoder matches."


def test_unknown_capability(run):
    result = run("list", "architectures", "--capability", "flight")
    assert result.exit_code == 1
    assert result.output == "error: unknown capability 'flight'; expected one of dilation, tokens, scriptable\n"


def test_show_encoder(run):
    lines = run("show", "resnet34").stdout.splitlines()
    for line in (
        "resnet34",
        "  kind: encoder",
        "  qualified name: smp-resnet/resnet34",
        "  parameters: 21,284,672",
        "  dilation: to output stride 8, 16",
        "  licence: MIT",
        "  paper: He et al., Deep Residual Learning for Image Recognition, arXiv:1512.03385",
        "weights imagenet (default)",
        "  repository: smp-hub/resnet34.imagenet",
        "  revision: 7a57b34f723329ff020b3f8bc41771163c519d0c",
        "  licence: BSD-3-Clause",
        "  mean: 0.485, 0.456, 0.406",
        "  std: 0.229, 0.224, 0.225",
    ):
        assert line in lines
    assert not any(line.endswith(": ") for line in lines)


def test_show_every_licence(run, sections):
    found = sections(run("show", "resnet50").stdout)
    assert {title: rows["licence"] for title, rows in found.items()} == {
        "resnet50": "MIT",
        "weights imagenet (default)": "BSD-3-Clause",
        "weights ssl": "CC-BY-NC-4.0",
        "weights swsl": "CC-BY-NC-4.0",
    }
    assert found["resnet50"]["its licence"] == "MIT"
    found = sections(run("show", "unet").stdout)
    assert (found["unet"]["licence"], found["unet"]["its licence"]) == ("MIT", "MIT")


ACME = """
from smp_core.plugin import EncoderSpec, WeightsSpec, hookimpl

@hookimpl
def smp_encoders():
    weights = {
        "free": WeightsSpec(repo_id="acme/free", license="Apache-2.0"),
        "found": WeightsSpec(repo_id="acme/found"),
        "research": WeightsSpec(repo_id="acme/research", license="CC-BY-NC-4.0"),
    }
    shape = {"target": "a:b", "out_channels": (3, 8), "reductions": (1, 2)}
    return [EncoderSpec(name="acme_tiny", weights=weights, default_weights="free", **shape)]
"""


@pytest.mark.parametrize(
    ("declared", "shown"),
    [
        ("", "unknown"),
        ("License:\n", "unknown"),
        ("License-Expression: Apache-2.0\nLicense: something older\n", "Apache-2.0"),
        ("License: BSD 3-Clause\n        Copyright (c) nobody\n        All rights reserved\n", "BSD 3-Clause"),
        ("Classifier: Typing :: Typed\nClassifier: License :: OSI Approved :: MIT License\n", "MIT License"),
    ],
)
def test_show_what_a_strangers_plugin_declares(smp, sections, tmp_path, declared, shown):
    metadata = tmp_path / "acme_smp_tiny-0.3.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme-smp-tiny\nVersion: 0.3\n{declared}\nText\n")
    (metadata / "entry_points.txt").write_text("[smp_core]\ntiny = acme_smp_tiny\n")
    (tmp_path / "acme_smp_tiny.py").write_text(ACME)
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH", ""))))
    found = sections(smp("show", "acme_tiny", environment={"PYTHONPATH": path}).stdout)
    assert {title: rows["licence"] for title, rows in found.items()} == {
        "acme_tiny": "unknown",
        "weights free (default)": "Apache-2.0",
        "weights found": "unknown",
        "weights research": "CC-BY-NC-4.0",
    }
    assert found["acme_tiny"]["its licence"] == shown


def test_show_architecture_with_its_options(run):
    lines = run("show", "unet").stdout.splitlines()
    assert "  kind: architecture" in lines
    assert "  class: Unet (in checkpoints)" in lines
    options = lines[lines.index("options") + 1 :]
    assert any(line.startswith("  decoder_channels: (256, 128, 64, 32, 16); ") for line in options)
    assert any(line.startswith("  decoder_attention_type: None; one of scse, or None; ") for line in options)


@pytest.mark.usefixtures("terminal")
def test_show_on_a_terminal_is_aligned(run):
    lines = [line.rstrip() for line in run("show", "resnet34").stdout.splitlines()]
    assert "  kind            encoder" in lines


def test_show_unknown_name(run):
    result = run("show", "resnet35")
    assert result.exit_code == 1
    assert result.output.startswith("error: unknown encoder 'resnet35'; did you mean ")


def test_plugins(run):
    result = run("plugins")
    assert result.exit_code == 0
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in result.stdout.splitlines()}
    assert rows["smp-unet"][1:3] == ["ok", "architecture unet"]
    assert rows["smp-resnet"][2] == "11 encoders"
    assert rows["smp-necks"][2] == "3 necks"
    assert rows["smp-resnet"][3].endswith(" ms")
    assert "resnet18, resnet34" in run("plugins", "--verbose").stdout


@pytest.mark.usefixtures("terminal")
def test_plugins_on_a_terminal(run):
    text = run("plugins").stdout
    assert text.split()[:5] == ["Distribution", "Version", "Status", "Provides", "Load"]
    assert "11 encoders" in text


def test_a_broken_plugin_is_reported(smp, broken_plugin):
    result = smp("plugins", environment=broken_plugin)
    assert result.returncode == 0
    line = next(line for line in result.stdout.splitlines() if line.startswith("acme-smp-broken"))
    assert line.split("\t")[1:4] == ["0.3", "broken", "nothing"]
    assert "RuntimeError: the flux is discharged" in line
    assert "Traceback" not in result.stdout
    verbose = smp("plugins", "--verbose", environment=broken_plugin).stdout
    assert "Traceback (most recent call last)" in verbose
    assert "acme_smp_broken.py" in verbose


def test_a_broken_plugin_is_noted_beside_a_list(smp, broken_plugin):
    result = smp("list", "architectures", environment=broken_plugin)
    assert result.returncode == 0
    assert "unet" in result.stdout.splitlines()
    assert result.stderr.strip() == "Broken, so not listed: acme-smp-broken. See: smp plugins"


def test_a_partial_plugin_is_noted_beside_a_list(smp, broken_plugin, tmp_path):
    source = """
        from smp_core.plugin import EncoderSpec, hookimpl

        @hookimpl
        def smp_encoders():
            shared = {"target": "acme:Encoder", "out_channels": (3, 8)}
            pairs = [("acme_whole", (1, 2)), ("-", (2, 1))]
            return [EncoderSpec(name=name, reductions=reductions, **shared) for name, reductions in pairs]
    """
    (tmp_path / "acme_smp_broken.py").write_text(textwrap.dedent(source))
    result = smp("list", "encoders", environment=broken_plugin)
    assert "acme_whole" in result.stdout.splitlines()
    assert result.stderr.strip() == "Listed in part: acme-smp-broken. See: smp plugins"
    line = next(line for line in smp("plugins", environment=broken_plugin).stdout.splitlines() if "acme" in line)
    assert line.split("\t")[1:4] == ["0.3", "partial", "encoder acme_whole"]
    assert "EncoderSpec '-' is invalid" in line


def test_a_broken_plugin_in_strict_mode_is_an_error(smp, broken_plugin):
    result = smp("plugins", environment={**broken_plugin, "SMP_PLUGINS_STRICT": "1"})
    assert result.returncode == 1
    assert result.stderr.startswith("error: plugin 'acme-smp-broken' 0.3 (acme_smp_broken): importing it failed")
    assert "Traceback" not in result.stderr
    for arguments, status in ((["--help"], 0), (["another"], 1)):
        result = smp(*arguments, environment={**broken_plugin, "SMP_PLUGINS_STRICT": "1"})
        assert result.returncode == status
        assert result.stderr.startswith("error: plugin 'acme-smp-broken' 0.3 (acme_smp_broken): importing it failed")
        assert "Traceback" not in result.stderr


def test_no_plugins(smp):
    result = smp("plugins", environment={"SMP_PLUGINS": "", "SMP_DISABLE_PLUGIN_AUTOLOAD": "1"})
    assert result.returncode == 0
    assert "disabled by SMP_DISABLE_PLUGIN_AUTOLOAD=1" in result.stdout


def test_versions(run):
    result = run("--version")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["smp-cli", "smp-core", "torch", "python"]


def test_help_names_every_command(run):
    text = run("--help").stdout
    for command in ("list", "show", "plugins", "demo", "predict"):
        assert f" {command} " in text


def test_parameters_for_people():
    assert millions(21_284_672) == "21.3 M"
    assert millions(None) == ""


def test_control_characters_of_metadata_are_written_out(capsys):
    """A stranger's summary must not clear the screen or change the title of the window."""
    print_rows("acme", [("what\x07", "\x1b]0;owned\x07 sum\x1b[2J")])
    assert capsys.readouterr().out == "acme\n  what\\x07: \\x1b]0;owned\\x07 sum\\x1b[2J\n"

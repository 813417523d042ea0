"""What the README shows works: its code runs, and its plugin is installed and used."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_quick_start(run):
    code = next(block for block in blocks("python") if block.startswith("import smp_core"))
    assert "torch.Size([2, 3, 500, 333])" in code
    code = code.replace("model(torch.zeros(2, 4, 500, 333)).shape", "print(model(torch.zeros(2, 4, 500, 333)).shape)")
    assert run(code).strip() == "torch.Size([2, 3, 500, 333])"


@pytest.mark.slow
def test_training(run):
    code = next(block for block in blocks("python") if "MicrographDataset" in block)
    rows = run(code + "print(matrix.score('iou_score', 'none')[1].item())\n").splitlines()
    assert any("nucleus" in row for row in rows)
    assert float(rows[-1]) > 0.6  # twenty steps; the demo takes eighty, with random crops


@pytest.fixture
def installed_plugin(tmp_path):
    """The README's three files, built and installed as a user would, into a folder of its own."""
    source = tmp_path / "source"
    (source / "acme_smp_tiny").mkdir(parents=True)
    (metadata,) = blocks("toml")
    plugin = next(block for block in blocks("python") if "smp_encoders" in block)
    encoder = next(block for block in blocks("python") if "class TinyEncoder" in block)
    lines = sum(len(text.splitlines()) for text in (metadata, plugin, encoder))
    assert lines <= 45, f"the README promises a plugin in about 40 lines, it has {lines}"
    (source / "pyproject.toml").write_text(metadata)
    (source / "acme_smp_tiny" / "__init__.py").write_text("")
    (source / "acme_smp_tiny" / "plugin.py").write_text(plugin)
    (source / "acme_smp_tiny" / "encoder.py").write_text(encoder)
    target = tmp_path / "target"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", str(target), str(source)], check=True, capture_output=True)
    return target


def test_plugin_in_forty_lines(installed_plugin, run):
    code = """
import smp_core, torch
assert "tiny" in smp_core.list_encoders(provider="acme-smp-tiny")
model = smp_core.create("unet", "acme-smp-tiny/tiny", encoder_weights=None, in_channels=2)
model.save_pretrained("out")
x = torch.rand(1, 2, 37, 64)
assert torch.equal(smp_core.from_pretrained("out").predict(x), model.predict(x))
print(tuple(model(x.repeat(2, 1, 1, 1)).shape))
"""
    assert run(code, str(installed_plugin)).strip() == "(2, 1, 37, 64)"


def test_ci_runs_the_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (command,) = re.findall(r"^tests='(.*)'$", script, flags=re.MULTILINE)
    assert f"```\n{command}\n```" in README


def test_every_distribution_is_in_the_table():
    names = [path.parent.name for path in ROOT.glob("plugins/*/*/pyproject.toml")]
    assert names
    for name in names:
        assert f"[`{name}`](plugins/" in README, name


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/design.md", "docs/plugins.md"])
def test_links_lead_somewhere(document):
    path = ROOT / document
    for link in re.findall(r"\]\(([^)#][^)]*)\)", path.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (path.parent / link.partition("#")[0]).exists(), f"{document}: {link}"

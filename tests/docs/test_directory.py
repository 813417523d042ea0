"""The directory of plugins: what is installed, checked and written of those that pass, fail, or cannot be examined."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STRANGERS = ROOT / "tests" / "strangers" / "distributions"
OPTIONS = ["--pip-option=--no-deps", "--pip-option=--no-build-isolation", "--pip-option=--no-index", "--quick"]


@pytest.fixture(scope="module")
def builder():
    specification = importlib.util.spec_from_file_location("build_directory", ROOT / "docs" / "plugins" / "build.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def liar(folder: Path) -> Path:
    """A neck whose levels are of one pixel, without a licence."""
    place = folder / "acme-liar"
    (place / "acme_liar").mkdir(parents=True)
    (place / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n[project]\n'
        'name = "acme-liar"\nversion = "0.1"\ndescription = "A neck"\n[tool.flit.module]\nname = "acme_liar"\n'
        '[project.entry-points.smp_core]\nliar = "acme_liar.plugin"\n'
    )
    (place / "acme_liar" / "__init__.py").write_text("")
    source = (STRANGERS / "acme-smp-stairs" / "acme_stairs" / "neck.py").read_text()
    assert source.count("size=[rows, columns]") == 1
    (place / "acme_liar" / "neck.py").write_text(source.replace("size=[rows, columns]", "size=[1, 1]"))
    plugin = (STRANGERS / "acme-smp-stairs" / "acme_stairs" / "plugin.py").read_text()
    (place / "acme_liar" / "plugin.py").write_text(plugin.replace("acme_stairs", "acme_liar"))
    return place


def test_the_directory_of_test_plugins(builder, tmp_path, capsys):
    folders = [STRANGERS / "acme-smp-stairs", STRANGERS / "acme-smp-tools", liar(tmp_path)]
    lines = ["# a comment", *map(str, folders), "acme-nowhere-to-be-found  # gone"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    builder.main(["--list", str(tmp_path / "list.txt"), "--out", str(tmp_path), *OPTIONS])
    good, tools, bad, gone = json.loads((tmp_path / "directory.json").read_text())
    assert (good["distribution"], good["version"], good["license"]) == ("acme-smp-stairs", "0.2", "MIT")
    assert (good["necks"], good["passed"], good["failures"]) == (["acme_stairs"], True, [])
    assert good["checks_run"] >= 30
    assert (tools["commands"], tools["passed"], tools["checks_run"]) == (["count"], None, 0)
    assert bad["passed"] is False
    assert any(item["check"].endswith("-every_level_covers_the_image") for item in bad["failures"])
    assert (gone["passed"], gone["checks_run"]) == (False, 0)
    assert gone["problem"].startswith("it cannot be installed: ERROR: ")
    text = (tmp_path / "README.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| `acme-smp-stairs`"))
    assert row == f"| `acme-smp-stairs` | 0.2 | neck `acme_stairs` | MIT |  | {good['checks_run']}, quick | pass |"
    assert "| `acme-liar` | 0.1 | neck `acme_liar` | unknown |  |" in text
    assert "| `acme-smp-tools` | 3 | command `count` | MIT |  | 0 | not checked |" in text
    assert "| `acme-nowhere-to-be-found` |  | nothing | unknown |  | 0 | **fail** |" in text
    assert "\n## acme-liar\n\n- `" in text
    # One line again: the others stay as they were.
    (tmp_path / "list.txt").write_text("\n".join([*lines, "acme-neither"]))
    builder.main(["--list", str(tmp_path / "list.txt"), "--out", str(tmp_path), "--only", "neither", *OPTIONS])
    again = json.loads((tmp_path / "directory.json").read_text())
    assert again[:-1] == [good, tools, bad, gone]
    assert again[-1]["problem"].startswith("it cannot be installed: ERROR: ")


def test_what_stands_is_of_the_list():
    """The page was built from the list that stands beside it."""
    folder = ROOT / "docs" / "plugins"
    entries = json.loads((folder / "directory.json").read_text())
    lines = [line.partition("#")[0].strip() for line in (folder / "distributions.txt").read_text().splitlines()]
    assert [entry["distribution"] for entry in entries] == [Path(line).name for line in lines if line]
    assert all(entry["passed"] is not False for entry in entries)
    text = (folder / "README.md").read_text()
    assert all(f"| `{entry['distribution']}` | {entry['version']} |" in text for entry in entries)


def test_numbers_for_people(builder):
    assert builder._parameters([3_000_000, 21_300_000]) == "3.0 M to 21.3 M"
    assert builder._parameters([3_000_000, 3_000_000]) == "3.0 M"
    assert builder._provides({"encoders": ["a", "b", "c", "d"], "necks": ["n"]}) == "4 encoders; neck `n`"

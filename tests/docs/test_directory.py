"""The directory of plugins: what is installed, checked and written of those that pass, fail, or cannot be examined."""

from __future__ import annotations

import importlib.util
import json
import re
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


def spoilt(folder: Path, name: str, old: str, new: str, *, where: str = "neck.py") -> Path:
    """A neck without a licence, one of whose files says something else."""
    package = name.replace("-", "_")
    place = folder / name
    (place / package).mkdir(parents=True)
    (place / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n[project]\n'
        f'name = "{name}"\nversion = "0.1"\ndescription = "A neck"\n[tool.flit.module]\nname = "{package}"\n'
        f'[project.entry-points.smp_core]\nplugin = "{package}.plugin"\n'
    )
    (place / package / "__init__.py").write_text("")
    for file in ("neck.py", "plugin.py"):
        source = (STRANGERS / "acme-smp-stairs" / "acme_stairs" / file).read_text()
        source = source.replace("acme_stairs", package)
        if file == where:
            assert source.count(old) == 1
            source = source.replace(old, new)
        (place / package / file).write_text(source)
    return place


def liar(folder: Path) -> Path:
    """Its levels are of one pixel."""
    return spoilt(folder, "acme-liar", "size=[rows, columns]", "size=[1, 1]")


def build(builder, folder: Path, *lines: object, options: tuple[str, ...] = ()) -> tuple[list[dict[str, object]], str]:
    """What the program writes of a list."""
    (folder / "list.txt").write_text("\n".join(map(str, lines)))
    builder.main(["--list", str(folder / "list.txt"), "--out", str(folder), *OPTIONS, *options])
    return json.loads((folder / "directory.json").read_text()), (folder / "README.md").read_text()


LEAVES = 'import os; print("[]"); print({"passed": True, "checks_run": 40, "failures": []}, flush=True); os._exit(0)'


def test_a_distribution_that_ends_its_process_fails_alone(builder, tmp_path):
    entries, text = build(
        builder,
        tmp_path,
        spoilt(tmp_path, "acme-leaver", "from smp_core.plugin", f"{LEAVES}\nfrom smp_core.plugin", where="plugin.py"),
        spoilt(tmp_path, "acme-quitter", "        super().__init__()\n", f"        {LEAVES}\n"),
        STRANGERS / "acme-smp-tools",
    )
    leaver, quitter, tools = entries
    assert [entry["passed"] for entry in entries] == [False, False, True]
    assert leaver["problem"] == "it cannot be examined: the process that imports its plugin ended with status 0"
    assert re.match(
        r"acme-quitter does not pass: the process of its checks ended with status 0, after \d checks?, the last of "
        r"them acme-quitter-\w+; a plugin must not end, leave or hold up the process that it is used in; the last line",
        quitter["problem"],
    )
    assert tools["commands"] == ["count"]
    ran = f"{quitter['checks_run']}, quick"
    assert f"| `acme-quitter` | 0.1 | neck `acme_quitter` | unknown |  | {ran} | **fail** |" in text
    assert "\n## acme-leaver\n\n- it cannot be examined: " in text


def test_a_distribution_that_never_ends_fails_alone(builder, tmp_path):
    loop = spoilt(tmp_path, "acme-loop", "from smp_core", "while True: pass\nfrom smp_core", where="plugin.py")
    (entry, other), _ = build(builder, tmp_path, loop, "acme-nowhere", options=("--timeout", "3"))
    wrong = "the process that imports its plugin was killed, as nothing came of it for 3 s"
    assert entry["problem"] == f"it cannot be examined: {wrong}"
    assert other["problem"].startswith("it cannot be installed: ERROR: ")


def test_what_is_disabled_is_not_checked(builder):
    entry = {"distribution": "acme-x", "status": "disabled", "error": None}
    disabled = builder._checked(entry, {}, None, quick=True, patience=1.0)
    assert (disabled["passed"], disabled["problem"], disabled["checks_run"]) == (False, "disabled", 0)


def test_the_directory_of_test_plugins(builder, tmp_path, capsys):
    folders = [STRANGERS / "acme-smp-stairs", STRANGERS / "acme-smp-tools", liar(tmp_path)]
    lines = ["# a comment", *map(str, folders), "acme-nowhere-to-be-found  # gone"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    builder.main(["--list", str(tmp_path / "list.txt"), "--out", str(tmp_path), *OPTIONS])
    good, tools, bad, gone = json.loads((tmp_path / "directory.json").read_text())
    assert (good["distribution"], good["version"], good["license"]) == ("acme-smp-stairs", "0.2", "MIT")
    assert (good["necks"], good["passed"], good["failures"]) == (["acme_stairs"], True, [])
    assert good["checks_run"] >= 30
    assert (tools["commands"], tools["passed"]) == (["count"], True)
    assert tools["checks_run"] >= 3
    assert bad["passed"] is False
    assert any(item["check"].endswith("-every_level_covers_the_image") for item in bad["failures"])
    assert (gone["passed"], gone["checks_run"]) == (False, 0)
    assert gone["problem"].startswith("it cannot be installed: ERROR: ")
    text = (tmp_path / "README.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| `acme-smp-stairs`"))
    assert row == f"| `acme-smp-stairs` | 0.2 | neck `acme_stairs` | MIT |  | {good['checks_run']}, quick | pass |"
    assert "| `acme-liar` | 0.1 | neck `acme_liar` | unknown |  |" in text
    assert f"| `acme-smp-tools` | 3 | command `count` | MIT |  | {tools['checks_run']}, quick | pass |" in text
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
    assert [entry["requirement"] for entry in entries] == [line for line in lines if line]
    assert all(entry["passed"] for entry in entries)
    text = (folder / "README.md").read_text()
    assert all(f"| `{entry['distribution']}` | {entry['version']} |" in text for entry in entries)


def test_numbers_for_people(builder):
    assert builder._parameters([3_000_000, 21_300_000]) == "3.0 M to 21.3 M"
    assert builder._parameters([3_000_000, 3_000_000]) == "3.0 M"
    assert builder._provides({"encoders": ["a", "b", "c", "d"], "necks": ["n"]}) == "4 encoders; neck `n`"

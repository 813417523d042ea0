"""Builds the directory of plugins: installs each distribution of a list alone, runs the checks, writes what came of it.

Run: ``python docs/plugins/build.py [--list FILE] [--out FOLDER] [--only TEXT] [--quick] [--pip-option=--no-deps ...]``,
beside smp-testing. Writes ``directory.json`` and ``README.md``. What a distribution does when it is imported runs here:
build the directory where that can do no harm.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
_LEFTOVERS = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")

# In a process of its own: what is installed into a folder before all else is found, described, and checked.
_PROBE = """
import importlib.metadata, json, sys
from pathlib import Path
import smp_core

folder = Path(sys.argv[1]).resolve()
found = []
for record in smp_core.plugins():
    try:
        distribution = importlib.metadata.distribution(record.distribution)
    except importlib.metadata.PackageNotFoundError:
        continue
    if Path(str(distribution.locate_file(""))).resolve() == folder:
        found.append((record, distribution.metadata))
rows = []
for record, metadata in found:
    names = [*record.encoders, *record.architectures, *record.necks]
    specs = [smp_core.describe(f"{record.distribution}/{name}").spec for name in names]
    counts = [spec.num_parameters for spec in specs if getattr(spec, "num_parameters", None)]
    license = metadata.get("License-Expression") or metadata.get("License")
    rows.append({
        "distribution": record.distribution,
        "version": record.version,
        "status": record.status,
        "error": record.error,
        "license": license.strip().splitlines()[0] if license and license.strip() else None,
        "encoders": record.encoders,
        "architectures": record.architectures,
        "necks": record.necks,
        "commands": record.commands,
        "parameters": [min(counts), max(counts)] if counts else None,
    })
print(json.dumps(rows))
"""
_CHECK = """
import json, sys
import smp_testing

report = smp_testing.check_plugin(sys.argv[1], surgery=[] if "quick" in sys.argv[2:] else None)
failures = [{"check": item.id, "message": item.message} for item in report.failures]
print(json.dumps({"checks_run": report.num_run, "passed": report.passed, "failures": failures}))
"""
_HEAD = """# Directory of plugins

Made by `build.py` from `{list}`; not edited. Each distribution was installed alone, beside smp-core {core}, and went
through the checks of smp-testing; "quick" are those without what people do to built modules, which take longest.
`directory.json` has it for programs. That a plugin passes says that it keeps the contracts, not that its code is to be
trusted ([security](../security.md)).

| distribution | version | provides | licence | parameters | checks | result |
|---|---|---|---|---|---|---|
"""


def examine(requirement: str, pip_options: Sequence[str], *, quick: bool = False) -> list[dict[str, Any]]:
    """Install a requirement alone and check its plugins.

    Args:
        requirement: what pip takes: a name, a wheel, a folder.
        pip_options: further ones of ``pip install``.
        quick: whether to leave out what people do to built modules ("surgery"), which takes longest.

    Returns:
        One entry a plugin; one with an ``error`` where it cannot be installed or has none.
    """
    with tempfile.TemporaryDirectory(prefix="directory-") as name:
        folder = Path(name) / "site"
        source = requirement
        if Path(requirement).is_dir():  # some build backends write beside the sources
            source = str(shutil.copytree(requirement, Path(name) / "source", ignore=_LEFTOVERS))
        pip = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), *pip_options, source]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
            return [_nothing(requirement, f"it cannot be installed: {lines[0] if lines else done.stderr[-300:]}")]
        done = _run(_PROBE, folder, str(folder))
        if done.returncode:
            return [_nothing(requirement, f"it cannot be examined: {done.stderr.splitlines()[-1]}")]
        entries = json.loads(done.stdout.splitlines()[-1])
        if not entries:
            return [_nothing(requirement, "it has no plugin")]
        return [{**entry, **_checked(entry, folder, quick=quick), "quick": quick} for entry in entries]


def _nothing(requirement: str, error: str) -> dict[str, Any]:
    return {"distribution": requirement, "version": None, "status": "broken", "error": error, **_unchecked(error)}


def _checked(entry: dict[str, Any], folder: Path, *, quick: bool) -> dict[str, Any]:
    if entry["status"] == "broken":
        return _unchecked(entry["error"])
    if not any(entry[kind] for kind in ("encoders", "architectures", "necks")):
        return _unchecked(None)  # commands alone are not checked
    done = _run(_CHECK, folder, entry["distribution"], *(["quick"] if quick else []))
    if done.returncode:
        return _unchecked(f"the checks ended: {done.stderr.splitlines()[-1] if done.stderr else done.returncode}")
    return {**json.loads(done.stdout.splitlines()[-1]), "problem": None}


def _unchecked(problem: str | None) -> dict[str, Any]:
    return {"checks_run": 0, "passed": None if problem is None else False, "failures": [], "problem": problem}


def _run(program: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", ""))))
    command = [sys.executable, "-c", program, *arguments]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def markdown(entries: Sequence[dict[str, Any]], listed: str, core: str) -> str:
    """The table, and below it what failed."""
    lines = [_HEAD.format(list=listed, core=core)]
    for entry in entries:
        result = {True: "pass", False: "**fail**", None: "not checked"}[entry["passed"]]
        cells = (
            f"`{entry['distribution']}`",
            entry["version"] or "",
            _provides(entry),
            entry.get("license") or "unknown",
            _parameters(entry.get("parameters")),
            f"{entry['checks_run']}{', quick' if entry.get('quick') and entry['checks_run'] else ''}",
            result,
        )
        lines.append(f"| {' | '.join(cells)} |\n")
    for entry in entries:
        wrong = [f"`{item['check']}`: {item['message'].splitlines()[0]}" for item in entry["failures"]]
        wrong += [entry["problem"].splitlines()[0]] if entry["problem"] else []
        if wrong:
            lines.append(f"\n## {entry['distribution']}\n\n" + "".join(f"- {item}\n" for item in wrong))
    return "".join(lines)


def _provides(entry: dict[str, Any]) -> str:
    parts = []
    for kind in ("encoders", "architectures", "necks", "commands"):
        names = entry.get(kind) or ()
        if len(names) > 3:
            parts.append(f"{len(names)} {kind}")
        elif names:
            parts.append(f"{kind.removesuffix('s') if len(names) == 1 else kind} {', '.join(f'`{n}`' for n in names)}")
    return "; ".join(parts) or "nothing"


def _parameters(counts: Sequence[int] | None) -> str:
    if not counts:
        return ""
    ends = [f"{count / 1e6:.1f} M" for count in dict.fromkeys(counts)]
    return " to ".join(ends)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", type=Path, default=HERE / "distributions.txt", help="one requirement a line")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument(
        "--pip-option", action="append", default=[], help="for pip install, as in --pip-option=--no-deps"
    )
    parser.add_argument("--only", help="examine those lines that contain this; the others stay as they were")
    parser.add_argument("--quick", action="store_true", help="leave out what people do to built modules")
    options = parser.parse_args(arguments)
    lines = [line.partition("#")[0].strip() for line in options.list.read_text(encoding="utf-8").splitlines()]
    written = options.out / "directory.json"
    before = json.loads(written.read_text(encoding="utf-8")) if options.only and written.exists() else []
    entries: list[dict[str, Any]] = []
    for line in filter(None, lines):
        if options.only and options.only not in line:
            entries += [entry for entry in before if entry["requirement"] == line]
            continue
        # A folder is meant from the list's own.
        place = options.list.resolve().parent / line
        found = examine(str(place) if place.exists() else line, options.pip_option, quick=options.quick)
        entries += [{"requirement": line, **entry} for entry in found]
    from smp_core._version import __version__

    written.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    text = markdown(entries, options.list.name, __version__)
    (options.out / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Builds the directory of plugins: installs each distribution of a list alone, runs the checks, writes what came of it.

Run: ``python docs/plugins/build.py [--list FILE] [--out FOLDER] [--only TEXT] [--quick] [--timeout SECONDS]
[--pip-option=--no-deps ...]``, beside smp-cli and smp-testing. Writes ``directory.json`` and ``README.md``. What a
distribution does when it is built, imported or used runs here, in processes of its own: it ends no other one's checks,
but build the directory where it can do no harm.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from smp_cli.errors import CliError
from smp_cli.plugins.checking import PATIENCE, check
from smp_cli.plugins.children import ChildError, ask
from smp_cli.plugins.interpreter import running_module

HERE = Path(__file__).resolve().parent
_LEFTOVERS = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")

# Seconds.
_INSTALLING = 1800.0
_HEAD = """# Directory of plugins

Made by `build.py` from `{list}`; not edited. Each distribution was installed alone, beside smp-core {core}, and went
through the checks of smp-testing; "quick" are those without what people do to built modules, which take longest.
`directory.json` has it for programs. That a plugin passes says that it keeps the contracts, not that its code is to be
trusted ([security](../security.md)).

| distribution | version | provides | licence | parameters | checks | result |
|---|---|---|---|---|---|---|
"""


def examine(
    requirement: str, pip_options: Sequence[str], *, quick: bool = False, patience: float = PATIENCE
) -> list[dict[str, Any]]:
    """Install a requirement alone and check its plugins.

    Args:
        requirement: what pip takes: a name, a wheel, a folder.
        pip_options: further ones of ``pip install``.
        quick: whether to leave out what people do to built modules ("surgery"), which takes longest.
        patience: seconds that one check may take.

    Returns:
        One entry a plugin; one with a ``problem`` where it cannot be installed or has none.
    """
    with tempfile.TemporaryDirectory(prefix="directory-", ignore_cleanup_errors=True) as name:
        folder = Path(name) / "site"
        try:
            _install(requirement, pip_options, folder, Path(name) / "source")
            path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", ""))))
            environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
            with (Path(name) / "output").open("w") as output:
                entries = _entries(folder, environment, output, patience)
                checked = [
                    {**entry, **_checked(entry, environment, output, quick=quick, patience=patience), "quick": quick}
                    for entry in entries
                ]
            return checked or [_nothing(requirement, "it has no plugin")]
        except _NotExaminedError as error:
            return [_nothing(requirement, str(error))]
        except Exception as error:  # one distribution never stops the others
            return [_nothing(requirement, f"it cannot be examined: {type(error).__name__}: {error}")]


class _NotExaminedError(Exception):
    """A distribution of which nothing can be said; the message says why."""


def _install(requirement: str, pip_options: Sequence[str], folder: Path, copy: Path) -> None:
    source = requirement
    if Path(requirement).is_dir():  # some build backends write beside the sources
        source = str(shutil.copytree(requirement, copy, ignore=_LEFTOVERS))
    pip = running_module("pip", "install", "-q", "--target", str(folder), *pip_options, "--", source)
    try:
        done = subprocess.run(pip, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=_INSTALLING)
    except subprocess.TimeoutExpired:
        raise _NotExaminedError(f"it cannot be installed: pip did not end in {_INSTALLING:g} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"pip ended with status {done.returncode}"]
        wrong = [line for line in said if "error" in line.lower()]
        raise _NotExaminedError(f"it cannot be installed: {(wrong or said[-1:])[0]}")


def _entries(folder: Path, environment: dict[str, str], output: IO[Any], patience: float) -> list[dict[str, Any]]:
    messages = ask(
        "smp_cli.plugins.entries:tell",
        {"folder": str(folder)},
        patience=patience,
        environment=environment,
        output=output,
    )
    try:
        return [entry for _, found in messages for entry in found]
    except (ChildError, CliError) as error:
        raise _NotExaminedError(
            f"it cannot be examined: the process that imports its plugin {error}{_last_line(output)}"
        ) from None


def _nothing(requirement: str, error: str) -> dict[str, Any]:
    name = Path(requirement).name if Path(requirement).exists() else requirement
    return {"distribution": name, "version": None, "status": "broken", "error": error, **_unchecked(error)}


def _checked(
    entry: dict[str, Any], environment: dict[str, str], output: IO[Any], *, quick: bool, patience: float
) -> dict[str, Any]:
    if entry["status"] in ("broken", "disabled"):
        return _unchecked(entry["error"] or entry["status"])
    try:
        checked = check(entry["distribution"], patience=patience, quick=quick, environment=environment, output=output)
    except CliError as error:
        return _unchecked(str(error))
    failures = [
        {"check": f"{item['component']}-{item['check']}", "message": item["message"]}
        for item in checked.report["checks"]
        if item["status"] in ("failed", "unexpected_pass")
    ]
    problem = None if checked.problem is None else f"{checked.problem.splitlines()[0]}{_last_line(output)}"
    return {
        "checks_run": checked.report["num_run"],
        "passed": checked.passed,
        "failures": failures,
        "problem": problem,
    }


def _last_line(output: IO[Any]) -> str:
    """The last that was printed, which often says why a process has ended; empty where nothing was."""
    lines = [line for line in Path(output.name).read_text(errors="replace").splitlines() if line.strip()]
    return f"; the last line that it printed: {lines[-1].strip()[:300]}" if lines else ""


def _unchecked(problem: str) -> dict[str, Any]:
    return {"checks_run": 0, "passed": False, "failures": [], "problem": problem}


def markdown(entries: Sequence[dict[str, Any]], listed: str, core: str) -> str:
    """The table, and below it what failed."""
    lines = [_HEAD.format(list=listed, core=core)]
    for entry in entries:
        result = "pass" if entry["passed"] else "**fail**"
        cells = (
            f"`{entry['distribution']}`",
            entry["version"] or "",
            _provides(entry),
            entry.get("license") or "unknown",
            _parameters(entry.get("parameters")),
            f"{entry['checks_run']}{', quick' if entry.get('quick') and entry['checks_run'] else ''}",
            result,
        )
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n")
    for entry in entries:
        wrong = [f"`{item['check']}`: {_first_line(item['message'])}" for item in entry["failures"]]
        wrong += [_first_line(entry["problem"])] if entry["problem"] else []
        if wrong:
            lines.append(f"\n## {entry['distribution']}\n\n" + "".join(f"- {item}\n" for item in wrong))
    return "".join(lines)


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "it does not say why")


def _provides(entry: dict[str, Any]) -> str:
    parts = []
    for kind in ("encoders", "architectures", "necks", "commands", "forms"):
        names = entry.get(kind) or ()
        if len(names) > 3:
            parts.append(f"{len(names)} {kind}")
        elif names:
            parts.append(f"{kind.removesuffix('s') if len(names) == 1 else kind} {', '.join(f'`{n}`' for n in names)}")
    parts += [f"an open family of {kind}" for kind in ("encoders", "architectures") if entry.get(f"resolves_{kind}")]
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
    parser.add_argument("--timeout", type=float, default=PATIENCE, help="seconds that one check may take")
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
        found = examine(
            str(place) if place.exists() else line, options.pip_option, quick=options.quick, patience=options.timeout
        )
        entries += [{"requirement": line, **entry} for entry in found]
    from smp_core._version import __version__

    written.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    text = markdown(entries, options.list.name, __version__)
    (options.out / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

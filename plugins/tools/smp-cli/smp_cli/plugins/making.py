"""``smp plugins new`` and ``smp plugins update``: a distribution from a template, and later changes of the template."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import typer

from smp_cli.errors import CliError
from smp_cli.plugins.naming import check_distribution, check_model, default_model
from smp_cli.plugins.template import ADDRESS, check_copier, run_copier

KINDS = ("encoder", "architecture", "neck")
ANSWERS = ".copier-answers.yml"


def new(kind: str, name: str, *, model: str | None, author: str | None, out: Path | None) -> None:
    """Make a distribution with a plugin.

    Args:
        kind: one of `KINDS`.
        name: of the distribution.
        model: what users will write; by default made of ``name``.
        author: who holds the copyright.
        out: folder to make; by default of the distribution's name.

    Raises:
        CliError: a kind, a name or an author that cannot be, or a folder that holds something.
    """
    if kind not in KINDS:
        raise CliError(f"there is no template for {kind!r}; expected one of {', '.join(KINDS)}")
    check_distribution(name)
    model = model or default_model(name)
    check_model(kind, model)
    if author is not None and not author.isprintable():
        raise CliError(f"--author {author!r}: expected one line of text, as 'Ann, Acme & Sons'")
    folder = out if out is not None else Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CliError(f"{str(folder)!r} is there already; choose another folder with --out")
    answers = {"kind": kind, "name": name, "model": model, **({"author": author} if author else {})}
    data = [argument for key, value in answers.items() for argument in ("--data", f"{key}={value}")]
    run_copier("copy", "--defaults", "--quiet", *data, ADDRESS, str(folder.resolve()))
    typer.echo(f"{folder}: the {kind} {model!r}, as the distribution {name}")
    for step in (
        f"cd {shlex.quote(str(folder))}",
        "git init && git add . && git commit -m Begin",
        'pip install -e ".[test]"',
        "pytest",
    ):
        typer.echo(f"  {step}")


def update(folder: Path) -> None:
    """Merge what newer versions of the template do otherwise into a distribution that was made from one.

    Nothing of the folder is imported or run, and its file of answers can name no template but this package's.

    Raises:
        CliError: it was not made from the template, is not tracked by git, or has changes that are not committed; or,
            once everything is merged, some of the user's lines and of the template's exclude one another.
    """
    before = _version(folder)
    run_copier("update", "--defaults", "--quiet", "--conflict", "inline", str(folder.resolve()))
    after = _version(folder)
    if before == after:
        typer.echo(f"{folder}: version {after} of the template, which is the newest")
    else:
        typer.echo(f"{folder}: from version {before} of the template to {after}; look at git diff, then commit")
    conflicts = _conflicts(folder)
    if conflicts:
        raise CliError(
            f"what you and the template changed differs in {', '.join(conflicts)}: choose between the lines that are "
            "marked there with <<<<<<< and >>>>>>>, then commit"
        )


def _conflicts(folder: Path) -> list[str]:
    """Files with marks of conflicts in them."""
    places = (path.relative_to(folder) for path in folder.rglob("*"))
    files = sorted(place for place in places if place.parts[0] != ".git" and (folder / place).is_file())
    marked = (place for place in files if re.search(rb"^<<<<<<< ", (folder / place).read_bytes(), re.MULTILINE))
    return [place.as_posix() for place in marked]


def _version(folder: Path) -> str:
    """Of the template that a folder was made from."""
    try:
        text = (folder / ANSWERS).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CliError(f"{str(folder)!r} was not made by smp plugins new: it has no {ANSWERS}") from None
    check_copier()
    yaml: Any = importlib.import_module("yaml")  # with which copier reads it, and is installed
    try:
        answers = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CliError(f"{str(folder / ANSWERS)!r} is no YAML: {' '.join(str(error).split())}") from None
    address, version = (answers.get(key) if isinstance(answers, dict) else None for key in ("_src_path", "_commit"))
    if address != ADDRESS:
        raise CliError(
            f"{str(folder)!r} was not made by smp plugins new: "
            f"{ANSWERS} names the template {address!r}, not {ADDRESS!r}"
        )
    if not re.fullmatch(r"\d+(\.\d+)*", str(version)):
        raise CliError(
            f"{str(folder / ANSWERS)!r}: _commit is {version!r}; expected a version of the template, as '1.0'"
        )
    return str(version)

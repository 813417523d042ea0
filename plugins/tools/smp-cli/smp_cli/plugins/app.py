"""The commands of ``smp plugins`` and their options; what they do is imported when they run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from smp_cli.errors import guarded

_SETTINGS = {"help_option_names": ["-h", "--help"]}

plugins_app = typer.Typer(
    help="What plugins are installed, and what is wrong with them; without a command it lists them.",
    invoke_without_command=True,
    context_settings=_SETTINGS,
)

Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Also all names, and the tracebacks of failures.")]
Distribution = Annotated[str, typer.Argument(metavar="DISTRIBUTION", help="An installed distribution with a plugin.")]


@plugins_app.callback()
@guarded
def plugins(context: typer.Context, verbose: Verbose = False, json: Json = False) -> None:
    if context.invoked_subcommand is None:
        from smp_cli.plugins.listing import print_plugins

        print_plugins(verbose=verbose, as_json=json)
    elif verbose or json:
        raise typer.BadParameter(f"options go behind the command: smp plugins {context.invoked_subcommand} ...")


@plugins_app.command("list")
@guarded
def list_plugins(verbose: Verbose = False, json: Json = False) -> None:
    """List every plugin found, what it provides, and what is wrong with it."""
    from smp_cli.plugins.listing import print_plugins

    print_plugins(verbose=verbose, as_json=json)


@plugins_app.command()
@guarded
def show(name: Distribution, json: Json = False) -> None:
    """Show one distribution: what it provides, where it lies, its licence, and what it needs."""
    from smp_cli.plugins.description import print_plugin

    print_plugin(name, as_json=json)


@plugins_app.command()
@guarded
def doctor(context: typer.Context, json: Json = False) -> None:
    """Find what is wrong with what is installed, and say what to do.

    Plugins that are broken, slow to import, installed twice, shadowed, conflicting, or incompatible with what else is
    installed; switches that name nothing; what is editable, and where everything lies. Exit status 1 where something
    does not work.
    """
    with _not_strict():
        from smp_cli.plugins.doctor import examine

    examine(commands=list(getattr(context.find_root().command, "commands", {})), as_json=json)


@contextmanager
def _not_strict() -> Iterator[None]:
    """In strict mode the first broken plugin is an error, as soon as the registry is imported, and hides the others."""
    strict = os.environ.get("SMP_PLUGINS_STRICT")
    if strict == "1":
        os.environ["SMP_PLUGINS_STRICT"] = "0"
    try:
        yield
    finally:
        if strict is not None:
            os.environ["SMP_PLUGINS_STRICT"] = strict


@plugins_app.command()
@guarded
def validate(
    name: Distribution,
    json: Json = False,
    timeout: Annotated[float, typer.Option(min=1.0, metavar="SECONDS", help="How long one check may take.")] = 600.0,
) -> None:
    """Run the checks of smp-testing on an installed plugin, in a process of their own.

    Exit status 1 where one fails, takes too long, or where the plugin ends the process.
    """
    from smp_cli.plugins.validating import validate

    validate(name, as_json=json, patience=timeout)


@plugins_app.command()
@guarded
def new(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="encoder, architecture or neck.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the distribution, as in acme-smp-hiera.")],
    model: Annotated[str | None, typer.Option(help="What users write; by default made of NAME: acme_hiera.")] = None,
    author: Annotated[str | None, typer.Option(help="Who holds the copyright.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to make; by default NAME.")] = None,
) -> None:
    """Make a distribution with a plugin that works: it builds, installs and passes the checks of smp-testing.

    Needs copier (pip install "smp-cli[new]") and git.
    """
    from smp_cli.plugins.making import new

    new(kind, name, model=model, author=author, out=out)


@plugins_app.command()
@guarded
def update(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="That smp plugins new has made.")] = Path(),
) -> None:
    """Merge what newer versions of the template do otherwise; your own changes stay. Needs a clean git repository."""
    from smp_cli.plugins.making import update

    update(folder)

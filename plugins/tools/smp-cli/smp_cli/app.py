"""The commands and their options. What they do is imported when they run, so that the light ones stay light."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from smp_cli.commands import WithPlugins
from smp_cli.errors import Debug, guarded
from smp_cli.plugins.app import plugins_app
from smp_cli.predicting import predict

_SETTINGS = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    cls=WithPlugins,
    help="Semantic-segmentation models from separately installed encoders, necks and architectures.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings=_SETTINGS,
)
list_app = typer.Typer(
    help="List what is installed: a table, or one name a line where the output is not a terminal.",
    no_args_is_help=True,
    context_settings=_SETTINGS,
)
app.add_typer(list_app, name="list")
app.add_typer(plugins_app, name="plugins")

_REQUIRED_IOU = 0.80

Provider = Annotated[str | None, typer.Option(help="Only those of this distribution.")]
Capability = Annotated[str | None, typer.Option(help="Only those with it: dilation, tokens or scriptable.")]
License = Annotated[str | None, typer.Option(help="Only those whose code has this licence (SPDX identifier).")]
OpenFamilies = Annotated[
    bool, typer.Option("--open-families", help="Also those that are resolved by name, as every timm model is.")
]


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _print_versions(wanted: bool) -> None:
    if not wanted:
        return
    for name in ("smp-cli", "smp-core", "torch"):
        typer.echo(f"{name} {_version_of(name)}")
    typer.echo(f"python {platform.python_version()}")
    raise typer.Exit


@app.callback()
def main(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", help="Show versions and exit.", callback=_print_versions, is_eager=True)
    ] = False,
) -> None:
    Debug.on = debug


@list_app.command("encoders")
@guarded
def list_encoders(
    provider: Provider = None,
    weights: Annotated[
        str | None, typer.Option(help="Only those with this set of pretrained weights; 'any' or 'none' also work.")
    ] = None,
    capability: Capability = None,
    license: License = None,
    open_families: OpenFamilies = False,
) -> None:
    """List the installed encoders."""
    from smp_cli.tables import print_encoders

    chosen = {"any": True, "none": False}.get(weights, weights) if weights is not None else None
    print_encoders(
        provider=provider, weights=chosen, capability=capability, license=license, open_families=open_families
    )


@list_app.command("architectures")
@guarded
def list_architectures(
    provider: Provider = None,
    capability: Capability = None,
    license: License = None,
    open_families: OpenFamilies = False,
) -> None:
    """List the installed architectures."""
    from smp_cli.tables import print_architectures

    print_architectures(provider=provider, capability=capability, license=license, open_families=open_families)


@list_app.command("necks")
@guarded
def list_necks(provider: Provider = None) -> None:
    """List the installed necks."""
    from smp_cli.tables import print_necks

    print_necks(provider=provider)


@app.command()
@guarded
def show(
    name: Annotated[str, typer.Argument(help="Name of an encoder, neck or architecture, qualified or not.")],
) -> None:
    """Show everything that is known about an encoder, neck or architecture."""
    from smp_cli.show import print_spec

    print_spec(name)


@app.command()
@guarded
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write the model and the picture into.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Of the initial parameters and of the random crops.")] = 0,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps; by default what the required IoU takes.")
    ] = None,
    require_iou: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help=f"Fail below this held-out IoU; {_REQUIRED_IOU} by default, unless --steps is given."
        ),
    ] = None,
) -> None:
    """Train Unet over ResNet-34 on a real micrograph, from scratch, in about a minute on two cores.

    Prints the IoU on a held-out quadrant, saves the model, loads it back, and draws a picture. Needs smp-unet and
    smp-resnet; needs no network.
    """
    from smp_cli.quickstart.recipe import Recipe
    from smp_cli.quickstart.run import run_demo

    if require_iou is None and steps is None:
        require_iou = _REQUIRED_IOU
    recipe = Recipe(seed=seed) if steps is None else Recipe(seed=seed, steps=steps)
    run_demo(out, recipe, require_iou)


app.command()(guarded(predict))


@app.command()
@guarded
def move(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Python files, notebooks, and folders of these.")],
    write: Annotated[
        bool, typer.Option("--write", help="Rewrite the imports to smp_compat, after showing what that changes.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what --write would change, and write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --write: do not ask.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """List each use of segmentation_models_pytorch with what it becomes, and rewrite the imports on request.

    Reads Python files and notebooks, and runs nothing of them. Says what to install, for the native lines and for the
    imports alone.
    """
    from smp_cli.move.run import run_move

    run_move(paths, write=write, show_diff=diff and not write, as_json=json, yes=yes)

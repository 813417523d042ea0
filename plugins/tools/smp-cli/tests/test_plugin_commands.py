"""Commands that plugins add to ``smp``."""

import os
import textwrap

import pytest

PLUGIN = """
from smp_core.plugin import CommandSpec, hookimpl

@hookimpl
def smp_commands():
    return [
        CommandSpec(name="greet", target="acme_commands.hello:greet", summary="Greet somebody."),
        CommandSpec(name="tools", target="acme_commands.hello:app", former_names=("utensils",)),
        CommandSpec(name="clicked", target="acme_commands.hello:clicked"),
        CommandSpec(name="number", target="acme_commands.hello:NUMBER"),
        CommandSpec(name="gone", target="acme_commands.hello:gone"),
        CommandSpec(name="show", target="acme_commands.hello:show"),
        CommandSpec(name="twin", target="acme_commands.hello:show"),
        CommandSpec(name="later", target="acme_commands.hello:later"),
        CommandSpec(name="bit", target="acme_commands.hello:bit"),
        CommandSpec(name="lazy", target="acme_commands.hello:LAZY"),
        CommandSpec(name="latent", target="acme_commands.hello:latent"),
    ]
"""
HELLO = """
import typer

print("hello was imported")
NUMBER = 3
app = typer.Typer()

def greet(name: str, loud: bool = False) -> None:
    "Greet NAME."
    if name == "nobody":
        raise ValueError("there is nobody")
    print(f"HELLO {name}" if loud else f"hello {name}")

@app.command()
def saw(length: int = 3) -> None:
    print(f"sawed {length}")

@app.command()
def file() -> None:
    raise typer.Exit(7)

def show() -> None:
    print("another show")

click = typer.main.get_command(app)
clicked = click

async def later(name: str) -> None:
    print("never")

def bit() -> None:
    print("never")
    yield

class Lazy:
    def __call__(self) -> None:
        print("never")

LAZY = Lazy()
latent = typer.Typer()

@latent.command()
def soon() -> None:
    print("soon")

@latent.command()
async def never() -> None:
    print("never")
"""
TWIN = """
from smp_core.plugin import CommandSpec, hookimpl

@hookimpl
def smp_commands():
    return [CommandSpec(name="twin", target="acme_twin:run")]
"""


@pytest.fixture
def acme(tmp_path):
    """The environment in which two distributions that add commands are installed."""
    for name, entry in (("acme_commands", "acme_commands.plugin"), ("acme_twin", "acme_twin")):
        info = tmp_path / f"{name}-0.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 0.3\n")
        (info / "entry_points.txt").write_text(f"[smp_core]\nplugin = {entry}\n")
    (tmp_path / "acme_commands").mkdir()
    (tmp_path / "acme_commands" / "__init__.py").write_text("")
    (tmp_path / "acme_commands" / "plugin.py").write_text(PLUGIN)
    (tmp_path / "acme_commands" / "hello.py").write_text(textwrap.dedent(HELLO))
    (tmp_path / "acme_twin.py").write_text(TWIN)
    inherited = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(tmp_path), inherited))), "COLUMNS": "120"}


def test_they_are_listed_beside_ours_and_not_imported(smp, acme):
    result = smp("--help", environment=acme)
    assert result.returncode == 0
    lines = [line.strip("│ \n") for line in result.stdout.splitlines()]
    assert any(line.split() == ["greet", "Greet", "somebody."] for line in lines)
    assert any(line.startswith("show ") and "everything that is known" in line for line in lines)
    assert any(line.startswith("acme-commands/show") for line in lines)  # by the name that reaches it
    assert "hello was imported" not in result.stdout
    table = smp("plugins", "--verbose", environment=acme).stdout
    assert "commands greet, tools, clicked, number, gone, show, twin, later, bit, lazy, latent" in table


def test_a_function(smp, acme):
    result = smp("greet", "you", "--loud", environment=acme)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == ["hello was imported", "HELLO you"]
    usage = smp("greet", "--help", environment=acme).stdout
    assert "smp greet" in usage
    assert "--loud" in usage
    assert "Greet NAME." in usage
    missing = smp("greet", environment=acme)
    assert missing.returncode == 2
    assert "Missing argument" in missing.stderr


def test_its_errors_are_lines(smp, acme):
    result = smp("greet", "nobody", environment=acme)
    assert result.returncode == 1
    assert result.stderr == "error: ValueError: there is nobody (smp --debug shows the traceback)\n"
    debug = smp("--debug", "greet", "nobody", environment=acme)
    assert debug.returncode == 1
    assert "Traceback (most recent call last)" in debug.stderr


@pytest.mark.parametrize("name", ["tools", "utensils", "clicked", "acme-commands/tools"])
def test_an_application(smp, acme, name):
    result = smp(name, "saw", "--length", "5", environment=acme)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == ["hello was imported", "sawed 5"]
    assert smp(name, "file", environment=acme).returncode == 7


def test_a_name_of_ours_stays_ours(smp, acme):
    assert "Unet" in smp("show", "unet", environment=acme).stdout
    result = smp("acme-commands/show", environment=acme)
    assert result.stdout.splitlines() == ["hello was imported", "another show"]


def test_a_name_of_two_plugins(smp, acme):
    result = smp("twin", environment=acme)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "error: command 'twin' is provided by 2 plugins:",
        "  acme-commands 0.3: write 'acme-commands/twin'",
        "  acme-twin 0.3: write 'acme-twin/twin'",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "number",
            "error: command 'acme-commands/number': 'acme_commands.hello:NUMBER' is an object of type int; expected a "
            "function, a Typer application or a command of Click",
        ),
        (
            "gone",
            "error: command 'acme-commands/gone': module 'acme_commands.hello' has no 'gone' (target "
            "'acme_commands.hello:gone')",
        ),
        (
            "later",
            "error: command 'acme-commands/later': 'acme_commands.hello:later' runs nothing when it is called: later "
            "is an async function; name a plain one that calls asyncio.run",
        ),
        (
            "bit",
            "error: command 'acme-commands/bit': 'acme_commands.hello:bit' runs nothing when it is called: bit is a "
            "generator; name a function without yield",
        ),
        (
            "lazy",
            "error: command 'acme-commands/lazy': 'acme_commands.hello:LAZY' is an object of type Lazy; expected a "
            "function, a Typer application or a command of Click",
        ),
        (
            "latent",
            "error: command 'acme-commands/latent': 'acme_commands.hello:latent' runs nothing when it is called: never "
            "is an async function; name a plain one that calls asyncio.run",
        ),
        (
            "acme-none/x",
            "error: command 'acme-none/x': no plugin of the distribution 'acme-none' is installed; run: pip install "
            "acme-none",
        ),
    ],
)
def test_what_cannot_be_run(smp, acme, name, message):
    result = smp(name, environment=acme)
    assert result.returncode == 1
    assert result.stderr == f"{message}\n"


def test_an_unknown_command(smp, acme, tmp_path):
    result = smp("gret", environment=acme)
    assert result.returncode == 2
    assert "No such command 'gret'" in result.stderr
    (tmp_path / "acme_twin.py").write_text("1 / 0")
    result = smp("gret", environment=acme)
    assert result.returncode == 1
    assert result.stderr.startswith("error: unknown command 'gret'; did you mean 'greet'?")
    assert "Plugins that failed, one of which may provide it:\n  plugin 'acme-twin' 0.3 (acme_twin)" in result.stderr

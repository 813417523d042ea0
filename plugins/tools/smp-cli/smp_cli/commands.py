"""Commands that plugins add: listed beside our own, and imported when they run."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from smp_cli.console import print_error
from smp_cli.errors import guarded
from smp_core.errors import PluginError, RegistryError, UnknownCommandError

if TYPE_CHECKING:
    from smp_core.plugin import CommandSpec
    from smp_core.registry import Registered

# What is not known here is for the plugin's command to read, its --help, too.
_SETTINGS = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


class WithPlugins(TyperGroup):
    """A group whose own commands come first, and which takes those of plugins besides.

    A plugin's command of a name of ours, or of several plugins, is reached by its qualified name:
    ``smp acme-smp-tools/predict``.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """Our own in their order, then those of plugins, each by the name that reaches it."""
        own = super().list_commands(ctx)
        try:
            from smp_core.registry import list_commands, resolve_command
        except PluginError as error:  # in strict mode
            print_error(f"error: {error}")
            return own
        theirs = (name if name not in own else resolve_command(name).qualified_name for name in list_commands())
        return [*own, *theirs]

    def get_command(self, ctx: Any, name: str) -> Any:
        """Our own of that name, or a plugin's; None where there is neither."""
        own = super().get_command(ctx, name)
        if own is not None:
            return own
        try:
            from smp_core.registry import resolve_command

            item = resolve_command(name)
        except UnknownCommandError as error:
            if "/" not in name and not _may_be_hidden():
                return None
            print_error(f"error: {error}")
        except (PluginError, RegistryError) as error:
            print_error(f"error: {error}")
        else:
            return _command(name, item)
        raise typer.Exit(1)


def _may_be_hidden() -> bool:
    """Whether a plugin failed that may have had the command; then the error must say so."""
    from smp_core.registry import plugins

    return any(record.status in ("broken", "partial") for record in plugins())


def _command(name: str, item: Registered[CommandSpec]) -> Any:
    """A command that imports the plugin's when it runs, and gives it everything that follows its name."""
    stub = typer.Typer(add_completion=False)

    @stub.command(name, short_help=item.spec.summary, context_settings=_SETTINGS)
    @guarded
    def run(context: typer.Context) -> None:
        _load(item)(args=context.args, prog_name=f"smp {name}")

    return typer.main.get_command(stub)


def _load(item: Registered[CommandSpec]) -> Any:
    """What a spec names, as a command.

    Raises:
        PluginError: it cannot be imported, is nothing that can be called, or nothing that runs when it is.
    """
    from smp_core.parts.targets import load_target

    target: Any = load_target(item.spec.target, item.title)
    if isinstance(target, typer.Typer):
        target = typer.main.get_command(target)
    if hasattr(target, "main") and hasattr(target, "make_context"):  # Click's, or Typer's of it
        _check_runs(target, item)
        return target
    if not inspect.isroutine(target):  # Typer reads the signature of nothing else
        raise PluginError(
            f"{item.title}: {item.spec.target!r} is an object of type {type(target).__name__}; expected a function, a "
            "Typer application or a command of Click"
        )
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command()(guarded(target))
    command = typer.main.get_command(alone)
    _check_runs(command, item)
    return command


def _check_runs(command: Any, item: Registered[CommandSpec]) -> None:
    """Refuse functions, also of subcommands, of which a call runs nothing: it makes a coroutine or a generator."""
    function = inspect.unwrap(command.callback) if callable(command.callback) else None
    name = getattr(function, "__name__", "")
    wrong = f"{item.title}: {item.spec.target!r} runs nothing when it is called: {name} is"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise PluginError(f"{wrong} an async function; name a plain one that calls asyncio.run")
    if inspect.isgeneratorfunction(function):
        raise PluginError(f"{wrong} a generator; name a function without yield")
    for subcommand in getattr(command, "commands", {}).values():
        _check_runs(subcommand, item)

"""Commands that a plugin adds: what their targets name can be called."""

import pytest

from smp_core.plugin import CommandSpec
from smp_core.registry import Registered
from smp_testing import check_plugin
from smp_testing.cases import PluginCase
from smp_testing.checks.plugin import commands_can_be_called
from smp_testing.expectations import ConformanceError


def case(target):
    spec = CommandSpec(name="greet", target=f"acme_wrong_command.commands:{target}", summary="Greet.")
    return PluginCase("acme-greet", (), commands=(Registered(spec=spec, distribution="acme-greet", version="1.0"),))


def test_a_function_is_right(site):
    commands_can_be_called(case("right"))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "NUMBER",
            r"acme_wrong_command.commands:NUMBER' is an object of type int; expected a function, a Typer",
        ),
        (
            "waits",
            r"acme_wrong_command.commands:waits' is an async function; expected a function, a Typer",
        ),
        (
            "gone",
            r"module 'acme_wrong_command.commands' has no 'gone' .*; expected the target of a command to be there",
        ),
    ],
)
def test_what_cannot_be_called(site, target, message):
    with pytest.raises(ConformanceError, match=message):
        commands_can_be_called(case(target))


def test_they_are_collected(site):
    report = check_plugin("acme-wrong-command")
    (failure,) = report.failures
    assert failure.id == "acme-wrong-command-commands_can_be_called"
    assert "'json:number'" in failure.message

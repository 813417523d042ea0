"""Checks of a distribution: what importing its modules does to a fresh process."""

from __future__ import annotations

import inspect
import json

from smp_core.errors import PluginError
from smp_core.parts.targets import load_target
from smp_testing import probe
from smp_testing.cases import PluginCase
from smp_testing.expectations import ConformanceError, expect
from smp_testing.licences import identifiers_in, restrictions_of, wrong_expression


def plugin_module_is_light(case: PluginCase) -> None:
    """Discovery imports the plugin modules, asks their hooks, and no torch, timm, torchvision or numpy comes along."""
    records = probe.run(case.distribution, "discovery", case.distribution)
    expect(records, f"{case.name}: no plugin of this distribution is found in a fresh process, expected one at least")
    for record in records:
        expect(record["status"] == "ok", f"expected status 'ok', got {record['status']!r}: {record['error']}")


def implementation_import_leaves_global_state_alone(case: PluginCase) -> None:
    """The modules that the specs' targets name can be imported, and that changes nothing in the process.

    What other packages change when they are imported is not the plugin's doing (scipy.stats adds filters of warnings):
    where there is a difference, it is measured again after all of their modules that came along have been imported.
    """
    modules = json.dumps(case.modules)
    answer = probe.run(case.distribution, "implementations", modules, "[]")
    expect(not answer["failures"], f"{case.name}: cannot import {'; '.join(answer['failures'])}")
    if answer["changes"]:
        own = {module.partition(".")[0] for module in case.modules}
        others = [module for module in answer["modules"] if module.partition(".")[0] not in own]
        answer = probe.run(case.distribution, "implementations", modules, json.dumps(others))
    changes = "\n  ".join(answer["changes"])
    expect(not changes, f"importing {', '.join(case.modules)} changes global state, expected none:\n  {changes}")


def declarations_name_what_is_checked(case: PluginCase) -> None:
    """What the hook ``smp_conformance`` declares is of components and checks that there are."""
    wrong = "; ".join(case.wrong_declarations)
    expect(not wrong, f"{case.name}: expected_failures of its ConformanceSpec: {wrong}; expected names that there are")


def commands_can_be_called(case: PluginCase) -> None:
    """What each command's target names is there, and is a function, a Typer application or a command of Click."""
    for item in case.commands:
        try:
            target = load_target(item.spec.target, item.title)
        except PluginError as error:
            raise ConformanceError(f"{error}; expected the target of a command to be there") from error
        expect(
            callable(target) and not inspect.iscoroutinefunction(target),
            f"{item.title}: {item.spec.target!r} is {_kind(target)}; expected a function, a Typer application or a "
            "command of Click",
            hint="of an async function make a plain one that calls asyncio.run",
        )


def _kind(target: object) -> str:
    return "an async function" if callable(target) else f"an object of type {type(target).__name__}"


def licences_are_true(case: PluginCase) -> None:
    """Each ``license`` is an SPDX expression, and no freer than what the distribution states of itself."""
    restrictions = restrictions_of(case.distribution)
    for what, licence in case.licences:
        wrong = wrong_expression(licence)
        expect(
            wrong is None,
            f"{what}: license={licence!r} is no SPDX expression: {wrong}; expected one, such as 'Apache-2.0'",
            hint="identifiers are those of https://spdx.org/licenses; write LicenseRef-<name> for any other licence",
        )
        for stated in [] if what.startswith("weights ") else restrictions:
            named = {item.casefold() for item in identifiers_in(licence)}
            expect(
                named & {item.casefold() for item in stated.identifiers},
                f"{what}: license={licence!r}, but the distribution states {' or '.join(stated.identifiers)} "
                f"({stated.where}); expected the spec to say so, too",
            )

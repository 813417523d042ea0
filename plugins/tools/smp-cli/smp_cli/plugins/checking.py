"""Runs the checks of smp-testing on one installed distribution, in a process of its own."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import IO, Any

from smp_cli.errors import CliError
from smp_cli.plugins.children import ChildError, Say, ask

PATIENCE = 600.0
"""Seconds that one check may take, by default."""
_RESULT, _REPORT = "result", "report"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What came of the checks.

    Attributes:
        report: all of it, as `smp_testing.PluginReport.as_dict` gives it; of checks that did not end, what came of
            those before, with the reason under ``"error"``.
        summary: the report for people.
        problem: why there is no whole report; None where there is one.
    """

    report: Mapping[str, Any]
    summary: str
    problem: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the plugin passes; without a whole report it does not."""
        return self.problem is None and self.report["passed"] is True


def check(
    name: str,
    *,
    patience: float = PATIENCE,
    quick: bool = False,
    environment: Mapping[str, str] | None = None,
    output: int | IO[Any] | None = None,
) -> Checked:
    """Check a distribution's plugin. No plugin is imported in this process.

    Args:
        name: of the distribution.
        patience: seconds that one check may take.
        quick: whether to leave out what people do to built modules ("surgery"), which takes longest.
        environment: variables of the process; those of this one where none are given.
        output: where goes what plugins print; standard error where none is given.

    Raises:
        CliError: no plugin is of that distribution; smp-testing is not installed, or is too old.
    """
    results: list[dict[str, Any]] = []
    arguments = {"name": name, "quick": quick}
    messages = ask(f"{__name__}:run", arguments, patience=patience, environment=environment, output=output)
    try:
        for kind, value in messages:
            if kind == _REPORT:
                return Checked(report=value["report"], summary=value["summary"])
            results.append(value)
    except ChildError as error:
        return _unfinished(name, results, str(error))
    finally:
        messages.close()
    return _unfinished(name, results, "ended without a report")


def _unfinished(name: str, results: list[dict[str, Any]], what: str) -> Checked:
    last = f"{results[-1]['component']}-{results[-1]['check']}" if results else None
    where = f"after {_checks(len(results))}, the last of them {last}" if last else "before the first check"
    problem = (
        f"{name} does not pass: the process of its checks {what}, {where}; "
        "a plugin must not end, leave or hold up the process that it is used in"
    )
    failed = [item for item in results if item["status"] in ("failed", "unexpected_pass")]
    problem += "".join(f"\nfailed before: {item['component']}-{item['check']}: {item['message']}" for item in failed)
    run = sum(item["status"] != "skipped" for item in results)
    report = {"plugin": name, "passed": False, "num_run": run, "error": problem, "checks": results}
    return Checked(report=report, summary=problem, problem=problem)


def _checks(count: int) -> str:
    return f"{count} check{'' if count == 1 else 's'}"


def run(say: Say, name: str, *, quick: bool) -> None:
    """The child's side: say each result as it comes, then the report."""
    from smp_cli.plugins.description import records_of

    check_plugin = _check_plugin()
    records_of(name, "validate")
    options: dict[str, Any] = {"surgery": []} if quick else {}
    report = check_plugin(name, on_result=lambda result: say(_RESULT, asdict(result)), **options)
    say(_REPORT, {"report": report.as_dict(), "summary": report.summary()})


def _check_plugin() -> Any:
    try:
        testing = importlib.import_module("smp_testing")
    except ModuleNotFoundError as error:
        if error.name != "smp_testing":
            raise
        raise CliError(
            "validating a plugin needs smp-testing, which is not installed; run: pip install smp-testing"
        ) from None
    try:
        return testing.check_plugin
    except AttributeError:
        version = getattr(testing, "__version__", "of an unknown version")
        raise CliError(
            f"validating a plugin needs a newer smp-testing than {version}; run: pip install -U smp-testing"
        ) from None

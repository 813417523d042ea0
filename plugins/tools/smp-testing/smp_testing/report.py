"""What became of the checks of a plugin, as values for people and programs. Nothing here imports torch."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal["passed", "failed", "skipped", "expected_failure", "unexpected_pass"]

FAILURES: tuple[Status, ...] = ("failed", "unexpected_pass")
"""With any of these a plugin does not pass."""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What became of one check.

    Attributes:
        component: what was checked: an encoder, an architecture over a kind of encoder, a neck over a kind of features,
            or the distribution.
        check: the check's name, as in the table of smp-testing's README.
        status: ``"passed"``; ``"failed"``; ``"expected_failure"``, which the plugin declares with its reason;
            ``"unexpected_pass"`` of such a one; ``"skipped"``, as it would only repeat what another check found.
        message: what came and what was expected, or why; empty where it passed.
        hint: what to write; may be empty.
        seconds: that it took.
    """

    component: str
    check: str
    status: Status
    message: str = ""
    hint: str = ""
    seconds: float = 0.0

    @property
    def id(self) -> str:
        """``"<component>-<check>"``."""
        return f"{self.component}-{self.check}"


@dataclass(frozen=True, kw_only=True)
class PluginReport:
    """What became of every check of a plugin.

    Attributes:
        plugin: the distribution.
        version: its version.
        checks: in the order in which they were collected.
        seconds: that all took together.
    """

    plugin: str
    version: str
    checks: tuple[CheckResult, ...]
    seconds: float = 0.0

    @property
    def counts(self) -> dict[Status, int]:
        """How many checks have each status; those that none has are left out."""
        return dict(Counter(result.status for result in self.checks))

    @property
    def num_run(self) -> int:
        """How many checks ran: all but those that were skipped."""
        return sum(result.status != "skipped" for result in self.checks)

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The checks for which the plugin does not pass."""
        return tuple(result for result in self.checks if result.status in FAILURES)

    @property
    def passed(self) -> bool:
        """Whether checks ran and none of them failed, nor passed where a failure was declared."""
        return bool(self.num_run) and not self.failures

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON knows it."""
        return {
            "plugin": self.plugin,
            "version": self.version,
            "passed": self.passed,
            "num_run": self.num_run,
            "counts": dict(self.counts),
            "seconds": round(self.seconds, 3),
            "checks": [{**asdict(result), "seconds": round(result.seconds, 3)} for result in self.checks],
        }

    def summary(self) -> str:
        """What did not pass, one paragraph each, and how many checks ran, in lines of text."""
        lines = [_paragraph(result) for result in self.checks if result.status not in ("passed", "skipped")]
        skipped = [result for result in self.checks if result.status == "skipped"]
        repeated = Counter(f"{result.component}, {result.message}" for result in skipped)
        lines += [f"skipped: {_checks(count)} of {what}" for what, count in repeated.items()]
        counts = ", ".join(f"{count} {_words(status, count)}" for status, count in self.counts.items())
        verdict = "passes" if self.passed else "does not pass"
        lines.append(
            f"{self.plugin} {self.version} {verdict}: {_checks(self.num_run)} ran in {self.seconds:.1f} s"
            f"{f' ({counts})' if counts else ''}"
        )
        return "\n".join(lines)


def _paragraph(result: CheckResult) -> str:
    message = result.message.replace("\n", "\n  ")
    hint = result.hint.replace("\n", "\n    ")
    return f"{result.status.replace('_', ' ')}: {result.id}\n  {message}" + (f"\n  hint: {hint}" if hint else "")


def _checks(count: int) -> str:
    return f"{count} check{'' if count == 1 else 's'}"


def _words(status: Status, count: int) -> str:
    words = status.replace("_", " ")
    if status in ("passed", "failed", "skipped") or count == 1:
        return words
    return f"{words}es" if status == "unexpected_pass" else f"{words}s"

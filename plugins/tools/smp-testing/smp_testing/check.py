"""What a check is, and a check bound to what it looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smp_testing.cases import Case
from smp_testing.surroundings import preserved


def _always(case: Any) -> bool:  # noqa: ARG001  # the signature of a condition
    return True


@dataclass(frozen=True, kw_only=True)
class Check:
    """A function that takes a case and raises where the case fails, and when it applies.

    Attributes:
        function: raises `smp_testing.ConformanceError`, or lets an error of the plugin pass. Its name is the check's,
            and the first line of its docstring says what is required.
        kind: the class of cases that it takes.
        needs_numbers: computes with real weights; left out for encoders too large for that.
        traces: compiles or exports; left out for encoders that would take long.
        surgery: does what people do to a built module: hooks, wraps, prunes, replaces, copies, converts it.
        applies: whether it has a meaning for a case of its kind.
    """

    function: Callable[[Any], None]
    kind: type[Any]
    needs_numbers: bool = False
    traces: bool = False
    surgery: bool = False
    applies: Callable[[Any], bool] = _always

    @property
    def name(self) -> str:
        """The name that ids and expected failures use."""
        return self.function.__name__

    def takes(self, case: Case) -> bool:
        """Whether there is something to check."""
        return (
            isinstance(case, self.kind)
            and (case.has_numbers or not self.needs_numbers)
            and (case.is_traced or not self.traces)
            and self.applies(case)
        )


@dataclass(frozen=True, repr=False)
class BoundCheck:
    """One check of one case."""

    case: Case
    check: Check

    @property
    def id(self) -> str:
        """``"<case>-<check>"``, for example ``"resnet18-exports"``."""
        return f"{self.case.name}-{self.check.name}"

    def run(self) -> None:
        """Run the check; whatever it or the plugin changes in the process is put back.

        Raises:
            ConformanceError: what came and what was expected.
            NotApplicable: the module lacks an optional member, without which there is nothing to check.
            Exception: whatever the plugin raised.
        """
        with preserved():
            self.check.function(self.case)

    def __repr__(self) -> str:
        return self.id

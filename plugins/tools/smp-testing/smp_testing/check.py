"""What a check is, and a check bound to what it looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from smp_testing.cases import Case
from smp_testing.expectations import contained
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
        starts_processes: runs in processes of its own.
        yields_to: names of checks of the same case: where one of them fails, this one's failure says nothing new.
        applies: whether it has a meaning for a case of its kind.
    """

    function: Callable[[Any], None]
    kind: type[Any]
    needs_numbers: bool = False
    traces: bool = False
    surgery: bool = False
    starts_processes: bool = False
    yields_to: tuple[str, ...] = ()
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


@dataclass(frozen=True, repr=False, eq=False)
class BoundCheck:
    """One check of one case.

    Attributes:
        case: what is checked.
        check: what is required of it.
        siblings: all checks of the case, and of the distribution, by name, this one included.
        main: the same check of the architecture or neck over the first kind of encoder or features.
    """

    case: Case
    check: Check
    siblings: Mapping[str, BoundCheck] = field(default_factory=dict)
    main: BoundCheck | None = None
    _failures: list[BaseException | None] = field(default_factory=list, init=False)

    @property
    def id(self) -> str:
        """``"<case>-<check>"``, for example ``"resnet18-exports"``."""
        return f"{self.case.name}-{self.check.name}"

    def run(self) -> None:
        """Run the check; whatever it or the plugin changes in the process is put back.

        Raises:
            ConformanceError: what came and what was expected.
            NotApplicable: the module lacks an optional member, without which there is nothing to check.
            BaseException: whatever the plugin raised.
        """
        with preserved():
            self.check.function(self.case)

    def failure(self) -> BaseException | None:
        """What `run` raises, an exit included, but for the user's Ctrl-C; it runs once."""
        if not self._failures:
            with contained() as raised:
                self.run()
            self._failures.append(raised[0] if raised else None)
        return self._failures[0]

    def explanation(self) -> BoundCheck | None:
        """Where this check fails: another one of the case that fails for the same reason, if there is one."""
        others = [self.siblings[name] for name in self.check.yields_to if name in self.siblings]
        others += [self.main] if self.main is not None else []
        return next((other for other in others if other.failure() is not None), None)

    def __repr__(self) -> str:
        return self.id

"""How a check says what came and what was expected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")

# Relative to the largest magnitude of a tensor. Convolutions of different batch or image sizes take different paths and
# sum in another order; over a hundred layers in float32 that stays well below, and a real difference well above.
_TOLERANCE = 1e-4


class ConformanceError(AssertionError):
    """An encoder, architecture or plugin does not do what its spec or its contract says.

    Attributes:
        hint: what its author may write; may be empty.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NotApplicable(Exception):  # noqa: N818  # not a failure
    """A check has no meaning for a module that lacks an optional member, which shows when it is built; says which."""


def expect(condition: object, message: str, *, hint: str = "") -> None:
    """Raise `ConformanceError` with the message unless the condition holds."""
    __tracebackhide__ = True  # pytest: the check is the place to look at
    if not condition:
        raise ConformanceError(message, hint=hint)


def expect_equal(got: object, expected: object, what: str) -> None:
    """Raise `ConformanceError` unless the two are equal."""
    __tracebackhide__ = True
    expect(got == expected, f"{what}: expected {expected!r}, got {got!r}")


def expect_close(got: Sequence[Tensor], expected: Sequence[Tensor], what: str) -> None:
    """Raise `ConformanceError` unless the outputs agree, one by one, at rounding level; NaN agrees with nothing."""
    __tracebackhide__ = True
    expect_equal([tuple(item.shape) for item in got], [tuple(item.shape) for item in expected], f"{what}: shapes")
    for index, (one, other) in enumerate(zip(got, expected, strict=True)):
        if not one.numel():
            continue
        difference = (one.double() - other.double()).abs().max().item()
        largest = other.double().abs().max().item()
        expect(
            difference <= _TOLERANCE * largest,
            f"{what}: output {index} differs by {difference:.3g}, expected at most {_TOLERANCE:g} of its largest "
            f"magnitude, {largest:.3g}",
        )


def expect_finite(outputs: Sequence[Tensor], what: str) -> None:
    """Raise `ConformanceError` where an output holds NaN or infinity."""
    __tracebackhide__ = True
    for index, item in enumerate(outputs):
        expect(torch.isfinite(item).all(), f"{what}: output {index} holds NaN or infinity, expected finite values")


def expect_runs(function: Callable[[], Result], what: str, expected: str = "it to run") -> Result:
    """What the function returns; whatever it raises becomes a `ConformanceError` that says what was expected."""
    __tracebackhide__ = True
    try:
        return function()
    except Exception as error:  # whatever a plugin raises
        raise ConformanceError(f"{what}: {beginning(error)}; expected {expected}") from error


@contextmanager
def contained() -> Iterator[list[BaseException]]:
    """Keep what a plugin raises from going on: any exception, one that would end the process (`SystemExit`) included.

    Ctrl-C is the user's, and goes on.

    Yields:
        A list that holds what was raised, once it was.
    """
    raised: list[BaseException] = []
    try:
        yield raised
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a plugin raises
        raised.append(error)


def beginning(error: BaseException, num_lines: int = 4) -> str:
    """The kind of an error and how its message begins, for a message that has the whole one as its cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    more = " ..." if len(lines) > num_lines else ""
    return f"{type(error).__name__}: {' '.join(lines[:num_lines]) or 'no message'}{more}"


def some(names: Sequence[str]) -> str:
    """The first few names of a list that may be long, and how many more there are."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")

"""What came of something that may fail: the right result, an error of ours that people can read, or a fault."""

from __future__ import annotations

import contextlib
import re
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from smp_core.errors import SmpError

RIGHT = "right"
REFUSED = "refused"

_LONGEST = 5_000


class HangError(BaseException):
    """It took too long."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt what hangs; in the main thread of a POSIX system."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def memory_limit(extra: int) -> Iterator[None]:
    """Let the process have so many more bytes of address space, where the system can say how many it has."""
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + extra, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def tally(outcomes: Iterable[tuple[str, object]]) -> None:
    """Print how often each outcome came, and fail where one is a fault, with the first case of each."""
    counts: Counter[str] = Counter()
    first: dict[str, object] = {}
    for found, case in outcomes:
        counts[found] += 1
        first.setdefault(found, case)
    print(dict(counts))
    faults = {found: case for found, case in first.items() if found not in (RIGHT, REFUSED)}
    assert faults == {}, "\n".join(
        f"{counts[found]} x {found}, as for {case!r:.2000}" for found, case in faults.items()
    )


def outcome(call: Callable[[], Any], *, seconds: float = 10.0) -> str:
    """`RIGHT`, `REFUSED`, or what is wrong."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with time_limit(seconds):
                call()
        except SmpError as error:
            return judged(type(error).__name__, str(error))
        except HangError:
            return f"hangs for {seconds} s"
        except Exception as error:
            return f"{type(error).__name__}: {str(error)[:150]}"
    for warning in caught:
        wrong = _unreadable(str(warning.message))
        if wrong:
            return f"warning: {wrong}"
    return RIGHT


def judged(error: str, message: str) -> str:
    """`REFUSED`, or what is wrong with the message of an error of ours."""
    wrong = _unreadable(message)
    return f"{error}: {wrong}" if wrong else REFUSED


def _unreadable(message: str) -> str | None:
    if not message.strip():
        return "says nothing"
    if len(message) > _LONGEST:
        return f"is {len(message)} characters long: {message[:80]!r}"
    if re.search(r"weights_only\s*=\s*False", message):
        return "advises to run a file's code"
    if any(not (character.isprintable() or character in "\n\t") for character in message):
        return f"holds control characters: {message[:80]!r}"
    return None

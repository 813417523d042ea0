"""Saying how far a download is: a line that changes on a terminal, a line every tenth of the way in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

Report = Callable[[int, "int | None"], None]
"""Called with the bytes so far and their total, None where it is not known."""

_SECONDS_BETWEEN = 0.2
_STEP_WITHOUT_TOTAL = 50_000_000


class Progress:
    """A context manager that is called as a :data:`Report`.

    Args:
        name: what is being fetched.
        how: True writes to standard error, False is silent, a function is called in its place.
    """

    def __init__(self, name: str, how: bool | Report) -> None:
        self.name = name
        self.report = how if callable(how) else None
        self.is_silent = how is False
        self.is_terminal = sys.stderr.isatty()
        self._last_time = 0.0
        self._last_step = -1
        self._open_line = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._open_line:
            sys.stderr.write("\n")
            sys.stderr.flush()

    def __call__(self, done: int, total: int | None) -> None:
        """Say that so many bytes are there."""
        if self.report is not None:
            self.report(done, total)
        elif not self.is_silent and self._is_due(done, total):
            of = "" if total is None else f" of {total / 1e6:.1f} MB ({100 * done // max(total, 1)} %)"
            line = f"{self.name}: {done / 1e6:.1f}{of or ' MB'}"
            sys.stderr.write(f"\r{line}\x1b[K" if self.is_terminal else f"{line}\n")
            sys.stderr.flush()
            self._open_line = self.is_terminal

    def _is_due(self, done: int, total: int | None) -> bool:
        if self.is_terminal:
            now = time.monotonic()
            if now - self._last_time < _SECONDS_BETWEEN and done != total:
                return False
            self._last_time = now
            return True
        step = done // _STEP_WITHOUT_TOTAL if total is None else 10 * done // max(total, 1)
        if step == self._last_step:
            return False
        self._last_step = step
        return True

"""Warnings that point at the line of the user's that caused them, however deep below it they are raised."""

from __future__ import annotations

import sys
import warnings

from smp_core.errors import readable


def warn(message: str, category: type[Warning]) -> None:
    """Warn, as from the innermost frame outside of this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(readable(message), category, stacklevel=level)

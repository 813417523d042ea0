"""Checks of option values that several architectures share; each error says what would be right."""

from __future__ import annotations

from smp_core.errors import OptionError


def check_positive(name: str, value: object) -> int:
    """Return the value if it is an int of at least 1.

    Raises:
        OptionError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise OptionError(f"{name} must be an int of at least 1, got {value!r}")
    return value


def check_probability(name: str, value: object) -> float:
    """Return the value if it is a number between 0 and 1.

    Raises:
        OptionError: it is not.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        raise OptionError(f"{name} must be a number between 0 and 1, got {value!r}")
    return float(value)

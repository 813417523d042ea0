"""Whether sizes that SMP refuses are refused here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_strict: ContextVar[bool] = ContextVar("smp_compat.strict_sizes", default=False)


@contextlib.contextmanager
def strict_sizes() -> Iterator[None]:
    """Within the block models refuse, by RuntimeError, what SMP's refuse: sizes that the output stride does not divide.

    Models take images of any size otherwise. For code that relies on the error; of this thread alone.
    """
    token = _strict.set(True)
    try:
        yield
    finally:
        _strict.reset(token)


def are_sizes_strict() -> bool:
    """Whether the call is within such a block."""
    return _strict.get()

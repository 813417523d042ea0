"""Classes with SMP's arguments over classes of ours, which the models are built of."""

from __future__ import annotations

from typing import Any


class StandsFor(type):
    """Type of such classes: what is of the class behind is one of theirs, so that `isinstance` finds a model's parts.

    The class behind is their attribute ``_stands_for``. It does not hold for a user's classes derived of them.
    """

    def __instancecheck__(cls, instance: Any) -> bool:
        behind = vars(cls).get("_stands_for")
        return super().__instancecheck__(instance) or (behind is not None and isinstance(instance, behind))

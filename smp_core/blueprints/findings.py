"""Everything that is wrong with a request, raised as one error."""

from __future__ import annotations

from collections.abc import Sequence

from smp_core.errors import BlueprintError, CreationError, IncompatibleError, OptionError


def refuse(found: Sequence[CreationError]) -> None:
    """Raise what was found, if anything.

    Raises:
        IncompatibleError: all that is wrong is that the parts do not fit.
        OptionError: all that is wrong is options.
        BlueprintError: both, which is an `IncompatibleError` and an `OptionError`.
    """
    if not found:
        return
    if len(found) == 1:
        raise found[0]
    if all(isinstance(error, IncompatibleError) for error in found):
        raise IncompatibleError("; ".join(map(str, found)))
    kind = OptionError if all(isinstance(error, OptionError) for error in found) else BlueprintError
    raise kind(f"{len(found)} things are wrong:\n  " + "\n  ".join(map(str, found)))

"""Former spellings of names and options, translated. What they mean now is data of the specs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from smp_core._specs.registered import Registered
from smp_core._warnings import warn
from smp_core.blueprints.request import Request
from smp_core.errors import OptionError
from smp_core.plugin import ArchitectureSpec

_COMMON = tuple(item.name for item in fields(Request) if item.name not in ("options", "given"))


def translate(
    architecture: Registered[ArchitectureSpec],
    written: Mapping[str, tuple[str, Registered[Any]]],
    request: Request,
    *,
    saved: bool,
) -> tuple[Request, list[OptionError]]:
    """The request in today's spelling, and what is wrong with it.

    A user who wrote a former spelling is told today's by a `DeprecationWarning`; a saved model just is older.

    Args:
        architecture: whose options.
        written: what the user called each part, and what that means, by the name of the argument.
        request: what was asked for.
        saved: whether the request was read from a saved model.
    """
    if not saved:
        for argument, (name, part) in written.items():
            warn_of_name(argument, name, part)
    former = architecture.spec.former_options
    options = {name: value for name, value in request.options.items() if name not in former}
    common: dict[str, Any] = {}
    found = []
    for name, value in request.options.items():
        if name not in former:
            continue
        option, given = former[name], request.is_given(former[name].now)
        if value is None:  # as if it had not been given, ever
            if not saved:
                warn(f"{name} is a former spelling of {option.now}; drop {name}=None", DeprecationWarning)
            continue
        if saved and given and not option.wins:
            continue  # ignored by the library that wrote it
        meant = option.translate(value)
        if not saved and given:
            found.append(OptionError(f"{name} is a former spelling of {option.now}, and both are given; drop {name}"))
        elif not saved:
            warn(f"{name}={value!r} is a former spelling; write {option.now}={meant!r}", DeprecationWarning)
        (common if option.now in _COMMON else options)[option.now] = meant
    return replace(request, **common, options=options), found


def without_swallowed(request: Request, *, takes_stride: bool, takes_indices: bool) -> Request:
    """The request of a saved model without what its architecture does not take of the encoder, with a warning.

    segmentation_models_pytorch took any keyword for any architecture, and saved it.
    """
    ignored: dict[str, Any] = {}
    if not takes_stride and request.encoder_output_stride is not None:
        ignored["encoder_output_stride"] = request.encoder_output_stride
    if not takes_indices and request.encoder_output_indices is not None:
        ignored["encoder_output_indices"] = request.encoder_output_indices
    for name, value in ignored.items():
        warn(f"the saved model's config has {name}={value!r}, which it does not use; it is ignored", UserWarning)
    return replace(
        request,
        encoder_output_stride=request.encoder_output_stride if takes_stride else None,
        encoder_output_indices=request.encoder_output_indices if takes_indices else None,
    )


def warn_of_name(argument: str, name: str, part: Registered[Any]) -> None:
    """Tell a user today's name of a part that was called by a former one."""
    distribution, _, bare = name.rpartition("/")
    if bare != part.spec.name and bare.casefold() in map(str.casefold, part.spec.former_names):
        today = part.qualified_name if distribution else part.spec.name
        warn(f"{argument}={name!r} is a former name; write {today!r}", DeprecationWarning)

"""The options of an encoder that a user chooses: whether it has them. Their values are its own affair."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from smp_core._specs.checks import EMPTY, frozen, shown
from smp_core._specs.registered import Registered
from smp_core.blueprints.architecture_options import known_options
from smp_core.blueprints.request import Request
from smp_core.errors import OptionError
from smp_core.plugin import ArchitectureSpec, EncoderSpec


def settle(
    architecture: Registered[ArchitectureSpec], encoder: EncoderSpec, request: Request, *, saved: bool
) -> tuple[Request, list[OptionError]]:
    """The request with the encoder's options in a fixed form, and what is wrong with them.

    Args:
        architecture: which may have an option of the same name; then a keyword is its.
        encoder: whose options.
        request: what was asked for.
        saved: whether it was read from a saved model. segmentation_models_pytorch passes any keyword that an
            architecture does not know on to the encoder, and saves it beside the others.
    """
    given: Any = request.encoder_options
    options = dict(request.options)
    if saved:
        both = [name for name in encoder.user_options if name in options]
        own = known_options(architecture) if both else {}  # may import the implementation
        passed_on = {name: options.pop(name) for name in both if name not in own}
        given = {**passed_on, **(given or {})}
    checked, found = check(encoder, given)
    return replace(request, encoder_options=checked, options=options), found


def check(encoder: EncoderSpec, given: object) -> tuple[Mapping[str, Any], list[OptionError]]:
    """Options in a fixed form, and what is wrong with them.

    Args:
        encoder: whose options.
        given: a mapping of names to values, or None for none.
    """
    if given is None:
        return EMPTY, []
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        return EMPTY, [
            OptionError(f"encoder_options={shown(given)}: expected a mapping of option names to values, or None")
        ]
    unknown = [name for name in given if name not in encoder.user_options]
    if unknown:
        return EMPTY, [OptionError(_explain(encoder, unknown))]
    try:
        kept = frozen(given)
        return kept, [error for name, value in kept.items() if (error := _wrong(encoder, name, value))]
    except TypeError as error:
        return EMPTY, [OptionError(f"encoder_options={shown(given)} cannot be kept in a blueprint: {error}")]


def _wrong(encoder: EncoderSpec, name: str, value: object) -> OptionError | None:
    kind = encoder.option_kinds.get(name)
    try:
        if kind is not None:
            kind.check(f"encoder_options: {name}", value)
    except OptionError as error:
        return error
    return None


def _explain(encoder: EncoderSpec, unknown: list[str]) -> str:
    names = ", ".join(map(repr, unknown))
    close = [name for item in unknown for name in difflib.get_close_matches(item, encoder.user_options, n=2)]
    if close:
        hint = f"did you mean {' or '.join(map(repr, close))}?"
    else:
        hint = f"it takes {', '.join(encoder.user_options) or 'none'}"
    return f"encoder_options: encoder {encoder.name!r} has no option {names}; {hint}"

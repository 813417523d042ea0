"""The options of an architecture: which there are, what they default to, and whether a user's are among them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from smp_core._specs.checks import frozen, shown
from smp_core._specs.registered import Registered
from smp_core._warnings import warn
from smp_core.errors import OptionError
from smp_core.parts.targets import load_target, options_of
from smp_core.plugin import ArchitectureSpec, EncoderSpec, OptionKind

_COMMON = ("encoder_weights", "in_channels", "classes", "activation", "aux_params", "encoder_depth")

# What a user of another library may write for an argument of ours.
_OTHER_NAMES = {"encoder_name": "encoder", "arch_name": "arch", "architecture": "arch"}


def known_options(architecture: Registered[ArchitectureSpec]) -> Mapping[str, Any]:
    """Names and defaults of an architecture's own options: as declared, or read off its target, which imports it."""
    declared = architecture.spec.options
    if declared is not None:
        return declared
    target = load_target(architecture.spec.target, architecture.title)
    return options_of(target, architecture.title, architecture.spec.arguments)


def complete(
    architecture: Registered[ArchitectureSpec],
    given: Mapping[str, Any],
    *,
    saved: bool,
    encoder: EncoderSpec | None = None,
) -> tuple[dict[str, Any], list[OptionError]]:
    """All options with their values, in a fixed form, and what is wrong with those given.

    Args:
        architecture: whose options.
        given: by name.
        saved: whether they were read from a saved model. Then keys that nobody knows are dropped, with a warning where
            they have a value: segmentation_models_pytorch took and saved any keyword.
        encoder: of the model; whose options are no architecture's, as a user may think.
    """
    known = known_options(architecture)
    unknown = {name: value for name, value in given.items() if name not in known}
    found = []
    if saved:
        _warn_of_unknown({name: value for name, value in unknown.items() if value is not None}, known, architecture)
    elif unknown:
        found.append(OptionError(_explain(unknown, known, architecture, encoder)))
    values = {name: given.get(name, default) for name, default in known.items()}
    missing = [name for name, value in values.items() if value is inspect.Parameter.empty]
    if missing:
        found.append(OptionError(f"{architecture.title} needs the option {', '.join(map(repr, missing))}"))
    kinds = architecture.spec.option_kinds
    kept = {name: _kept(name, value, kinds.get(name)) for name, value in values.items()}
    found += [value for value in kept.values() if isinstance(value, OptionError)]
    return kept, found


def _kept(name: str, value: Any, kind: OptionKind | None) -> Any:
    """The value as the blueprint holds it, or the error."""
    try:
        kept = frozen(value)
        if kind is not None:
            kind.check(name, kept)
        return kept
    except OptionError as error:
        return error
    except (TypeError, RecursionError) as error:
        return OptionError(f"{name}={shown(value)} cannot be kept in a blueprint: {error}")


def _explain(
    unknown: Mapping[str, Any],
    known: Mapping[str, Any],
    architecture: Registered[ArchitectureSpec],
    encoder: EncoderSpec | None,
) -> str:
    lines = [
        f"no argument is called {name!r}: write {_OTHER_NAMES[name]}={value!r}"
        for name, value in unknown.items()
        if name in _OTHER_NAMES
    ]
    of_encoder = {name: value for name, value in unknown.items() if encoder and name in encoder.user_options}
    if encoder and of_encoder:
        names = ", ".join(map(repr, of_encoder))
        lines.append(f"{names} is of encoder {encoder.name!r}: write encoder_options={shown(of_encoder)}")
    rest = [name for name in unknown if name not in _OTHER_NAMES and name not in of_encoder]
    common = list(_COMMON)
    if architecture.spec.dilation:
        common.append("encoder_output_stride")
    if architecture.spec.tokens or architecture.spec.accepts_tokens:
        common.append("encoder_output_indices")
    if rest:
        lines.append(
            f"{architecture.title} has no option {', '.join(map(repr, rest))}; its options are "
            f"{', '.join(known) or 'none'}, and every architecture takes {', '.join(common)}"
        )
    return "\n".join(lines)


def _warn_of_unknown(
    unknown: Mapping[str, Any], known: Mapping[str, Any], architecture: Registered[ArchitectureSpec]
) -> None:
    for name, value in unknown.items():
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" (did it mean {close[0]!r}?)" if close else ""
        warn(
            f"the saved model's config has {name}={shown(value)}, which {architecture.title} does not know{hint}; it "
            "is ignored",
            UserWarning,
        )

"""What a user asks for, as it was given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from smp_core.errors import OptionError
from smp_core.inputs import Preprocessing
from smp_core.options import (
    CHANNEL_FITTINGS,
    check_activation,
    check_aux_params,
    check_bands,
    check_one_of,
    check_positive,
)
from smp_core.sources.weights import Weights


@dataclass(frozen=True, kw_only=True)
class Request:
    """The arguments of `smp_core.create` beyond the names of the parts; see there."""

    encoder_weights: Weights = True
    in_channels: int | None = None
    bands: Sequence[str] | None = None
    classes: int = 1
    activation: str | Callable[..., object] | None = None
    aux_params: Mapping[str, Any] | None = None
    encoder_depth: int | None = None
    encoder_output_stride: int | None = None
    encoder_output_indices: Sequence[int] | None = None
    encoder_options: Mapping[str, Any] | None = None
    channel_fitting: str = "smp"
    preprocessing: Preprocessing | Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    given: frozenset[str] | None = None
    """Names of those that were given, where that is known; otherwise those that are not as by default count."""

    def is_given(self, name: str) -> bool:
        """Whether an argument, or an option of the architecture, was given."""
        if name in self.options:
            return True
        if self.given is not None:
            return name in self.given
        return any(item.name == name and getattr(self, name) != item.default for item in fields(self))

    def checked(self) -> tuple[Request, list[OptionError]]:
        """The request with its counts as ints and its preprocessing as one, and what is wrong with it."""
        checks: dict[str, Callable[[Any], Any]] = {
            "in_channels": lambda value: None if value is None else check_positive("in_channels", value),
            "bands": check_bands,
            "classes": lambda value: check_positive("classes", value),
            "activation": check_activation,
            "aux_params": check_aux_params,
            "channel_fitting": lambda value: check_one_of("channel_fitting", value, CHANNEL_FITTINGS),
            "preprocessing": Preprocessing.of,
        }
        results = {name: _attempt(check, getattr(self, name)) for name, check in checks.items()}
        found = [result for result in results.values() if isinstance(result, OptionError)]
        right = {name: result for name, result in results.items() if not isinstance(result, OptionError)}
        if "bands" not in right:
            right["bands"] = None  # nothing can be compared with what are no names
        return replace(self, **right), found


def _attempt(check: Callable[[Any], Any], value: Any) -> Any:
    """The checked value, or the error."""
    try:
        return check(value)
    except OptionError as error:
        return error

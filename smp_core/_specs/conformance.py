"""What a plugin tells the checks of smp-testing about itself, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from smp_core._specs.checks import EMPTY, Frozen, Violations, is_name, is_names, is_target, is_text

_FAILURES_FORM = "a mapping of names (of an encoder, architecture, neck) to {check: reason}, each reason a text"
_OPTIONS_FORM = 'a mapping of names of architectures to their options, or to "package.module:function" that gives them'


@dataclass(frozen=True, kw_only=True)
class ConformanceSpec(Frozen):
    """What the checks of smp-testing take for granted of a plugin. Nothing else asks for it.

    Attributes:
        expected_failures: by the name of an encoder, a neck or an architecture, of either over one kind of encoder or
            features (``"unet-tokens"``), or of the distribution: the checks that it fails or that have no meaning for
            it, and why. One that passes is then a failure, so that the entry is removed.
        encoders: names of an open family to be checked beside those that the plugin lists.
        options: by the name of an architecture, its options in every model that is built for the checks, or
            ``"package.module:function"``, called with the built encoder.

    Raises:
        InvalidSpecError: a field is wrong; lists every such field.
    """

    expected_failures: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: EMPTY)
    encoders: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any] | str] = field(default_factory=lambda: EMPTY)

    def __post_init__(self) -> None:
        super().__post_init__()
        check = Violations(self, "ConformanceSpec")
        failures, options = self.expected_failures, self.options
        check.require(_are_reasons(failures), "expected_failures", _FAILURES_FORM)
        check.require(is_names(self.encoders), "encoders", "a tuple of names")
        are_options = isinstance(options, Mapping) and all(
            is_name(key) and (isinstance(value, Mapping) or is_target(value)) for key, value in options.items()
        )
        check.require(are_options, "options", _OPTIONS_FORM)
        check.raise_if_any()
        for name in ("expected_failures", "options"):  # read-only at their second level, too
            inner = {
                key: MappingProxyType(dict(value)) if isinstance(value, Mapping) else value
                for key, value in getattr(self, name).items()
            }
            object.__setattr__(self, name, MappingProxyType(inner))


def _are_reasons(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        is_text(owner)
        and isinstance(checks, Mapping)
        and all(is_text(check) and is_text(reason) for check, reason in checks.items())
        for owner, checks in value.items()
    )

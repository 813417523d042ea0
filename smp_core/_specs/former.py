"""What things were called in older versions, as data: options, and parameters in checkpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from smp_core._specs.checks import EMPTY, TARGET_FORM, Frozen, Violations, is_target

_VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc|\.post|\.dev)\d+)*")


@dataclass(frozen=True, kw_only=True)
class FormerOption(Frozen):
    """An option that has another name now.

    Attributes:
        now: its name now.
        values: former value to the value now, where they differ; any other value is carried over as it is.
        wins: whether, in a saved model that has both spellings, the former one is what the model was built with. A
            model may also carry one that its library had long ignored.

    Raises:
        InvalidSpecError: a field is wrong; lists every such field.

    >>> FormerOption(now="decoder_use_norm", values={True: "batchnorm", False: "identity"}).translate(False)
    'identity'
    """

    now: str
    values: Mapping[Any, Any] = field(default_factory=lambda: EMPTY)
    wins: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check = Violations(self, "FormerOption")
        check.require(isinstance(self.now, str) and self.now.isidentifier(), "now", "the name of an option")
        check.require(isinstance(self.values, Mapping), "values", "a mapping of former values to values")
        check.require(isinstance(self.wins, bool), "wins", "True or False")
        check.raise_if_any()

    def translate(self, value: Any) -> Any:
        """The value now of a former value."""
        try:
            return self.values.get(value, value)
        except TypeError:  # a list, say, which no mapping has as a key
            return value


@dataclass(frozen=True, kw_only=True)
class Migration(Frozen):
    """How the state dicts of older versions of a plugin become those of today.

    Attributes:
        before: the version that renamed the parameters. Checkpoints of earlier versions are changed, and those that
            name no version, as segmentation_models_pytorch writes them.
        renames: (regular expression, replacement) pairs, from an older key to today's, all applied, in order
            (`re.sub`).
        convert: ``"module:function"`` that takes a state dict (after the renames) and returns today's, a new dict.

    Raises:
        InvalidSpecError: a field is wrong; lists every such field.
    """

    before: str
    renames: tuple[tuple[str, str], ...] = ()
    convert: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check = Violations(self, "Migration")
        is_version = isinstance(self.before, str) and _VERSION.fullmatch(self.before)
        check.require(is_version, "before", "a version of the plugin, as '2.0' or '2.0rc1'")
        check.require(_are_renames(self.renames), "renames", "pairs of a regular expression and a replacement")
        check.require(self.convert is None or is_target(self.convert), "convert", f"{TARGET_FORM}, or None")
        check.require(self.renames or self.convert, "renames", "renames, or a function to convert with")
        check.raise_if_any()


def _are_renames(value: object) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(item, str) for item in pair) and _works(*pair)
        for pair in value
    )


def _works(pattern: str, replacement: str) -> bool:
    try:
        re.sub(pattern, replacement, "")
    except re.error:
        return False
    return True


def are_migrations(value: object) -> bool:
    """Whether it is a tuple of migrations."""
    return isinstance(value, tuple) and (not value or all(isinstance(item, Migration) for item in value))

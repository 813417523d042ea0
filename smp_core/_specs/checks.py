"""What the specs share: being frozen, and checks of their fields."""

from __future__ import annotations

import contextlib
import copy
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Any

from smp_core.errors import InvalidSpecError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

_INFINITY = float("inf")
EMPTY: Mapping[str, Any] = MappingProxyType({})
_PLAIN = frozenset({str, tuple, int, bool, float, type(None)})


class Violations:
    """Collects what is wrong with a spec, so that its author sees everything at once."""

    def __init__(self, spec: object, title: str) -> None:
        self._spec = spec
        self._title = title
        self._found: list[str] = []

    def require(self, ok: object, field_name: str, expected: str) -> None:
        if not ok:
            value = getattr(self._spec, field_name)
            within = _invalid_within(value)
            if within:
                self._found += [f"field {field_name!r}, {line}" for line in within]
            else:
                self._found.append(f"field {field_name!r}: expected {expected}, got {value!r}")

    def require_within(self, ok: object, field_name: str, where: str, expected: str, got: object) -> None:
        """As `require`, of a part of a field."""
        if not ok:
            self._found.append(f"field {field_name!r}, {where}: expected {expected}, got {got!r}")

    def raise_if_any(self) -> None:
        if self._found:
            raise InvalidSpecError(f"{self._title} is invalid:\n  " + "\n  ".join(self._found))


def is_int(value: object, at_least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= at_least


def is_ints(value: object) -> bool:
    if not isinstance(value, tuple):
        return False
    for item in value:  # noqa: SIM110  # as for all specs these run at discovery, and loops are the fastest
        if not is_int(item):
            return False
    return True


def is_text(value: object) -> bool:
    """Whether it says something, and nothing that acts on a terminal but ends of lines."""
    return (
        isinstance(value, str)
        and bool(value.strip())
        and (value.isprintable() or is_line(value.replace("\n", " ").replace("\t", " ")))
    )


def is_optional_text(value: object) -> bool:
    return value is None or is_text(value)


def is_line(value: str | None) -> bool:
    """Whether a text has no control characters, which act on the terminals of those who read it."""
    return not value or value.isprintable() or _CONTROL.search(value) is None


def is_target(value: object) -> bool:
    return isinstance(value, str) and _TARGET.fullmatch(value) is not None


def is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def are_bands(value: object) -> bool:
    """Whether it is a tuple of names of channels, each once."""
    return isinstance(value, tuple) and (not value or (all(map(is_text, value)) and len({*value}) == len(value)))


def is_floats(value: object) -> bool:
    """Whether it is a tuple of finite numbers."""
    if not isinstance(value, tuple) or not value:
        return False
    for item in value:  # noqa: SIM110
        if not isinstance(item, (int, float)) or not -_INFINITY < item < _INFINITY:
            return False
    return True


_sets_aside: ContextVar[bool] = ContextVar("sets_aside", default=False)


@contextlib.contextmanager
def setting_aside() -> Iterator[None]:
    """Within it a spec whose fields are wrong becomes an `Invalid` among its neighbours, where it would be an error."""
    token = _sets_aside.set(True)
    try:
        yield
    finally:
        _sets_aside.reset(token)


class Invalid:
    """Stands for a spec that contradicts itself.

    Attributes:
        error: what is wrong with it.
    """

    def __init__(self, error: InvalidSpecError) -> None:
        self.error = error

    def __repr__(self) -> str:
        return f"<{self.error}>"


def _invalid_within(value: object) -> list[str]:
    """What is wrong with the specs that a field holds, each line beginning with where; empty where all are right."""
    pairs: Iterable[tuple[object, object]] = ()
    if isinstance(value, Mapping):
        pairs = value.items()
    elif isinstance(value, tuple):
        pairs = enumerate(value)
    return [
        f"{key!r}, {line.strip()}"
        for key, item in pairs
        if isinstance(item, Invalid)
        for line in str(item.error).splitlines()[1:]
    ]


class _Checked(type):
    """The type of classes whose instances check themselves."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except InvalidSpecError as error:
            if not _sets_aside.get():
                raise
            return Invalid(error)
        except TypeError as error:
            found = _wrong_fields(cls, args, kwargs) if _sets_aside.get() else []
            # Raised deeper, it is not about the fields that were given.
            if not found or error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise
            title = f"{cls.__name__} {kwargs['name']!r}" if "name" in kwargs else cls.__name__
            invalid = InvalidSpecError(f"{title} is invalid:\n  " + "\n  ".join(found))
            invalid.__cause__ = error
            return Invalid(invalid)


def _wrong_fields(cls: type[Any], args: tuple[Any, ...], given: Mapping[str, Any]) -> list[str]:
    """What does not fit of the fields that a spec is made of: unknown ones, missing ones, ones without a name."""
    known = {item.name: item for item in fields(cls) if item.init}
    wrong = [f"fields are given by name, got {len(args)} without"] if args else []
    for name in given.keys() - known.keys():
        close = difflib.get_close_matches(name, known, n=1)
        wrong.append(f"field {name!r}: there is none{f'; did you mean {close[0]!r}?' if close else ''}")
    missing = [
        name
        for name, item in known.items()
        if name not in given and item.default is MISSING and item.default_factory is MISSING
    ]
    return sorted(wrong) + [f"field {name!r}: expected, and not given" for name in missing if not args]


class Frozen(metaclass=_Checked):
    """Base of the specs and of what holds them: really frozen, so copied by reference, and pickled by value."""

    def __post_init__(self) -> None:
        """Turn lists into tuples and dicts into read-only views."""
        # Whoever lists models makes a spec of every encoder that is installed: what most values are is seen at once.
        for name, value in vars(self).items():
            kind = type(value)
            if kind in _PLAIN or value is EMPTY:
                continue
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
            elif isinstance(value, Mapping):
                object.__setattr__(self, name, MappingProxyType(dict(value)))

    def __deepcopy__(self, memo: Any) -> Frozen:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        values = {
            item.name: thawed(getattr(self, item.name))
            for item in fields(self)  # type: ignore[arg-type]  # every subclass is a dataclass
        }
        return restore, (type(self), values)


def shown(value: object) -> str:
    """A value for an error, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:150]}... ({type(value).__name__})"


def frozen(value: Any) -> Any:
    """A frozen copy as a file gives it back: with tuples for lists and arrays, and Python's numbers for NumPy's.

    Raises:
        TypeError: it cannot be copied.
    """
    if isinstance(value, (list, tuple, range)):
        return tuple(map(frozen, value))
    if isinstance(value, Mapping):
        return MappingProxyType({key: frozen(item) for key, item in value.items()})
    if hasattr(value, "ndim") and callable(getattr(value, "tolist", None)):
        return frozen(value.tolist())
    return copy.deepcopy(value)


def thawed(value: Any) -> Any:
    """A copy with dicts for read-only views, at any depth."""
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(map(thawed, value))
    if isinstance(value, (MappingProxyType, dict)):
        return {key: thawed(item) for key, item in value.items()}
    return value


def restore(kind: type[Any], values: dict[str, Any]) -> Any:
    """What was pickled, checked again."""
    return kind(**values)


def check_former_names(check: Violations, spec: Any) -> None:
    """Check the names by which something was known, which its name now is none of."""
    names = spec.former_names
    if names == ():  # as nearly all have
        return
    check.require(is_names(names), "former_names", "a tuple of names")
    if is_names(names):
        check.require(spec.name not in names, "former_names", f"names other than its own, {spec.name!r}")


def is_names(value: object) -> bool:
    return isinstance(value, tuple) and (not value or all(is_name(item) for item in value))


def is_options(value: object, given: tuple[str, ...]) -> bool:
    """Whether it maps keyword names to values, those names excepted that are given by the core itself."""
    return value is EMPTY or (isinstance(value, Mapping) and is_keywords((*value,), given))


def is_keywords(value: object, given: tuple[str, ...]) -> bool:
    """Whether it is a tuple of keyword names, those excepted that are given by the core itself."""
    return isinstance(value, tuple) and (
        not value or all(isinstance(key, str) and key.isidentifier() and key not in given for key in value)
    )


TARGET_FORM = 'a string of the form "package.module:attribute"'
NAME_FORM = "a name of letters, digits and . _ + : - (no slash, no space)"
STRIDE_FORM = "a tuple of output strides out of 8, 16 and 32, each at most once"


def is_strides(value: object) -> bool:
    return isinstance(value, tuple) and (
        not value or (is_ints(value) and {*value} <= {8, 16, 32} and len({*value}) == len(value))
    )


def check_about(check: Violations, spec: Any) -> None:
    """Check what every spec says for people: ``license``, ``paper``, ``summary``."""
    check.require(is_optional_text(spec.license) and is_line(spec.license), "license", "an SPDX identifier or None")
    check.require(is_optional_text(spec.paper) and is_line(spec.paper), "paper", "a reference or None")
    check.require(isinstance(spec.summary, str) and is_line(spec.summary), "summary", "one line of text")

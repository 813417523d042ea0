"""What values an option takes, as data: an architecture's spec says it for each of its options.

So a wrong value is an error where a blueprint is made, of arguments or of a saved model's config, before torch is
imported and anything built.
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smp_core._specs.checks import EMPTY, Frozen, Violations, shown
from smp_core.errors import OptionError

# How `torch.nn.functional.interpolate` enlarges maps.
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "area", "nearest-exact")

# No layer is wider; beyond, sizes of tensors overflow.
LARGEST = 2**20


def as_whole(value: object) -> int | None:
    """An integer of any kind (NumPy's too) as an int; None where it is none."""
    try:
        return None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def as_number(value: object) -> float | None:
    """A finite real number of any kind as a float; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _check_ends(check: Violations, least: Any, most: Any, *, whole: bool) -> bool:
    """Whether there are values between the two."""
    right = []
    for name, end in (("least", least), ("most", most)):
        is_end = as_whole(end) is not None if whole else isinstance(end, numbers.Real) and not math.isnan(end)
        check.require(is_end, name, "an int" if whole else "a number")
        right.append(is_end)
    if not all(right):
        return False
    check.require(least <= most, "least", f"at most the largest value, {most!r}")
    return bool(least <= most)


@dataclass(frozen=True, kw_only=True)
class OptionKind(Frozen):
    """Base of the kinds.

    Attributes:
        optional: whether None is a value, too.

    Raises:
        InvalidSpecError: there is no value that it takes.
    """

    optional: bool = False

    def check(self, name: str, value: object) -> None:
        """Whether an option takes a value.

        Raises:
            OptionError: it does not; says what it takes.
        """
        wrong = None if value is None and self.optional else self.wrong(name, value)
        if wrong is not None:
            raise OptionError(f"{wrong}{' (or None)' if self.optional else ''}, got {shown(value)}")

    def wrong(self, name: str, value: object) -> str | None:
        """What is expected, where the value is not that."""
        raise NotImplementedError

    def describe(self) -> str:
        """What values it takes, in a few words; empty where it does not say."""
        text = self.range()
        return f"{text}, or None" if text and self.optional else text

    def range(self) -> str:
        """As `describe`, None left out."""
        return ""


@dataclass(frozen=True, kw_only=True)
class Flag(OptionKind):
    """True or False."""

    def wrong(self, name: str, value: object) -> str | None:
        return None if isinstance(value, bool) else f"{name} must be True or False"

    def range(self) -> str:
        return "True or False"


@dataclass(frozen=True, kw_only=True)
class Whole(OptionKind):
    """An int.

    Attributes:
        least, most: the smallest and the largest.
        multiple_of: what divides it.
    """

    least: int = 1
    most: int = LARGEST
    multiple_of: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check = Violations(self, "Whole")
        in_order = _check_ends(check, self.least, self.most, whole=True)
        divides = as_whole(self.multiple_of) is not None and self.multiple_of >= 1
        check.require(divides, "multiple_of", "a positive int")
        if divides and in_order:
            there_is = self.most // self.multiple_of * self.multiple_of >= self.least
            check.require(there_is, "multiple_of", f"what divides an int from {self.least} to {self.most}")
        check.raise_if_any()

    def wrong(self, name: str, value: object) -> str | None:
        number = as_whole(value)
        if number is None or number < self.least:
            return f"{name} must be an int of at least {self.least}"
        if number > self.most:
            return f"{name} must be an int of at most {self.most}"
        if number % self.multiple_of:
            return f"{name} must be a multiple of {self.multiple_of}"
        return None

    def range(self) -> str:
        multiple = f", a multiple of {self.multiple_of}" if self.multiple_of > 1 else ""
        return f"an int {_between(self.least, self.most)}{multiple}"


@dataclass(frozen=True, kw_only=True)
class Wholes(OptionKind):
    """Several ints.

    Attributes:
        count: how many; None where that depends on something else.
        least, most: the smallest and the largest.
    """

    count: int | None = None
    least: int = 1
    most: int = LARGEST

    def __post_init__(self) -> None:
        super().__post_init__()
        check = Violations(self, "Wholes")
        counts = self.count is None or (as_whole(self.count) is not None and self.count >= 1)
        check.require(counts, "count", "a positive int, or None")
        _check_ends(check, self.least, self.most, whole=True)
        check.raise_if_any()

    def wrong(self, name: str, value: object) -> str | None:
        each = f"int{'s' if self.count != 1 else ''} of at least {self.least}"
        if (
            isinstance(value, (str, bytes))
            or not isinstance(value, Sequence)
            or len(value) != (self.count or len(value))
        ):
            return f"{name} must be {self.count or 'a sequence of'} {each}"
        if len(value) > 1000:
            return f"{name} must be at most 1000 {each}"
        one = Whole(least=self.least, most=self.most)
        found = (one.wrong(f"{name}[{index}]", item) for index, item in enumerate(value))
        return next((wrong for wrong in found if wrong is not None), None)

    def range(self) -> str:
        return f"{self.count or 'several'} ints {_between(self.least, self.most)}"


@dataclass(frozen=True, kw_only=True)
class Number(OptionKind):
    """A finite number, by default a probability.

    Attributes:
        least, most: the smallest and the largest.
    """

    least: float = 0.0
    most: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check = Violations(self, "Number")
        _check_ends(check, self.least, self.most, whole=False)
        check.raise_if_any()

    def wrong(self, name: str, value: object) -> str | None:
        number = as_number(value)
        ok = number is not None and self.least <= number <= self.most
        return None if ok else f"{name} must be a number between {self.least:g} and {self.most:g}"

    def range(self) -> str:
        return f"a number from {self.least:g} to {self.most:g}"


@dataclass(frozen=True, kw_only=True)
class OneOf(OptionKind):
    """One of several names.

    Attributes:
        names: the names.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        check = Violations(self, "OneOf")
        is_names = isinstance(self.names, tuple) and self.names and all(isinstance(item, str) for item in self.names)
        check.require(is_names, "names", "a tuple of one name or more")
        check.raise_if_any()

    def check(self, name: str, value: object) -> None:
        """See `OptionKind.check`."""
        if (value is None and self.optional) or (isinstance(value, str) and value in self.names):
            return
        also = "None or " if self.optional else ""
        raise OptionError(f"unknown {name} {shown(value)}; expected {also}one of {', '.join(self.names)}")

    def range(self) -> str:
        return f"one of {', '.join(self.names)}"


_BATCH = {"eps": Number(most=1e9), "momentum": Number(optional=True), "affine": Flag(), "track_running_stats": Flag()}
_NORMS: Mapping[str, Mapping[str, OptionKind]] = {
    "batchnorm": _BATCH,
    "instancenorm": _BATCH,
    "layernorm": {"eps": Number(most=1e9), "elementwise_affine": Flag(), "bias": Flag()},
    "identity": {},
    "inplace": {
        "eps": Number(most=1e9),
        "momentum": Number(),
        "affine": Flag(),
        "activation": OneOf(names=("leaky_relu", "elu", "identity")),
        "activation_param": Number(most=1e9),
    },
}
NORMS = tuple(_NORMS)


@dataclass(frozen=True, kw_only=True)
class NormKind(OptionKind):
    """A norm, as `smp_core.layers.build_norm` takes it: a name, True, False, or a dict of ``type`` and arguments."""

    def check(self, name: str, value: object) -> None:  # noqa: ARG002  # errors name the norm
        """See `OptionKind.check`."""
        if isinstance(value, bool) or (value is None and self.optional):
            return
        kind = value.get("type") if isinstance(value, Mapping) else value
        if not isinstance(kind, str) or kind not in _NORMS:
            shape = "a dict whose 'type' is" if isinstance(value, Mapping) else "True, False, a dict, or"
            raise OptionError(f"unknown norm {shown(value)}; expected {shape} one of {', '.join(_NORMS)}")
        if isinstance(value, Mapping):
            _check_arguments(kind, {key: item for key, item in value.items() if key != "type"})

    def range(self) -> str:
        return f"True, False, one of {', '.join(_NORMS)}, or a dict of type and arguments"


def _check_arguments(norm: str, arguments: Mapping[Any, object]) -> None:
    known = _NORMS[norm]
    unknown = [str(key) for key in arguments if key not in known]
    if unknown and not known:
        raise OptionError(f"norm {norm!r} takes no arguments, got {', '.join(unknown)}")
    if unknown:
        raise OptionError(
            f"norm {norm!r} has no argument {', '.join(map(shown, unknown))}; it takes {', '.join(known)}"
        )
    for key, value in arguments.items():
        known[key].check(f"norm {norm!r}: {key}", value)


def _between(least: int, most: int) -> str:
    return f"of at least {least}" if most >= LARGEST else f"from {least} to {most}"


def are_kinds(value: object) -> bool:
    """Whether it maps names to kinds."""
    return value is EMPTY or (
        isinstance(value, Mapping) and all(isinstance(item, OptionKind) for item in value.values())
    )

"""Checks of option values that several architectures share; each error says what would be right."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from smp_core._specs.checks import shown
from smp_core._specs.kinds import Number, OneOf, Whole
from smp_core.errors import OptionError

POOLINGS = ("avg", "max")
ZERO_NEW = "zero_new"
CHANNEL_FITTINGS = ("smp", "mean_preserving", ZERO_NEW)
ACTIVATIONS = ("identity", "sigmoid", "softmax", "softmax2d", "logsoftmax", "tanh", "argmax", "argmax2d", "clamp")
_AUX_PARAMS = ("classes", "pooling", "dropout", "activation")


def check_positive(name: str, value: object) -> int:
    """Return the value as an int, if it is an integer of any kind (NumPy's too), at least 1 and at most 2**20.

    Raises:
        OptionError: it is not.
    """
    Whole().check(name, value)
    return operator.index(value)  # type: ignore[arg-type]


def check_probability(name: str, value: object) -> float:
    """Return the value if it is a number between 0 and 1.

    Raises:
        OptionError: it is not.
    """
    Number().check(name, value)
    return float(value)  # type: ignore[arg-type]


def check_one_of(name: str, value: object, known: Sequence[str]) -> str:
    """Return the value if it is one of the known ones.

    Raises:
        OptionError: it is not.
    """
    OneOf(names=tuple(known)).check(name, value)
    return str(value)


def check_activation(activation: object) -> Any:
    """Return the activation if it is None, the name of one, or a callable.

    Raises:
        OptionError: it is not.
    """
    if isinstance(activation, str) and activation not in ACTIVATIONS:
        raise OptionError(
            f"unknown activation {shown(activation)}; expected None, a callable, or one of {', '.join(ACTIVATIONS)}"
        )
    if activation is None or isinstance(activation, str) or callable(activation):
        return activation
    raise OptionError(
        f"expected a str, a callable or None as activation, got {type(activation).__name__}: {activation!r}"
    )


def check_aux_params(aux_params: object) -> Mapping[str, Any] | None:
    """Return the parameters of a classification head, as far as they can be judged without building it.

    Raises:
        OptionError: not a mapping, an unknown key, or no ``classes``; lists the keys. Or a wrong value.
    """
    if aux_params is None:
        return None
    if not isinstance(aux_params, Mapping):
        raise OptionError(
            f"aux_params must be a dict with 'classes' and, optionally, {', '.join(_AUX_PARAMS[1:])}, or None, "
            f"got {aux_params!r}"
        )
    unknown = [key for key in aux_params if key not in _AUX_PARAMS]
    if unknown or "classes" not in aux_params:
        problem = f"unknown key {', '.join(map(repr, unknown))}" if unknown else "no key 'classes'"
        raise OptionError(f"aux_params: {problem}; expected 'classes' and, optionally, {', '.join(_AUX_PARAMS[1:])}")
    classes = check_positive("aux_params: classes", aux_params["classes"])
    check_one_of("pooling", aux_params.get("pooling", "avg"), POOLINGS)
    check_probability("aux_params: dropout", aux_params.get("dropout", 0) or 0)
    check_activation(aux_params.get("activation"))
    return {**aux_params, "classes": classes}


def check_bands(bands: object) -> tuple[str, ...] | None:
    """Names of channels as a tuple, or None.

    Raises:
        OptionError: not a sequence of names, each once.
    """
    if bands is None:
        return None
    names = tuple(bands) if isinstance(bands, Sequence) and not isinstance(bands, (str, bytes)) else ()
    if (
        not names
        or not all(isinstance(name, str) and name and name.isprintable() for name in names)
        or len({*names}) < len(names)
    ):
        raise OptionError(f"bands={shown(bands)}: expected a sequence of names of channels, each once, or None")
    return names


def check_bands_known(trained: Sequence[str], bands: Sequence[str], fitting: str, title: str) -> None:
    """Whether weights were trained on all bands that are wanted, where they name theirs.

    Raises:
        OptionError: some are new, and may not start from zero.
    """
    new = [name for name in bands if name not in trained]
    if not trained or not new or fitting == ZERO_NEW:
        return
    close = [name for item in new for name in difflib.get_close_matches(item, trained, n=1)]
    hint = f" (did you mean {' and '.join(map(repr, close))}?)" if close else ""
    raise OptionError(
        f"bands: {', '.join(map(repr, new))}{hint} {'is' if len(new) == 1 else 'are'} not among the bands of {title}: "
        f"{', '.join(trained)}; channel_fitting={ZERO_NEW!r} lets others start from zero"
    )

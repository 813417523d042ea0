"""A check of the options that a user may choose of an encoder: that they are there, as declared, and have an effect."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from smp_core.errors import OptionError
from smp_core.factory import create_encoder
from smp_core.plugin import Flag, Number, OneOf, OptionKind, Whole
from smp_testing.cases import EncoderCase
from smp_testing.expectations import contained, expect

_PLAIN = (bool, int, float, str, bytes, type(None))


def user_options_do_as_declared(case: EncoderCase) -> None:
    """Each of ``user_options`` is a keyword of the target, has a default of its kind, and any effect."""
    parameters = inspect.signature(pkgutil.resolve_name(case.spec.target)).parameters
    takes_any = any(item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters.values())
    named = [name for name, item in parameters.items() if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)]
    missing = [name for name in case.spec.user_options if name not in named]
    expect(
        not missing or takes_any,
        f"{case.name}: user_options name {', '.join(missing)}, which its target does not take; expected some of "
        f"its keywords: {', '.join(named)}",
    )
    for name in case.spec.user_options:
        default = case.spec.options.get(name, parameters[name].default if name in named else inspect.Parameter.empty)
        kind = case.spec.option_kinds.get(name)
        if default is inspect.Parameter.empty:
            continue
        if kind is not None:
            _expect_default_of_kind(case, name, default, kind)
        _expect_effect(case, name, [*_others(default, kind)])


def _expect_default_of_kind(case: EncoderCase, name: str, default: object, kind: OptionKind) -> None:
    wrong = ""
    try:
        kind.check(name, default)
    except OptionError as error:
        wrong = str(error)
    expect(
        not wrong,
        f"{case.name}: the default of its option {name} is {default!r}, which option_kinds does not allow: {wrong}",
        hint="optional=True allows None" if default is None else "",
    )


def _others(default: object, kind: OptionKind | None) -> Iterator[object]:
    """Other values that the option takes, as far as one can tell; none where nothing says."""
    for value in _guesses(default, kind):
        if value != default and (kind is None or not _is_refused(kind, value)):
            yield value


def _guesses(default: object, kind: OptionKind | None) -> Iterator[object]:
    if isinstance(kind, OneOf):
        yield from kind.names
    elif isinstance(kind, Flag) or isinstance(default, bool):
        yield from (True, False)
    elif isinstance(kind, Whole) or (isinstance(default, int) and kind is None):
        whole, step = (default if isinstance(default, int) else 0), getattr(kind, "multiple_of", 1)
        yield from (2 * whole, whole + step, whole - step)
        yield from (kind.least, kind.most) if isinstance(kind, Whole) and kind.most <= 2 * whole + 10 else ()
    elif isinstance(kind, Number) or (isinstance(default, float) and kind is None):
        start = default if isinstance(default, (int, float)) else 0.0
        yield from (start / 2, 2 * start, start + 0.1, start - 0.1)


def _is_refused(kind: OptionKind, value: object) -> bool:
    try:
        kind.check("", value)
    except OptionError:
        return True
    return False


def _expect_effect(case: EncoderCase, name: str, values: list[object]) -> None:
    """Raise where values are taken and nothing whatever is another: no layer, no attribute, no weight, no result."""
    taken = []
    for value in values[:4]:
        with contained() as raised:
            if _differs(case, {name: value}):
                return
        if not raised:
            taken.append(value)
    expect(
        not taken,
        f"{case.name}: its option {name} has no effect: with {name}={', '.join(map(repr, taken))} the same encoder is "
        "built as by default; expected another one, or the option not to be declared",
    )


def _differs(case: EncoderCase, options: dict[str, object]) -> bool:
    plain, chosen = (_outline(case, given) for given in ({}, options))
    if _described(plain) != _described(chosen):
        return True
    x = case.image()
    results = []
    for given in ({}, options):
        torch.default_generator.manual_seed(0)
        module = _build(case, given)
        tensors = [item.detach().clone() for item in module.state_dict().values()]
        for training in (True, False):
            torch.default_generator.manual_seed(0)
            with torch.no_grad():
                tensors += [item.clone() for item in case.run(module.train(training), x)]
        results.append(tensors)
    one, other = results
    return len(one) != len(other) or not all(map(torch.equal, one, other))


def _outline(case: EncoderCase, options: dict[str, object]) -> nn.Module:
    made: list[nn.Module] = []
    with contained(), torch.device("meta"):
        made.append(_build(case, options))
    return made[0] if made else _build(case, options)


def _build(case: EncoderCase, options: dict[str, Any]) -> nn.Module:
    return create_encoder(case.registered.qualified_name, depth=case.default_depth, weights=None, options=options)


def _described(module: nn.Module) -> list[Any]:
    """All that can be seen of a module without its numbers."""
    parts = [
        (name, type(part).__qualname__, {key: value for key, value in vars(part).items() if _is_plain(value)})
        for name, part in module.named_modules()
    ]
    tensors = [(name, tensor.shape, tensor.dtype) for name, tensor in module.state_dict().items()]
    return [parts, tensors, [item.requires_grad for item in module.parameters()]]


def _is_plain(value: object) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, (tuple, list)) and all(map(_is_plain, value)))

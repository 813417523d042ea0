"""The arguments of a call, carried over as a line of the table says."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from smp_cli.move.entries import Arguments

Code = Callable[[ast.expr], str]


class ByHandError(Exception):
    """Arguments that cannot be carried over; the message says why."""


@dataclass(frozen=True)
class Given:
    """An argument of a call.

    Attributes:
        name: the parameter; ``*`` and ``**`` where it is a list or a dict of several, empty where nobody knows.
        keyword: whether the name is written.
        value: of it.
    """

    name: str
    keyword: bool
    value: ast.expr


def bind(call: ast.Call, names: Sequence[str]) -> list[Given]:
    """The arguments of a call by their parameters, whose names are given in their order."""
    found: list[tuple[tuple[int, int], Given]] = []
    for number, value in enumerate(call.args):
        if isinstance(value, ast.Starred):
            given = Given("*", False, value.value)
        else:
            given = Given(names[number] if number < len(names) else "", False, value)
        found.append(((value.lineno, value.col_offset), given))
    for item in call.keywords:
        place = (item.value.lineno, item.value.col_offset)
        found.append((place, Given("**" if item.arg is None else item.arg, item.arg is not None, item.value)))
    return [given for _, given in sorted(found, key=lambda pair: pair[0])]


def carry(given: Sequence[Given], arguments: Arguments | None, code: Code, others: Collection[str] = ()) -> list[str]:
    """The arguments as they are written here.

    Args:
        given: those of the call.
        arguments: how they are carried over; None where they stay as they are.
        code: gives the code of a value.
        others: keywords that go into the dict of `Arguments.rest`.

    Raises:
        ByHandError: nobody can tell which parameter gets which value.
    """
    if arguments is None or not (arguments.positional or arguments.first):
        written = [_as_it_is(item, code) for item in given]
    else:
        written = [*_reordered(given, arguments, code, others)]
    if arguments is not None and arguments.added is not None and is_added(given, arguments):
        written.append("=".join(arguments.added))
    return written


def is_added(given: Sequence[Given], arguments: Arguments) -> bool:
    """Whether a call gets the keyword that `Arguments.added` says."""
    names = {item.name for item in given}
    wanted = not arguments.added_with or bool(names & {*arguments.added_with})
    return arguments.added is not None and wanted and arguments.added[0] not in names


def _as_it_is(item: Given, code: Code) -> str:
    if item.keyword:
        return f"{item.name}={code(item.value)}"
    return (item.name if item.name.startswith("*") else "") + code(item.value)


def _reordered(given: Sequence[Given], arguments: Arguments, code: Code, others: Collection[str]) -> Iterator[str]:
    if any(item.name == "*" for item in given):
        raise ByHandError("arguments given by * cannot be told apart: name them")
    if any(not item.name for item in given):
        raise ByHandError("it has more arguments by position than segmentation_models_pytorch 0.6.0 takes")
    values = {item.name: code(item.value) for item in given if item.name != "**"}
    missing = {name: value for name, value in arguments.defaults.items() if name not in values}
    needed = {*arguments.names[: arguments.positional], *missing} - {*values}
    if needed and any(item.name == "**" for item in given):
        raise ByHandError(f"write out what the dict has of {', '.join(sorted(needed))}: it is needed by name")
    if arguments.first:
        yield arguments.first
    for name in arguments.names[: arguments.positional]:
        value = values.pop(name, None) or missing.pop(name, None)
        if value is None:
            break
        yield value
    in_dict = [f'"{name}": {value}' for name, value in values.items() if name in others]
    for name, value in values.items():
        if name in arguments.dropped or name in others:
            continue
        now, meanings = arguments.former.get(name, (arguments.renamed.get(name, name), {}))
        yield f"{now}={meanings.get(value, value)}"
    yield from (f"{name}={value}" for name, value in missing.items())
    if in_dict:
        yield f"{arguments.rest}={{{', '.join(in_dict)}}}"
    yield from (f"**{code(item.value)}" for item in given if item.name == "**")

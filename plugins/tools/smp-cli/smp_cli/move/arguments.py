"""The arguments of a call, carried over as a line of the table says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import libcst

from smp_cli.move.entries import Arguments

Code = Callable[[libcst.CSTNode], str]


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
    value: libcst.BaseExpression


def bind(call: libcst.Call, names: Sequence[str]) -> list[Given]:
    """The arguments of a call by their parameters, whose names are given in their order."""
    found = []
    for number, argument in enumerate(call.args):
        if argument.star or argument.keyword is not None:
            name = argument.keyword.value if argument.keyword is not None else argument.star
            found.append(Given(name, argument.keyword is not None, argument.value))
        else:
            found.append(Given(names[number] if number < len(names) else "", False, argument.value))
    return found


def carry(given: Sequence[Given], arguments: Arguments | None, code: Code) -> list[str]:
    """The arguments as they are written here.

    Args:
        given: those of the call.
        arguments: how they are carried over; None where they stay as they are.
        code: gives the code of a value.

    Raises:
        ByHandError: nobody can tell which parameter gets which value.
    """
    if arguments is None or not (arguments.positional or arguments.first):
        written = [_as_it_is(item, code) for item in given]
    else:
        written = [*_reordered(given, arguments, code)]
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


def _reordered(given: Sequence[Given], arguments: Arguments, code: Code) -> Iterator[str]:
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
    others = []
    for name, value in values.items():
        if name in arguments.dropped:
            continue
        if name in arguments.former:
            now, meanings = arguments.former[name]
            yield f"{now}={meanings.get(value, value)}"
        elif name in arguments.names or not arguments.rest:
            yield f"{arguments.renamed.get(name, name)}={value}"
        else:
            others.append(f'"{name}": {value}')
    yield from (f"{name}={value}" for name, value in missing.items())
    if others:
        yield f"{arguments.rest}={{{', '.join(others)}}}"
    yield from (f"**{code(item.value)}" for item in given if item.name == "**")

"""Parsing, where deep nesting neither stops Python nor overruns the parser's stack."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import libcst

from smp_cli.move.sources import UnreadableError

Result = TypeVar("Result")

# The parser recurses on the stack of its thread, and the tree is walked by recursion, some frames a level.
_STACK_BYTES = 512 * 2**20
_FRAMES = 50_000


def deeply(function: Callable[[], Result]) -> Result:
    """Call a function where there is much room for recursion.

    Raises:
        UnreadableError: the room was not enough.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    with _room():
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    if errors and isinstance(errors[0], RecursionError):
        raise UnreadableError("is nested too deeply") from errors[0]
    if errors:
        raise errors[0]
    return results[0]


@contextmanager
def _room() -> Iterator[None]:
    frames, size = sys.getrecursionlimit(), threading.stack_size(_STACK_BYTES)
    sys.setrecursionlimit(max(frames, _FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(frames)
        threading.stack_size(size)


def parse(code: str) -> libcst.Module:
    """The syntax tree of a program.

    Raises:
        UnreadableError: says what the parser did not take, and on which line.
    """
    try:
        module = libcst.parse_module(code)
    except libcst.ParserSyntaxError as error:
        raise UnreadableError(f"does not parse: {_reason(error)}, line {error.editor_line}") from error
    except UnicodeError as error:  # a string of a notebook may hold half a character
        raise UnreadableError("holds characters that no encoding has") from error
    # The parser drops blanks on the last lines of a file; anything else would put its places in doubt.
    if module.code.rstrip() != code.rstrip():
        raise UnreadableError("the parser does not give back what it read")
    return module


def _reason(error: libcst.ParserSyntaxError) -> str:
    """What the parser says, in a few words: after its own coordinates, before the list of what it expected."""
    said = " ".join(str(error.message).split())
    said = said.partition(": expected one of ")[0] if ": expected one of " in said else said
    for begin in ("parser error: ", "tokenizer error: "):
        said = said.removeprefix(begin)
    return "unexpected syntax" if said.startswith("error at ") else said

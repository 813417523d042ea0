"""Parsing, where deep nesting neither stops Python nor overruns the parser's stack."""

from __future__ import annotations

import ast
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from smp_cli.move.sources import UnreadableError

Result = TypeVar("Result")

# The parser recurses on the stack of its thread. Python bounds most of it, Python 3.10 not all.
_STACK_BYTES = 256 * 2**20


def parse(code: str) -> ast.Module:
    """The syntax tree of a program; its nodes' columns are in bytes of UTF-8.

    Raises:
        UnreadableError: says what the parser did not take, and on which line.
    """
    try:
        return _with_room(lambda: _parse(code))
    except (RecursionError, MemoryError) as error:  # the parser says either where it goes too deep
        raise UnreadableError("is nested too deeply") from error
    except SyntaxError as error:
        raise UnreadableError(f"does not parse: {error.msg}, line {error.lineno or 1}") from error
    except UnicodeError as error:  # a string of a notebook may hold half a character
        raise UnreadableError("holds characters that no encoding has") from error
    except ValueError as error:
        raise UnreadableError(f"does not parse: {error}") from error


def is_expression(text: str) -> bool:
    """Whether a text is one expression."""
    try:
        (statement,) = _parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return isinstance(statement, ast.Expr)


def _parse(code: str) -> ast.Module:
    with warnings.catch_warnings():  # of the program that is read: it is not ours to judge
        warnings.simplefilter("ignore")
        return ast.parse(code)


def _with_room(function: Callable[[], Result]) -> Result:
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    with _stack():
        thread = threading.Thread(target=run)
        thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


@contextmanager
def _stack() -> Iterator[None]:
    size = threading.stack_size(_STACK_BYTES)
    try:
        yield
    finally:
        threading.stack_size(size)

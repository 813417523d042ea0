"""Python text as a syntax tree can take it, and changes of it that leave everything else as it is, byte for byte."""

from __future__ import annotations

import codecs
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_ENDS = "\r\n"


class UnreadableError(Exception):
    """A file that cannot be read as what its name says; the message says why, in one line."""


@dataclass(frozen=True)
class Edit:
    """Another text in place of one: on a line (from 1), from a column (from 0, in characters)."""

    line: int
    column: int
    old: str
    new: str


@dataclass(frozen=True)
class Text:
    """A decoded file.

    Attributes:
        lines: with their ends, whatever these are.
        encoding: how it is encoded again.
        mark: the byte order mark, or nothing.
    """

    lines: tuple[str, ...]
    encoding: str
    mark: bytes = b""

    def encode(self) -> bytes:
        """The bytes of the file."""
        return self.mark + "".join(self.lines).encode(self.encoding)


def split_lines(text: str) -> list[str]:
    """Lines with their ends, as Python counts them: a form feed or a Unicode separator ends none."""
    return _LINE.findall(text)


def decode(raw: bytes) -> Text:
    """The text of a Python file, by its byte order mark and its encoding cookie.

    Raises:
        UnreadableError: an unknown encoding, bytes that it does not have, or one that does not give them back.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
    except SyntaxError as error:
        raise UnreadableError(str(error)) from error
    mark = codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b""
    encoding = "utf-8" if mark else encoding
    try:
        text = Text(tuple(split_lines(raw[len(mark) :].decode(encoding))), encoding, mark)
        same = text.encode() == raw
    except (UnicodeError, LookupError) as error:
        raise UnreadableError(f"cannot be decoded as {encoding}: {error}") from error
    if not same:
        raise UnreadableError(f"decoding it as {encoding} and encoding it again gives other bytes")
    return text


@dataclass(frozen=True)
class Parsable:
    """What the parser gets in place of lines: their ends are line feeds, and form feeds are gone.

    Attributes:
        code: the text for the parser.
        shifts: how many characters were left out at the beginnings of lines, by their numbers (from 1).
    """

    code: str
    shifts: dict[int, int]


def parsable(lines: Sequence[str]) -> Parsable:
    """Lines as the parser takes them; each stays a line."""
    shifts: dict[int, int] = {}
    kept = []
    for number, line in enumerate(lines, 1):
        bare = line.rstrip(_ENDS)
        begun = bare.lstrip("\f")
        if begun != bare:
            shifts[number] = len(bare) - len(begun)
        kept.append(begun.replace("\f", " ") + ("\n" if bare != line else ""))
    return Parsable("".join(kept), shifts)


def apply(lines: Sequence[str], edits: Iterable[Edit]) -> tuple[str, ...]:
    """Lines with edits made; none may overlap another."""
    by_line: defaultdict[int, list[Edit]] = defaultdict(list)
    for edit in edits:
        by_line[edit.line].append(edit)
    changed = list(lines)
    for number, wanted in by_line.items():
        line = changed[number - 1]
        for edit in sorted(wanted, key=lambda edit: edit.column, reverse=True):
            end = edit.column + len(edit.old)
            assert line[edit.column : end] == edit.old, (edit, line)
            line = line[: edit.column] + edit.new + line[end:]
        changed[number - 1] = line
    return tuple(changed)

"""Notebooks: their code cells as one program, and changes of single lines in the JSON that holds them.

A notebook is never written anew: the strings of the lines that change are replaced, and all else stays, byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from smp_cli.move.sources import Edit, UnreadableError, apply, split_lines

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")

_PYTHON_CELLS = frozenset({"time", "timeit", "capture", "prun"})
_CELL_MAGIC = re.compile(r"\s*%%(\w+)")
_MAGIC = re.compile(r"(?P<before>\s*(?:[\w.,\[\]\"' \t]+=\s*)?)(?:%{1,2}[A-Za-z_]|!{1,2}\s*\S)")
_HELP = re.compile(r"(?P<before>\s*)(?:\?{1,2}%{0,2}[\w.*]+|%{0,2}[\w.*]+\?{1,2})\s*")


@dataclass(frozen=True)
class Piece:
    """A string of a cell's source in the file: it holds the text from ``begin`` to ``end``, quotes included."""

    begin: int
    end: int
    text: str


@dataclass(frozen=True)
class Cell:
    """A code cell: where it stands among all cells, from 1, and its source."""

    number: int
    pieces: tuple[Piece, ...]

    @property
    def lines(self) -> list[str]:
        return split_lines("".join(piece.text for piece in self.pieces))


def read_cells(text: str) -> tuple[str | None, list[Cell]]:
    """The code cells of a notebook in Python; another language, and no cells, where it is in one.

    Args:
        text: of the file.

    Raises:
        UnreadableError: it is no notebook, or one of format 3 or older.
    """
    try:
        whole = json.loads(text)
        found = [*_cells(text)] if isinstance(whole, dict) else []
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"is no notebook: {error}") from error
    if isinstance(whole, dict) and "worksheets" in whole:
        raise UnreadableError("is a notebook of format 3 or older; open and save it with a Jupyter of today")
    if not isinstance(whole, dict) or not isinstance(whole.get("cells"), list):
        raise UnreadableError("is no notebook: expected a JSON object with a list of 'cells'")
    language = _other_language(whole)
    return language, found if language is None else []


def _other_language(notebook: dict[str, Any]) -> str | None:
    """The language of a notebook that is not Python, by what it says of itself, or by its kernel."""
    for table, key in (("language_info", "name"), ("kernelspec", "language"), ("kernelspec", "name")):
        metadata = notebook.get("metadata")
        of_table = metadata.get(table) if isinstance(metadata, dict) else None
        name = of_table.get(key) if isinstance(of_table, dict) else None
        if not isinstance(name, str) or not name:
            continue
        if key == "name" and table == "kernelspec":
            # A kernel may have any name: a few are known to be of other languages.
            kernel = re.match(r"(ir|julia|scala|almond|bash|rust|evcxr|xcpp)\b|julia-", name.casefold())
            return name if kernel is not None else None
        return None if re.match(r"i?python\d*$", name.casefold()) else name
    return None


def _cells(text: str) -> Iterator[Cell]:
    """The code cells, with where their strings stand; the text is known to be JSON."""
    for key, begin in _members(text, 0):
        if key != "cells" or text[begin] != "[":
            continue
        for number, cell in enumerate(_items(text, begin), 1):
            if text[cell] != "{":
                continue
            places = dict(_members(text, cell))
            kind = _DECODER.raw_decode(text, places["cell_type"])[0] if "cell_type" in places else None
            if kind == "code" and "source" in places:
                yield Cell(number, tuple(_pieces(text, places["source"])))


def _pieces(text: str, begin: int) -> Iterator[Piece]:
    for place in _items(text, begin) if text[begin] == "[" else (begin,):
        value, end = _DECODER.raw_decode(text, place)
        if isinstance(value, str):
            yield Piece(place, end, value)


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    assert found is not None
    return found.end()


def _members(text: str, begin: int) -> Iterator[tuple[str, int]]:
    """The keys of the JSON object that begins at a place, and where their values begin."""
    place = _skip(text, _skip(text, begin) + 1)
    while text[place] != "}":
        key, place = _DECODER.raw_decode(text, place)
        place = _skip(text, _skip(text, place) + 1)
        yield key, place
        place = _after(text, place)


def _items(text: str, begin: int) -> Iterator[int]:
    """Where the items of the JSON list that begins at a place begin."""
    place = _skip(text, begin + 1)
    while text[place] != "]":
        yield place
        place = _after(text, place)


def _after(text: str, place: int) -> int:
    """Behind a value and the comma after it."""
    place = _skip(text, _DECODER.raw_decode(text, place)[1])
    return _skip(text, place + 1) if text[place] == "," else place


class _Inside:
    """Whether the lines of a program go on with an expression or a string that began before them."""

    def __init__(self) -> None:
        self.depth = 0
        self.quotes = ""
        self.goes_on = False

    def __bool__(self) -> bool:
        return self.depth > 0 or bool(self.quotes) or self.goes_on

    def read(self, line: str) -> None:
        """Take a line in; its end does not matter."""
        self.goes_on = line.endswith("\\")
        for found in _TOKEN.finditer(line):
            piece = found[0]
            if self.quotes or piece in _QUOTES:
                self.quotes = "" if piece == self.quotes else self.quotes or (piece if piece in _QUOTES else "")
            elif piece.startswith("#"):
                return
            else:
                self.depth = max(0, self.depth + (piece in "([{") - (piece in ")]}"))


_QUOTES = ('"""', "'''")
_TOKEN = re.compile(r"""\"{3}|'{3}|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\\.|\#.*|[()\[\]{}]""")


def is_python(lines: Sequence[str]) -> bool:
    """Whether a cell is not in another language, as a magic on its first line may say."""
    first = next((line for line in lines if line.strip()), "")
    cell_magic = _CELL_MAGIC.match(first)
    return cell_magic is None or cell_magic[1] in _PYTHON_CELLS


def without_magics(lines: Sequence[str]) -> list[str]:
    """The lines of a cell as Python alone, as many as there are; those for IPython do nothing."""
    kept = []
    of_magic = False
    inside = _Inside()
    for line in lines:
        bare = line.rstrip("\r\n")
        end = line[len(bare) :]
        found = None if inside or of_magic else _MAGIC.match(bare) or _HELP.fullmatch(bare)
        if of_magic:
            kept.append(end)
        elif found is None:
            inside.read(bare)
            kept.append(line)
        else:
            before = found["before"]
            kept.append(before + ("None" if before.strip() else "pass") + end)
        of_magic = (of_magic or found is not None) and bare.endswith("\\")
    return kept


def replace(text: str, edits: Iterable[tuple[Cell, Sequence[Edit]]]) -> str:
    """The text of a notebook with lines of its cells changed."""
    changes = []
    for cell, of_cell in edits:
        old, new = cell.lines, apply(cell.lines, of_cell)
        changes += [*_changes(text, cell, old, new)]
    for begin, end, literal in sorted(changes, reverse=True):
        text = text[:begin] + literal + text[end:]
    return text


def _changes(text: str, cell: Cell, old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """The JSON strings that change. A string may hold several lines, or a line be of several strings."""
    if [piece.text for piece in cell.pieces] == [*old]:
        for piece, line in zip(cell.pieces, new, strict=True):
            if piece.text != line:
                yield piece.begin, piece.end, _literal(line, text[piece.begin : piece.end], piece.text)
        return
    first, *others = cell.pieces
    yield first.begin, first.end, _literal("".join(new), text[first.begin : first.end], first.text)
    yield from ((piece.begin, piece.end, '""') for piece in others)


def _literal(value: str, before: str, value_before: str) -> str:
    """A JSON string, escaped as the one that it replaces was."""
    escapes = json.dumps(value_before, ensure_ascii=False) != before and json.dumps(value_before) == before
    return json.dumps(value, ensure_ascii=escapes)

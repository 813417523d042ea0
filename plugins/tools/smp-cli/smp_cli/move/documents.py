"""A file as one program to search, whether it is a module or a notebook, and the file again with changes."""

from __future__ import annotations

import codecs
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smp_cli.move import notebooks
from smp_cli.move.notebooks import Cell
from smp_cli.move.parsing import parse
from smp_cli.move.sources import Edit, Text, UnreadableError, apply, decode, parsable, split_lines

NAMED = re.compile(rb"segmentation[_-]models[_-]pytorch|smp_compat")
"""What is in every file that uses the library; others need not be parsed."""


@dataclass(frozen=True)
class Place:
    """A line of a file: from 1, of a cell (from 1, among all cells) where it is a notebook."""

    line: int
    cell: int | None = None
    column: int = 0

    def __str__(self) -> str:
        return f"{self.line}" if self.cell is None else f"cell {self.cell}:{self.line}"


@dataclass
class Document:
    """A file and the program in it.

    Attributes:
        path: of the file.
        text: of it.
        code: the program, for the parser.
        places: where each line of the program stands, and what was left out at its beginning, as the column.
        cells: of a notebook, by their numbers.
        failures: cells that do not parse, and why.
        mentions: lines that are not Python and name the library, with what they say.
        left: why it was left alone, where it was.
    """

    path: Path
    text: Text
    code: str = ""
    places: list[Place] = field(default_factory=list)
    cells: dict[int, Cell] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    mentions: list[tuple[Place, str]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def place(self, line: int, column: int = 0) -> Place:
        """Where a line and column of the program stand in the file."""
        of_line = self.places[line - 1]
        return Place(of_line.line, of_line.cell, of_line.column + column)

    def changed(self, edits: Sequence[tuple[Place, str, str]]) -> Text:
        """The file with texts replaced: where, the old one, the new one."""
        by_cell: defaultdict[int | None, list[Edit]] = defaultdict(list)
        for place, old, new in edits:
            by_cell[place.cell].append(Edit(place.line, place.column, old, new))
        if not self.cells:
            return Text(apply(self.text.lines, by_cell[None]), self.text.encoding, self.text.mark)
        wanted = [(self.cells[number], found) for number, found in by_cell.items() if number is not None]
        text = notebooks.replace("".join(self.text.lines), wanted)
        return Text(tuple(split_lines(text)), self.text.encoding, self.text.mark)


def read(path: Path) -> Document | None:
    """A file; None where it does not name the library.

    Raises:
        UnreadableError: it cannot be decoded, or is no notebook.
        OSError: it cannot be read.
    """
    raw = path.read_bytes()
    if not NAMED.search(raw):
        return None
    return _notebook(path, raw) if path.suffix.lower() == ".ipynb" else _module(path, raw)


def _module(path: Path, raw: bytes) -> Document:
    document = Document(path, decode(raw))
    _add(document, document.text.lines, None)
    return document


def _add(document: Document, lines: Sequence[str], cell: int | None) -> None:
    """Append lines to the program."""
    found = parsable(lines)
    document.code += found.code
    document.places += [Place(number, cell, found.shifts.get(number, 0)) for number in range(1, len(lines) + 1)]


def _notebook(path: Path, raw: bytes) -> Document:
    mark = codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b""
    try:
        text = raw[len(mark) :].decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"cannot be decoded as utf-8: {error}") from error
    document = Document(path, Text(tuple(split_lines(text)), "utf-8", mark))
    language, cells = notebooks.read_cells(text)
    if language is not None:
        document.left.append(f"is a notebook in {language}, not in Python: left alone")
    for cell in cells:
        document.cells[cell.number] = cell
        _add_cell(document, cell)
    return document


def _add_cell(document: Document, cell: Cell) -> None:
    lines = cell.lines
    python = [] if not notebooks.is_python(lines) else lines if _parses(lines) else notebooks.without_magics(lines)
    for number, line in enumerate(lines, 1):
        if line not in python[number - 1 : number] and NAMED.search(line.encode("utf-8", "replace")):
            document.mentions.append((Place(number, cell.number), line.strip()))
    if not python:
        return
    try:
        parse(parsable(python).code)
    except UnreadableError as error:
        document.failures.append(f"cell {cell.number} {error}")
    else:
        _add(document, [*python[:-1], python[-1].rstrip("\r\n") + "\n"], cell.number)


def _parses(lines: Sequence[str]) -> bool:
    """Whether lines are Python as they are; one of an expression may begin as a magic does."""
    try:
        parse(parsable(lines).code)
    except UnreadableError:
        return False
    return True

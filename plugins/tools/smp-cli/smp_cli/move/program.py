"""A program as text and as a syntax tree, and where the one stands in the other."""

from __future__ import annotations

import ast
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from smp_cli.move.parsing import parse


@dataclass(frozen=True)
class Program:
    """A program.

    Attributes:
        code: of it; lines end with line feeds alone.
        tree: of it.
        lines: of it, with their ends.
        begins: where each line begins in the code.
    """

    code: str
    tree: ast.Module
    lines: tuple[str, ...]
    begins: tuple[int, ...]
    _columns: dict[int, list[int]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls, code: str) -> Program:
        """Parse a program.

        Raises:
            UnreadableError: it does not parse.
        """
        lines = tuple(line + "\n" for line in code.split("\n"))
        return cls(code, parse(code), lines, tuple(accumulate(map(len, lines[:-1]), initial=0)))

    def place(self, node: Any) -> int:
        """Where a node begins in the code, in characters."""
        return self._place(node.lineno, node.col_offset)

    def end(self, node: Any) -> int:
        """Where a node ends in the code, in characters."""
        return self._place(node.end_lineno, node.end_col_offset)

    def line_and_column(self, place: int) -> tuple[int, int]:
        """The line, from 1, and the column, from 0, of a place in the code."""
        line = bisect_right(self.begins, place)
        return line, place - self.begins[line - 1]

    def text(self, node: Any) -> str:
        """The code of a node as it stands, without brackets around it that are not its own."""
        return self.code[self.place(node) : self.end(node)]

    def _place(self, line: int, column: int) -> int:
        if not self.lines[line - 1].isascii():  # the parser counts bytes
            if line not in self._columns:
                sizes = accumulate((len(character.encode()) for character in self.lines[line - 1]), initial=0)
                self._columns[line] = [*sizes]
            column = bisect_left(self._columns[line], column)
        return self.begins[line - 1] + column

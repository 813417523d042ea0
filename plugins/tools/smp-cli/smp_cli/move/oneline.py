"""Code on one line: without its line breaks and comments."""

from __future__ import annotations

import io
import keyword
import tokenize

_SILENT = frozenset({tokenize.NL, tokenize.COMMENT, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT})
_PAIRS = {"(": ")", "[": "]", "{": "}"}


def one_line(code: str) -> str:
    r"""The code of an expression or of an import on one line; strings of several lines keep theirs.

    >>> one_line("f(\n    [1,\n     2,  # two\n    ],\n)")
    'f([1, 2])'
    """
    if "\n" not in code:
        return code
    # In brackets every line break is one that may go.
    wrapped = f"({code}\n)"
    try:
        tokens = [*tokenize.generate_tokens(io.StringIO(wrapped).readline)]
    except (tokenize.TokenError, SyntaxError):
        return " ".join(code.split())
    return _Joined(wrapped.split("\n")).join(tokens)[1:-1]


class _Joined:
    """Puts tokens on one line.

    Args:
        lines: of the code.
    """

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._written: list[str] = []
        self._before: tokenize.TokenInfo | None = None
        self._broken = False
        self._open: list[tuple[bool, int]] = []

    def join(self, tokens: list[tokenize.TokenInfo]) -> str:
        for token in tokens:
            if token.type in _SILENT or token.type == tokenize.ENDMARKER:
                self._broken = True
            else:
                self._add(token)
        return "".join(self._written)

    def _add(self, token: tokenize.TokenInfo) -> None:
        before = self._before
        closes = token.string in _PAIRS.values()
        if closes and self._open:
            listed, commas = self._open.pop()
            if self._broken and before is not None and before.string == "," and (listed or commas > 1):
                # It stood there for the sake of the line break.
                self._written.pop()
        if before is not None:
            self._written.append(self._gap(before, token, closes))
        if token.string in _PAIRS:
            self._open.append((self._is_listed(token.string), 0))
        elif token.string == "," and self._open:
            listed, commas = self._open[-1]
            self._open[-1] = (listed, commas + 1)
        self._written.append(self._slice(token.start, token.end))
        self._before = token
        self._broken = False

    def _gap(self, before: tokenize.TokenInfo, token: tokenize.TokenInfo, closes: bool) -> str:
        if not self._broken and before.end[0] == token.start[0]:
            return self._slice(before.end, token.start)
        return "" if before.string in _PAIRS or closes else " "

    def _is_listed(self, opens: str) -> bool:
        """Whether a last comma means nothing: not in tuples, nor in subscripts, which may be tuples."""
        before = self._before
        if opens == "{" or before is None:
            return opens == "{"
        name = before.type == tokenize.NAME and not keyword.iskeyword(before.string)
        behind = name or before.type == tokenize.STRING or before.string in _PAIRS.values()
        return (behind or before.string == "import") if opens == "(" else not behind

    def _slice(self, start: tuple[int, int], end: tuple[int, int]) -> str:
        (first, begin), (last, stop) = start, end
        if first == last:
            return self._lines[first - 1][begin:stop]
        middle = self._lines[first : last - 1]
        return "\n".join([self._lines[first - 1][begin:], *middle, self._lines[last - 1][:stop]])

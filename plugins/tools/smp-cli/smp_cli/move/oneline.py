"""An expression on one line, with parts of it replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import libcst

Replaced = Callable[[libcst.CSTNode], "str | None"]


def one_line(module: libcst.Module, node: libcst.CSTNode, replaced: Replaced) -> str:
    """The code of a node without its line breaks and comments; strings of several lines keep theirs.

    Args:
        module: which has the node.
        node: an expression.
        replaced: what stands in place of a node, or None.
    """
    own = replaced(node)
    if own is not None:
        return own
    changed = node.visit(_OneLine(replaced))
    assert isinstance(changed, libcst.CSTNode)
    return module.code_for_node(changed).strip()


class _OneLine(libcst.CSTTransformer):
    def __init__(self, replaced: Replaced) -> None:
        super().__init__()
        self._replaced = replaced
        self._lines: dict[libcst.CSTNode, str] = {}

    def on_visit(self, node: libcst.CSTNode) -> bool:
        line = self._replaced(node)
        if line is None:
            return super().on_visit(node)
        self._lines[node] = line
        return False

    def on_leave(self, original_node: Any, updated_node: Any) -> Any:
        line = self._lines.get(original_node)
        if line is not None:
            return libcst.parse_expression(line)
        if isinstance(updated_node, libcst.ParenthesizedWhitespace):
            return libcst.SimpleWhitespace(" ")
        if isinstance(updated_node, libcst.SimpleWhitespace) and "\n" in updated_node.value:
            return libcst.SimpleWhitespace(" ")
        if isinstance(updated_node, _OPENING):
            return updated_node.with_changes(whitespace_after=_tight(updated_node.whitespace_after))
        if isinstance(updated_node, _CLOSING):
            return updated_node.with_changes(whitespace_before=_tight(updated_node.whitespace_before))
        return super().on_leave(original_node, _without_last_comma(original_node, updated_node))


_OPENING = (libcst.LeftSquareBracket, libcst.LeftCurlyBrace, libcst.LeftParen)
_CLOSING = (libcst.RightSquareBracket, libcst.RightCurlyBrace, libcst.RightParen)
_LISTS = (libcst.List, libcst.Dict, libcst.Set)


def _tight(space: Any) -> Any:
    """No space where there was a line break: the break inside of a bracket has become a space by now."""
    return libcst.SimpleWhitespace("") if space.value == " " else space


def _without_last_comma(original: Any, node: Any) -> Any:
    """A list that ended with a comma, for the sake of its line break, ends without one."""
    several = isinstance(original, _LISTS) or (isinstance(original, libcst.Tuple) and len(original.elements) > 1)
    if several and node.elements and isinstance(node.elements[-1].comma, libcst.Comma):
        last = node.elements[-1].with_changes(comma=libcst.MaybeSentinel.DEFAULT)
        return node.with_changes(elements=[*node.elements[:-1], last])
    if isinstance(original, libcst.Call):
        node = node.with_changes(whitespace_before_args=_tight(node.whitespace_before_args))
        if node.args and isinstance(node.args[-1].comma, libcst.Comma):
            last = node.args[-1].with_changes(comma=libcst.MaybeSentinel.DEFAULT)
            return node.with_changes(args=[*node.args[:-1], last])
        if node.args:
            last = node.args[-1].with_changes(whitespace_after_arg=_tight(node.args[-1].whitespace_after_arg))
            return node.with_changes(args=[*node.args[:-1], last])
    return node

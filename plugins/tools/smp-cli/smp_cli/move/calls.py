"""A use as a line of today: the name, and the arguments of a call carried over."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import libcst

from smp_cli.move.arguments import ByHandError, Given, bind, carry, is_added
from smp_cli.move.entries import Arguments, Native
from smp_cli.move.finding import Found, Use
from smp_cli.move.native import SMP_VALUES_NOTE, native
from smp_cli.move.native_models import ARCHITECTURES, CLASS_NOTE, METHODS
from smp_cli.move.oneline import one_line
from smp_cli.move.surface import known_part
from smp_core.registry import index

UNKNOWN = "unknown to segmentation_models_pytorch 0.6.0"

# What builds something over an encoder that is called by a name.
_OVER_ENCODERS = {"smp_core.create": "encoder_name", "smp_core.create_encoder": "name"}


@dataclass(frozen=True)
class Answer:
    """What a use becomes.

    Attributes:
        line: an expression; None where none can be given.
        notes: what to know.
        needs: the distributions to install.
        unnamed_encoder: whether an encoder is chosen that no literal names.
        module: what the line needs to be imported.
    """

    line: str | None
    notes: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    unnamed_encoder: bool = False
    module: str | None = None


class Translator:
    """Translates the uses of a program; those within the arguments of others become today's, too."""

    def __init__(self, found: Found) -> None:
        self._module = found.module
        self._uses = {use.node: use for use in found.uses}
        self._answers: dict[libcst.CSTNode, Answer] = {}

    def answer(self, use: Use) -> Answer:
        """What a use becomes."""
        if use.node not in self._answers:
            self._answers[use.node] = self._translate(use)
        return self._answers[use.node]

    def written(self, node: libcst.CSTNode) -> str:
        """A node as the program has it, on one line."""
        return one_line(self._module, node, lambda _: None)

    def _code(self, node: libcst.CSTNode) -> str:
        """A node on one line, with the uses in it translated where there is a line for them."""
        return one_line(self._module, node, self._line)

    def _line(self, node: libcst.CSTNode) -> str | None:
        use = self._uses.get(node)
        return None if use is None else self.answer(use).line

    def _translate(self, use: Use) -> Answer:
        known = known_part(use.name)
        entry = native(known) if known is not None else None
        if known is None or entry is None:
            return Answer(None, (f"{use.name} is {UNKNOWN}",))
        rest = use.name[len(known) :] if known else ""
        of_a_model = known.rpartition(".")[2] in (*ARCHITECTURES, "SegmentationModel")
        if of_a_model and rest.lstrip(".") in METHODS:
            entry, rest = METHODS[rest.lstrip(".")], ""
        try:
            answer = self._of_call(use, entry) if _is_called(use, entry, rest) else self._of_name(use, entry, rest)
        except ByHandError as error:
            answer = Answer(None, (str(error), *filter(None, [entry.note])), frozenset(entry.needs))
        if use.stored or (answer.line is not None and not _is_expression(answer.line)):
            return replace(answer, line=None)
        return replace(answer, module=_module(answer.line, rest)) if answer.line is not None else answer

    def _of_name(self, use: Use, entry: Native, rest: str) -> Answer:
        """A name that is not called, or not with the arguments that it had."""
        notes = [entry.note] if entry.note else []
        needs = frozenset(entry.needs)
        node: Any = use.node
        if isinstance(node, libcst.Subscript) and entry.subscript and not rest and len(node.slice) == 1:
            return Answer(entry.subscript.format(self._code(node.slice[0].slice)), tuple(notes), needs)
        if entry.target.endswith(")"):
            whole = rest in ("", ".keys") and not isinstance(node, libcst.Subscript)
            return Answer(entry.target if whole else None, tuple(notes), needs)
        line = entry.reference or entry.target
        if entry in ARCHITECTURES.values():
            notes.append(CLASS_NOTE.format(line.rpartition(".")[2].lower()))
        if entry.arguments is not None and entry.arguments.added is not None:
            notes.append(f"where it is called, {SMP_VALUES_NOTE}")
        if not line:
            return Answer(None, tuple(notes), needs)
        if isinstance(node, libcst.Call) and not rest:
            return Answer(None, (f"{line}: {'; '.join(notes)}",), needs)
        return Answer(line + rest + self._behind(use), tuple(notes), needs)

    def _behind(self, use: Use) -> str:
        """What follows the reference: the arguments of a call, or a subscript."""
        node: Any = use.node
        if isinstance(node, libcst.Call):
            return f"({', '.join(carry(bind(node, ()), None, self._code))})"
        if isinstance(node, libcst.Subscript):
            return self.written(node)[len(self.written(use.reference)) :]
        return ""

    def _of_call(self, use: Use, entry: Native) -> Answer:
        assert isinstance(use.node, libcst.Call)
        arguments = entry.arguments or Arguments()
        given = bind(use.node, arguments.names)
        names = {item.name for item in given}
        notes = [entry.note] if entry.note else []
        if "**" in names and entry.dict_note:
            notes.append(entry.dict_note)
        if entry.with_note is not None and names & {*entry.with_note[0]}:
            notes.append(entry.with_note[1])
        notes += [f"{name} is left out: it has no counterpart" for name in arguments.dropped if name in names]
        if is_added(given, arguments):
            notes.append(SMP_VALUES_NOTE)
        needs, unnamed = _needs(entry, given, arguments)
        line = f"{entry.target}({', '.join(carry(given, entry.arguments, self._code))}){entry.suffix}"
        return Answer(line, tuple(notes), needs, unnamed)


def _is_called(use: Use, entry: Native, rest: str) -> bool:
    return isinstance(use.node, libcst.Call) and bool(entry.target) and not entry.target.endswith(")") and not rest


def _needs(entry: Native, given: Sequence[Given], arguments: Arguments) -> tuple[frozenset[str], bool]:
    """The distributions of a call, with those that own the names in it; whether its encoder is not named."""
    needs = {*entry.needs}
    values = {name: ast.literal_eval(default) for name, default in arguments.defaults.items()}
    values |= {item.name: _string(item.value) for item in given}
    if isinstance(arch := values.get("arch"), str):
        needs.add(index.architecture_owner(arch) or "")
    parameter = _OVER_ENCODERS.get(entry.target)
    encoder = values.get(parameter) if parameter is not None else None
    if isinstance(encoder, str):
        needs.add(index.encoder_owner(encoder) or "")
    return frozenset(needs - {""}), parameter is not None and encoder is None


def _string(node: libcst.BaseExpression) -> str | None:
    value = node.evaluated_value if isinstance(node, libcst.SimpleString | libcst.ConcatenatedString) else None
    return value if isinstance(value, str) else None


def _module(line: str, rest: str) -> str:
    """The module that has the name with which a line begins; ``rest`` is what follows the name.

    >>> _module("smp_core.heads.SegmentationHead(16, 2)", ""), _module("smp_losses", "")
    ('smp_core.heads', 'smp_losses')
    """
    name = line.partition("(")[0].partition("[")[0].removesuffix(rest)
    return name.rpartition(".")[0] or name


def _is_expression(line: str) -> bool:
    """Whether a line parses; what was carried over may be of a kind that only its old place allowed."""
    try:
        libcst.parse_expression(line)
    except libcst.ParserSyntaxError:
        return False
    return True

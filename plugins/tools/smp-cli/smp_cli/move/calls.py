"""A use as a line of today: the name, and the arguments of a call carried over."""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from smp_cli.move.arguments import ByHandError, Given, bind, carry, is_added
from smp_cli.move.entries import Arguments, Native
from smp_cli.move.finding import Found, Use
from smp_cli.move.keywords import sort_keywords
from smp_cli.move.native import SMP_VALUES_NOTE, native
from smp_cli.move.native_models import ARCHITECTURES, CLASS_NOTE, METHODS, ROLE_NOTES
from smp_cli.move.not_provided import instead_of
from smp_cli.move.oneline import one_line
from smp_cli.move.parsing import is_expression
from smp_cli.move.surface import known_part, moved
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
        of_class: whether it is a class of models that is named and not called.
    """

    line: str | None
    notes: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    unnamed_encoder: bool = False
    module: str | None = None
    of_class: bool = False


class Translator:
    """Translates the uses of a program; those within the arguments of others become today's, too."""

    def __init__(self, found: Found) -> None:
        self._program = found.program
        self._answers: dict[Use, Answer] = {}
        begins = [(found.program.place(use.node), use) for use in found.uses if not use.in_string]
        begins.sort(key=lambda pair: pair[0])
        self._begins = [begin for begin, _ in begins]
        self._inner = [use for _, use in begins]
        # From the last to the first, so that what stands in the arguments of a call is there before the call.
        for use in reversed(found.uses):
            self._answers[use] = self._translate(use)

    def answer(self, use: Use) -> Answer:
        """What a use becomes."""
        return self._answers[use]

    def written(self, use: Use) -> str:
        """A use as the program has it, on one line."""
        if isinstance(use.node, ast.alias):
            return use.node.name
        if use.in_string:
            return ast.unparse(use.node)
        return one_line(self._program.text(use.node))

    def _code(self, node: ast.expr) -> str:
        """An expression on one line, with the uses in it translated where there is a line for them."""
        begin, end = self._program.place(node), self._program.end(node)
        pieces: list[str] = []
        lines: list[str] = []
        done = begin
        for number in range(bisect_left(self._begins, begin), len(self._begins)):
            place = self._begins[number]
            if place >= end:
                break
            use = self._inner[number]
            answer = self._answers.get(use)
            if place < done or answer is None or answer.line is None or isinstance(use.node, ast.alias):
                continue
            # A name in its place, so that what is put in stays as it is.
            pieces += [self._program.code[done:place], f"{_MARK}{len(lines)}_"]
            lines.append(answer.line)
            done = self._program.end(use.node)
        text = one_line("".join([*pieces, self._program.code[done:end]]))
        text = _MARKED.sub(lambda found: lines[int(found[1])], text) if lines else text
        return f"({text})" if isinstance(node, _BRACKETED) else text

    def _translate(self, use: Use) -> Answer:
        name = use.name
        notes = []
        if known_part(name) is None and (today := moved(name)) is not None:
            notes.append(f"{name} has been {today} since segmentation_models_pytorch 0.2")
            name = today
        known = known_part(name)
        entry = native(known) if known is not None else None
        if known is None or entry is None:
            return Answer(None, (*notes, f"{name} is {UNKNOWN}"))
        lacking = instead_of(known)
        if lacking is not None:
            return Answer(None, (*notes, lacking))
        rest = name[len(known) :] if known else ""
        of_a_model = known.rpartition(".")[2] in (*ARCHITECTURES, "SegmentationModel")
        if of_a_model and rest.lstrip(".") in METHODS:
            entry, rest = METHODS[rest.lstrip(".")], ""
        try:
            answer = self._of_call(use, entry) if _is_called(use, entry, rest) else self._of_name(use, entry, rest)
        except ByHandError as error:
            answer = Answer(None, (str(error), *filter(None, [entry.note])), frozenset(entry.needs))
        answer = replace(answer, notes=(*notes, *answer.notes))
        if use.stored or (answer.line is not None and not is_expression(answer.line)):
            return replace(answer, line=None)
        return replace(answer, module=_module(answer.line, rest)) if answer.line is not None else answer

    def _of_name(self, use: Use, entry: Native, rest: str) -> Answer:
        """A name that is not called, or not with the arguments that it had."""
        notes = [entry.note] if entry.note else []
        needs = frozenset(entry.needs)
        node = use.node
        if isinstance(node, ast.Subscript) and entry.subscript and not rest and not isinstance(node.slice, ast.Tuple):
            return Answer(entry.subscript.format(self._code(node.slice)), tuple(notes), needs)
        if entry.target.endswith(")"):
            whole = rest in ("", ".keys") and not isinstance(node, ast.Subscript)
            return Answer(entry.target if whole else None, tuple(notes), needs)
        line = entry.reference or entry.target
        of_class = entry in ARCHITECTURES.values()
        if of_class:
            name = line.rpartition(".")[2].lower()
            notes.append((ROLE_NOTES.get(use.role) or CLASS_NOTE).format(name))
        if entry.arguments is not None and entry.arguments.added is not None:
            notes.append(f"where it is called, {SMP_VALUES_NOTE}")
        if not line:
            return Answer(None, tuple(notes), needs)
        if isinstance(node, ast.Call) and not rest:
            return Answer(None, (f"{line}: {'; '.join(notes)}",), needs)
        return Answer(line + rest + self._behind(use), tuple(notes), needs, of_class=of_class and not rest)

    def _behind(self, use: Use) -> str:
        """What follows the reference: the arguments of a call, or a subscript."""
        if isinstance(use.node, ast.Call):
            return f"({', '.join(carry(bind(use.node, ()), None, self._code))})"
        if isinstance(use.node, ast.Subscript):
            return f"[{self._code(use.node.slice)}]"
        return ""

    def _of_call(self, use: Use, entry: Native) -> Answer:
        assert isinstance(use.node, ast.Call)
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
        needs, encoder = _needs(entry, given, arguments)
        others, of_keywords = sort_keywords(given, arguments, use.name, encoder)
        notes += of_keywords
        line = f"{entry.target}({', '.join(carry(given, entry.arguments, self._code, others))}){entry.suffix}"
        return Answer(line, tuple(notes), needs, entry.target in _OVER_ENCODERS and encoder is None)


# What an expression needs around it where its own brackets are no part of it.
_BRACKETED = (ast.NamedExpr, ast.Yield, ast.YieldFrom)
_MARK = "_smp_move_line_"
_MARKED = re.compile(rf"\b{_MARK}(\d+)_")


def _is_called(use: Use, entry: Native, rest: str) -> bool:
    return isinstance(use.node, ast.Call) and bool(entry.target) and not entry.target.endswith(")") and not rest


def _needs(entry: Native, given: Sequence[Given], arguments: Arguments) -> tuple[frozenset[str], str | None]:
    """The distributions of a call, with those that own the names in it; its encoder, where a literal names it."""
    needs = {*entry.needs}
    values = {name: ast.literal_eval(default) for name, default in arguments.defaults.items()}
    values |= {item.name: _string(item.value) for item in given}
    if isinstance(arch := values.get("arch"), str):
        needs.add(index.architecture_owner(arch) or "")
    encoder = values.get(_OVER_ENCODERS.get(entry.target, ""))
    if isinstance(encoder, str):
        needs.add(index.encoder_owner(encoder) or "")
    return frozenset(needs - {""}), encoder if isinstance(encoder, str) else None


def _string(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _module(line: str, rest: str) -> str:
    """The module that has the name with which a line begins; ``rest`` is what follows the name.

    >>> _module("smp_core.heads.SegmentationHead(16, 2)", ""), _module("smp_losses", "")
    ('smp_core.heads', 'smp_losses')
    """
    name = line.partition("(")[0].partition("[")[0].removesuffix(rest)
    return name.rpartition(".")[0] or name

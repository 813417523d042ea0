"""What was found in the files, as values that can be printed and written as JSON."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from smp_cli.move.bindings import below_root
from smp_cli.move.calls import UNKNOWN, Answer, Translator
from smp_cli.move.documents import Document, Place
from smp_cli.move.finding import Found, Import
from smp_cli.move.native import STAYS
from smp_cli.move.oneline import one_line
from smp_cli.move.rewriting import becomes, rewritten
from smp_cli.move.sources import Text
from smp_cli.move.surface import known_part, moved

_COMPAT = "smp-compat"


@dataclass(frozen=True)
class Line:
    """Something on a line of a file.

    Attributes:
        line, cell: where.
        kind: ``import``, ``use``, ``class`` (a use of a model's class that is not called), ``string`` (a module
            imported by the name in a string) or ``text`` (a line of a notebook that is not Python).
        text: what stands there, on one line.
        becomes: what it becomes: of an import with smp-compat, of a use natively; None where nothing can be written.
        notes: what to know.
    """

    line: int
    cell: int | None
    kind: str
    text: str
    becomes: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where it stands in the file."""
        return str(Place(self.line, self.cell))


@dataclass
class FileReport:
    """What a file has, and the file with its imports rewritten."""

    path: Path
    old: Text
    new: Text
    lines: list[Line] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        """Whether there are imports to rewrite."""
        return self.old != self.new


@dataclass
class Report:
    """What all files have."""

    read: int = 0
    files: list[FileReport] = field(default_factory=list)
    failures: list[tuple[Path, str]] = field(default_factory=list)
    left: list[tuple[Path, str]] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)

    @property
    def uses(self) -> int:
        """How often something of the library is used."""
        return sum(line.kind in ("use", "class") for file in self.files for line in file.lines)

    @property
    def imports(self) -> list[Line]:
        """All imports."""
        return [line for file in self.files for line in file.lines if line.kind == "import"]

    @property
    def native(self) -> list[str]:
        """The distributions to install for the native lines."""
        return _ordered({name for answer in self._answers() for name in answer.needs} - {_COMPAT})

    @property
    def compat(self) -> list[str]:
        """The distributions that rewritten imports need; none where nothing is imported, as by a string alone."""
        return [_COMPAT] if self.imports else []

    @property
    def staying(self) -> list[str]:
        """The places of uses that have no native form, and that smp-compat has."""
        return [
            f"{file.path}:{line.place}"
            for file in self.files
            for line in file.lines
            if line.becomes is None and any(note.startswith(STAYS) for note in line.notes)
        ]

    @property
    def modules(self) -> list[str]:
        """What the native lines need to be imported."""
        return sorted({answer.module for answer in self._answers() if answer.module is not None})

    @property
    def unnamed_encoders(self) -> bool:
        """Whether encoders are chosen that no literal names."""
        return any(answer.unnamed_encoder for answer in self._answers())

    def _answers(self) -> list[Answer]:
        return [answer for file in self.files for answer in file.answers]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "files": [
                {"path": str(file.path), "changes": file.changes, "lines": [asdict(line) for line in file.lines]}
                for file in self.files
            ],
            "install": {"native": self.native, "compat": self.compat},
            "imports": self.modules,
            "staying": self.staying,
            "failures": [{"path": str(path), "reason": reason} for path, reason in self.failures],
            "left": [{"path": str(path), "reason": reason} for path, reason in self.left],
            "written": [str(path) for path in self.written],
        }


def _ordered(names: set[str]) -> list[str]:
    return sorted(names, key=lambda name: (name != "smp-core", name))


def file_report(document: Document, found: Found) -> FileReport:
    """What a file has of the library, in the order of its lines."""
    translator = Translator(found)
    report = FileReport(document.path, document.text, rewritten(document, found))
    placed: list[tuple[int, Line]] = []

    def add(number: int, kind: str, text: str, becomes: str | None, *notes: str) -> None:
        place = document.place(number)
        placed.append((number, Line(place.line, place.cell, kind, text, becomes, notes)))

    for item in found.imports:
        text = one_line(found.program.text(item.node))
        add(item.line, "import", text, becomes(item, text), *_of_import(item))
    for use in found.uses:
        answer = translator.answer(use)
        report.answers.append(answer)
        kind = "class" if answer.of_class else "use"
        add(use.line, kind, translator.written(use), answer.line, *answer.notes)
    for name, call, number in found.dynamic:
        add(
            number,
            "string",
            one_line(found.program.text(call)),
            None,
            f"{name!r} is a string, which is never rewritten",
        )
    placed.sort(key=lambda pair: pair[0])
    report.lines = [line for _, line in placed]
    for place, text in document.mentions:
        report.lines.append(Line(place.line, place.cell, "text", text, None, ("not Python: by hand",)))
    return report


def _of_import(item: Import) -> Iterator[str]:
    """Notes on an import."""
    if not item.roots:
        yield "already moved"
    node = item.node
    for name in [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]:
        below = below_root(name)
        today = moved(below) if below else None
        if below and today is not None:
            yield f"{below} has been {today} since segmentation_models_pytorch 0.2"
        elif below and known_part(below) is None:
            yield f"{below} is {UNKNOWN}"
    for name in item.former:
        yield f"by hand: {name} is {moved(below_root(name) or '')} today, also where it is used"

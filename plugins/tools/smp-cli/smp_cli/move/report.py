"""What was found in the files, as values that can be printed and written as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from smp_cli.move.calls import Answer, Translator
from smp_cli.move.documents import Document, Place
from smp_cli.move.finding import Found
from smp_cli.move.rewriting import becomes, rewritten
from smp_cli.move.sources import Text


@dataclass(frozen=True)
class Line:
    """Something on a line of a file.

    Attributes:
        line, cell: where.
        kind: ``import``, ``use``, ``string`` (a module imported by the name in a string) or ``text`` (a line of a
            notebook that is not Python).
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
    written: list[Path] = field(default_factory=list)

    @property
    def uses(self) -> int:
        """How often something of the library is used."""
        return sum(line.kind == "use" for file in self.files for line in file.lines)

    @property
    def imports(self) -> list[Line]:
        """All imports."""
        return [line for file in self.files for line in file.lines if line.kind == "import"]

    @property
    def native(self) -> list[str]:
        """The distributions to install for the native lines."""
        return _ordered({name for answer in self._answers() for name in answer.needs})

    @property
    def compat(self) -> list[str]:
        """The distributions to install where the imports alone are rewritten: it brings every encoder that SMP has."""
        return ["smp-compat"]

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
            "install": {"native": self.native, "compat": self.compat if self.files else []},
            "imports": self.modules,
            "failures": [{"path": str(path), "reason": reason} for path, reason in self.failures],
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
        text = translator.written(item.node)
        add(item.line, "import", text, becomes(item, text), *(() if item.roots else ("already moved",)))
    for use in found.uses:
        answer = translator.answer(use)
        report.answers.append(answer)
        add(use.line, "use", translator.written(use.node), answer.line, *answer.notes)
    for name, call, number in found.dynamic:
        add(number, "string", translator.written(call), None, f"{name!r} is a string, which is never rewritten")
    placed.sort(key=lambda pair: pair[0])
    report.lines = [line for _, line in placed]
    for place, text in document.mentions:
        report.lines.append(Line(place.line, place.cell, "text", text, None, ("not Python: by hand",)))
    return report

"""The imports of a file, rewritten; all else stays, byte for byte."""

from __future__ import annotations

import difflib
import re

from smp_cli.move.documents import Document
from smp_cli.move.finding import Found, Import
from smp_cli.move.sources import Text


def rewritten(document: Document, found: Found) -> Text:
    """A file whose imports are those of smp_compat."""
    roots = [root for item in found.imports for root in item.roots]
    return document.changed([(document.place(root.line, root.column), root.old, root.new) for root in roots])


def becomes(item: Import, written: str) -> str:
    """An import statement, as it is written on one line, rewritten."""
    for root in item.roots:
        # Not the name that an import gives, behind "as": what is put in has the old name there, too.
        written = re.sub(rf"(?<!as )\b{re.escape(root.old)}\b", root.new, written, count=1)
    return written


def diff(path: str, old: Text, new: Text) -> list[str]:
    """The lines of a unified diff, with their ends."""
    lines = []
    for line in difflib.unified_diff(old.lines, new.lines, path, path):
        ended = line.endswith(("\n", "\r"))
        lines += [line] if ended else [f"{line}\n", "\\ No newline at end of file\n"]
    return lines

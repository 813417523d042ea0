"""A contact sheet of overlays: one page of HTML, without anything from elsewhere."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from smp_cli.files import written_whole
from smp_cli.legend import Legend

_STYLE = """
body { margin: 2rem; font: 14px/1.5 system-ui, sans-serif; background: #12141a; color: #eef0f4; }
h1 { font-size: 1.3rem; font-weight: 600; }
ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; padding: 0; list-style: none; }
.key { display: inline-block; width: 0.9em; height: 0.9em; margin-right: 0.4em; border-radius: 2px; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 1.25rem; }
figure { margin: 0; }
img { width: 100%; height: 220px; object-fit: contain; background: #000; }
figcaption { overflow-wrap: anywhere; color: #969ca8; }
figcaption a, .failed { color: #eef0f4; }
""".strip()


@dataclass(frozen=True)
class Entry:
    """One picture of the sheet.

    Attributes:
        image: its path, as it was given.
        overlay, results: files below the folder of the sheet.
        summary: what its mask holds, in words.
    """

    image: Path
    overlay: Path
    results: tuple[Path, ...]
    summary: str


def write_sheet(
    folder: Path, entries: Sequence[Entry], failures: Sequence[str], legend: Legend, drawn: Sequence[int]
) -> Path:
    """Write ``index.html`` into a folder, beside its place, and move it there.

    Args:
        folder: of the results; links are relative to it.
        entries: the pictures.
        failures: what is said of those that failed.
        legend: names and colours.
        drawn: the classes to name, by their indices.

    Returns:
        The file.
    """
    count = f"{len(entries)} picture{'' if len(entries) == 1 else 's'}"
    lines = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f"<title>{count}</title>",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{count}</h1>",
        "<ul>",
        *(_key(index, legend) for index in drawn),
        "</ul>",
        "<main>",
        *(_figure(folder, entry) for entry in entries),
        "</main>",
    ]
    if failures:
        lines += ["<h1>Failed</h1>", "<ul>", *(f'<li class="failed">{html.escape(text)}</li>' for text in failures)]
        lines += ["</ul>"]
    target = folder / "index.html"
    beside = written_whole(target)
    # Names of files may hold bytes that are no text.
    beside.write_text("\n".join([*lines, "</body></html>", ""]), encoding="utf-8", errors="backslashreplace")
    os.replace(beside, target)
    return target


def _key(index: int, legend: Legend) -> str:
    colour = legend.colour(index) or (0, 0, 0)
    mark = f'<span class="key" style="background: rgb{colour}"></span>'
    return f"<li>{mark}{html.escape(legend.name(index))}</li>"


def _figure(folder: Path, entry: Entry) -> str:
    overlay = _link(folder, entry.overlay)
    links = " ".join(f'<a href="{_link(folder, path)}">{html.escape(path.name)}</a>' for path in entry.results)
    name, summary = html.escape(str(entry.image)), html.escape(entry.summary)
    return (
        f'<figure><a href="{overlay}"><img loading="lazy" src="{overlay}" alt="{name}"></a>'
        f"<figcaption>{name}<br>{summary}<br>{links}</figcaption></figure>"
    )


def _link(folder: Path, path: Path) -> str:
    return quote(os.fsencode(path.relative_to(folder).as_posix()))

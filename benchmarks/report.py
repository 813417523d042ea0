"""What `table.py` writes: lines, means, Markdown, JSON, and a chart."""

from __future__ import annotations

import html
import json
import math
import statistics
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def line(row: Row) -> str:
    """One pair in one mode, for people to read."""
    ratios = "  ".join(f"{value:5.2f}x {name}" for name, value in row["ratios"].items())
    share = "" if row["flops_share"] is None else f"  {_shares(row)} of peak and bandwidth"
    kept = "" if row["kept"] is None else f"  {_kept(row)} of the peer's bytes kept"
    pair = f"{row['architecture']}/{row['encoder']}"
    where = f"{pair:28} {row['size']:4} batch {row['batch']} {row['mode']:13}"
    return f"{where} {1000 * row['seconds']:7.1f} ms  {ratios}{share}{kept}"


def _shares(row: Row) -> str:
    return f"{100 * row['flops_share']:.0f} and {100 * row['bandwidth_share']:.0f} %"


def _kept(row: Row) -> str:
    return f"{row['kept'] / row['peer_kept']:.2f}"


def means(rows: list[Row]) -> str:
    """Geometric means of the ratios over all pairs, by mode and by the peer's mode."""
    found = []
    for (mode, beside, size, batch), values in _grouped(rows).items():
        mean = math.exp(statistics.fmean(map(math.log, values)))
        found.append(
            f"geometric mean, {size}x{size}, batch {batch}, {mode} over peer {beside}: {mean:.2f}x of {len(values)}, "
            f"{min(values):.2f} to {max(values):.2f}"
        )
    return "\n".join(found)


def scaling(rows: list[Row]) -> str:
    """What a megapixel costs at each size and batch of a pair: the same everywhere where the cost is linear."""
    found: dict[tuple[str, str, str], list[tuple[str, float]]] = {}
    for row in rows:
        megapixels = row["batch"] * row["size"] ** 2 / 1e6
        key = (row["architecture"], row["encoder"], row["mode"])
        place = f"{row['batch']}x{row['size']}²"
        found.setdefault(key, []).append((place, 1000 * row["seconds"] / megapixels))
    return "\n".join(
        f"{architecture}/{encoder} {mode}, ms a megapixel: "
        + ", ".join(f"{cost:.0f} at {place}" for place, cost in costs)
        for (architecture, encoder, mode), costs in found.items()
        if len(costs) > 1
    )


def _grouped(rows: list[Row]) -> dict[tuple[str, str, int, int], list[float]]:
    found: dict[tuple[str, str, int, int], list[float]] = {}
    for row in rows:
        for beside, value in row["ratios"].items():
            found.setdefault((row["mode"], beside, row["size"], row["batch"]), []).append(value)
    return found


def write(rows: list[Row], title: str, as_json: Path | None, as_markdown: Path | None, as_chart: Path | None) -> None:
    """Write what was asked for."""
    if as_json is not None:
        as_json.write_text(json.dumps({"title": title, "rows": rows}, indent=1) + "\n")
    if as_markdown is not None:
        as_markdown.write_text(markdown(rows, title))
    if as_chart is not None:
        as_chart.write_text(chart(rows, title))


def markdown(rows: list[Row], title: str) -> str:
    """A table of every pair, and the means below it."""
    columns = ["pair", "size", "batch", "mode", "ours, ms", "peer, ms", "times as fast as the peer's"]
    columns += ["of peak and bandwidth", "bytes kept, of the peer's"]
    lines = [title, "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in rows:
        ratios = ", ".join(f"{value:.2f} ({name})" for name, value in row["ratios"].items())
        share = "" if row["flops_share"] is None else _shares(row)
        kept = "" if row["kept"] is None else _kept(row)
        times = f"{1000 * row['seconds']:.1f} | {1000 * row['peer_seconds']:.1f}"
        pair = f"{row['architecture']}/{row['encoder']}"
        where = f"{pair} | {row['size']} | {row['batch']} | {row['mode']}"
        lines.append(f"| {where} | {times} | {ratios} | {share} | {kept} |")
    return "\n".join([*lines, "", *(f"- {item}" for item in (means(rows) + "\n" + scaling(rows)).splitlines()), ""])


def chart(rows: list[Row], title: str) -> str:
    """Bars of the ratio to the peer's same mode, or its eager one, as SVG; the line is at 1."""
    height, left, scale = 16, 330, 120
    parts = []
    for number, row in enumerate(rows):
        value = row["ratios"].get(row["mode"], row["ratios"].get("eager") or next(iter(row["ratios"].values()), 0.0))
        label = html.escape(f"{row['architecture']}/{row['encoder']} {row['mode']} ({row['batch']}x{row['size']}²)")
        top = 30 + number * height
        parts.append(f'<text x="{left - 6}" y="{top + 11}" text-anchor="end">{label}</text>')
        parts.append(
            f'<rect x="{left}" y="{top + 2}" width="{scale * value:.1f}" height="{height - 4}" fill="#4477aa"/>'
        )
        parts.append(f'<text x="{left + scale * value + 4:.1f}" y="{top + 11}">{value:.2f}</text>')
    bottom = 30 + len(rows) * height
    parts.append(f'<line x1="{left + scale}" x2="{left + scale}" y1="26" y2="{bottom}" stroke="black"/>')
    size = f'width="900" height="{bottom + 10}" font-family="sans-serif" font-size="11"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    return "\n".join([head, f'<text x="8" y="16">{html.escape(title)}</text>', *parts, "</svg>", ""])

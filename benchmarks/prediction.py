"""Peak memory and throughput of smp_predict.predict over the size of the image, each size in a process of its own.

    python benchmarks/prediction.py [--light] [--chart FILE.svg] [SIDE ...]

The image is made window by window and the labels of 20 classes go into a file, so that what is measured is the
tiling. Memory is looked at every 5 ms: what is resident, and what of it is anonymous, that is not a mapped file of a
library. The model's own throughput is that on batches of tiles in memory, in the same process. ``--light``: one 1x1
convolution for the model, for large sides on small machines.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch

import smp_core
from smp_predict import Window, predict

SIDES = (2_000, 5_000, 10_000)
CLASSES, TILE, BATCH = 20, 512, 4


class Waves:
    """An image of waves, of any size; nothing but the window that is read takes memory."""

    dtype = np.dtype(np.uint8)

    def __init__(self, side: int) -> None:
        self.shape = (side, side, 3)
        phase = 2 * np.pi * np.arange(960, dtype=np.float32)
        rows, columns, bands = phase[:, None, None] / 240, phase[None, :, None] / 320, np.arange(3)
        self._period = (np.sin(rows + bands) * np.cos(columns) * 127 + 128).astype(np.uint8)

    def read(self, window: Window) -> np.ndarray:
        rows = np.arange(window.row, window.row + window.height) % 960
        columns = np.arange(window.column, window.column + window.width) % 960
        return self._period[np.ix_(rows, columns)]


class Memory:
    """The most that this process takes within a block, in MB: ``VmRSS`` all, ``RssAnon`` without mapped files."""

    def __enter__(self) -> Memory:
        self.peak = _resident()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(0.005):
            self.peak = {name: max(self.peak[name], value) for name, value in _resident().items()}


def _resident() -> dict[str, float]:
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = (line.split() for line in lines)
    return {name[:-1]: int(rest[0]) / 1e3 for name, *rest in fields if name in ("VmRSS:", "RssAnon:")}


def model(light: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    if light:
        return torch.nn.Conv2d(3, CLASSES, 1)
    options = {"encoder_weights": None, "classes": CLASSES, "encoder_depth": 3, "decoder_channels": (64, 32, 16)}
    return smp_core.create("unet", "mobilenet_v2", **options).eval()


def measure(side: int, *, light: bool) -> dict[str, float]:
    """Peak memory in MB, and megapixels of tiles a second: of the whole run, and of the model alone."""
    net = model(light)
    batch = torch.rand(BATCH, 3, TILE, TILE)
    with torch.inference_mode():
        net(batch)
        began = time.perf_counter()
        for _ in range(4):
            net(batch)
        alone = 4 * batch[:, 0].numel() / (time.perf_counter() - began) / 1e6
    seen = []
    with tempfile.TemporaryDirectory() as folder, Memory() as memory:
        predict(net, Waves(side), Path(folder) / "labels.npy", tile=TILE, batch_size=BATCH, progress=seen.append)
    last = seen[-1]
    rate = last.total * TILE * TILE / last.seconds / 1e6
    return {"side": side, "rate": rate, "alone": alone, **memory.peak}


def chart(rows: list[dict[str, float]]) -> str:
    """Peak memory over the side of the image, and what all scores of the image would take, as SVG."""
    width, height, left, bottom = 640, 320, 60, 280
    most = 1.5 * max(row["VmRSS"] for row in rows)
    last = max(row["side"] for row in rows)

    def points(values: list[tuple[float, float]]) -> str:
        scaled = ((left + x / last * (width - left - 20), bottom - y / most * (bottom - 20)) for x, y in values)
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in scaled)

    def line(values: list[tuple[float, float]], colour: str, place: int, label: str) -> list[str]:
        marks = [item.split(",") for item in points(values).split()]
        return [
            f'<polyline points="{points(values)}" fill="none" stroke="{colour}" stroke-width="2"/>',
            *(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in marks if len(marks) < 50),
            f'<text x="{width - 20}" y="{place}" text-anchor="end" fill="{colour}">{label}</text>',
        ]

    full = [(side, side * side * CLASSES * 4 / 1e6) for side in np.linspace(0, last, 200)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<path d="M{left} 20V{bottom}H{width - 20}" fill="none" stroke="black"/>',
        *(
            f'<text x="{left - 6}" y="{bottom - y / most * (bottom - 20) + 4:.0f}" text-anchor="end">{y:,}</text>'
            for y in range(0, int(most) + 1, 200)
        ),
        *(
            f'<text x="{left + row["side"] / last * (width - left - 20):.0f}" y="{bottom + 18}" '
            f'text-anchor="middle">{row["side"] / 1000:g}</text>'
            for row in rows
        ),
        f'<text x="{(width + left) // 2}" y="{height - 6}" text-anchor="middle">side of the image, 1000 pixels</text>',
        f'<text x="{left}" y="12" text-anchor="middle">MB</text>',
        *line([(x, y) for x, y in full if y <= most], "#777777", 34, f"all scores of {CLASSES} classes alone"),
        *line([(row["side"], row["VmRSS"]) for row in rows], "#4477aa", 52, "resident, at its peak"),
        *line([(row["side"], row["RssAnon"]) for row in rows], "#ee6677", 70, "of it anonymous"),
        "</svg>",
    ]
    return "\n".join([*parts, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sides", nargs="*", type=int, default=SIDES)
    parser.add_argument("--light", action="store_true", help="a 1x1 convolution for the model")
    parser.add_argument("--chart", type=Path, help="where to write peak memory as SVG")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, light=arguments.light)))
        return
    print("| image | resident | of it anonymous | Mpixel/s of tiles | model alone | of it |")
    print("|---|---|---|---|---|---|", flush=True)
    rows = []
    for side in arguments.sides:
        command = [sys.executable, __file__, "--measure", str(side), *(["--light"] if arguments.light else [])]
        row = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        rows.append(row)
        memory = f"{row['VmRSS']:,.0f} MB | {row['RssAnon']:,.0f} MB"
        speed = f"{row['rate']:.2f} | {row['alone']:.2f} | {row['rate'] / row['alone']:.2f}"
        print(f"| {side:,}² | {memory} | {speed} |", flush=True)
    if arguments.chart:
        arguments.chart.write_text(chart(rows))


if __name__ == "__main__":
    main()

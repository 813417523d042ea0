"""What installed plugins cost who does not use them: 0 to 300 plugins with 20 encoders each.

Run: ``python benchmarks/many_plugins.py [--rounds 9] [--counts 0,50,100,200,300]``. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from dummy_distributions import Dummy, encoder, plugin  # noqa: E402

ENCODERS = 20
# Seconds above a bare interpreter, and milliseconds to resolve one more name, with the most plugins.
LIST_LIMIT, RESOLVE_LIMIT = 0.5, 5.0

# Without the packages that happen to be installed beside: -S, and smp_core with what it needs on the path alone.
_LIST = "import smp_core; assert len(smp_core.list_encoders()) == {total}"
_RESOLVE = """
import time, smp_core
from smp_core import registry
registry.resolve_encoder("acme{last}_0")
times = []
for number in range(51):
    name = f"acme{{number * 7 % {count}}}_{{number % 20}}"
    start = time.perf_counter()
    registry.resolve_encoder(name)
    times.append(time.perf_counter() - start)
print(1000 * sorted(times)[25], 1000 * max(times))
"""


class Row(NamedTuple):
    """Figures with a number of plugins: medians over the rounds.

    Attributes:
        wall, cpu: seconds of a fresh process that lists the encoders, less those of a bare interpreter.
        resolve, slowest: milliseconds to resolve a name; the median of 51 names, and the slowest of them.
    """

    plugins: int
    wall: float
    cpu: float
    resolve: float
    slowest: float


def install(folder: Path, count: int) -> None:
    """Plugins as strangers would publish them: each of their encoders has a set of weights."""
    weights = "weights={'imagenet': WeightsSpec(repo_id='acme/weights')}, default_weights='imagenet')"
    for number in range(count):
        specs = [f"{encoder(f'acme{number}_{index}')[:-1]}, {weights}" for index in range(ENCODERS)]
        Dummy(name=f"acme-smp-family{number}", source=plugin(encoders=specs)).install(folder)


def base(folder: Path) -> None:
    """smp_core and its light dependencies, and nothing else."""
    import importlib.util

    for name in ("smp_core", "pluggy", "packaging"):
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        shutil.copytree(Path(found.origin).parent, folder / name, ignore=shutil.ignore_patterns("__pycache__"))


def run(program: str, path: Sequence[Path]) -> tuple[float, float, str]:
    """Wall and processor seconds of a fresh interpreter, with byte code as an installation has it, and its output."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SMP_", "PYTHON"))}
    environment = {**kept, "PYTHONPATH": os.pathsep.join(map(str, path))}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), os.times().elapsed
    command = [sys.executable, "-S", "-c", program]
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return os.times().elapsed - start, cpu, done.stdout


def measure(counts: Sequence[int], rounds: int) -> list[Row]:
    """Rounds alternate between the numbers of plugins, so that a busy moment does not fall on one of them alone."""
    taken: dict[int, list[Row]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as name:
        core = Path(name) / "core"
        base(core)
        folders = {count: Path(name) / f"plugins{count}" for count in counts}
        for count, folder in folders.items():
            folder.mkdir()
            install(folder, count)
        for number in range(rounds + 1):
            for count, folder in folders.items():
                wall, cpu, _ = run("", [folder, core])
                listed = run(_LIST.format(total=count * ENCODERS), [folder, core])
                last = max(count - 1, 0)
                resolve = run(_RESOLVE.format(last=last, count=count), [folder, core])[2] if count else "0 0"
                if number:  # the first round writes byte code and warms the disk cache
                    middle, slowest = map(float, resolve.split())
                    taken[count].append(Row(count, listed[0] - wall, listed[1] - cpu, middle, slowest))
    return [Row(*(statistics.median(column) for column in zip(*rows, strict=True))) for rows in taken.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--counts", default="0,50,100,200,300", help="numbers of plugins, separated by commas")
    arguments = parser.parse_args()
    before = os.getloadavg()[0]
    rows = measure([int(item) for item in arguments.counts.split(",")], arguments.rounds)
    load = f"load {before:.2f} before and {os.getloadavg()[0]:.2f} after"
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs, {load}; medians of {arguments.rounds} rounds")
    print("plugins  encoders   list, s above bare (CPU)   resolve, ms (slowest of 51)")
    for row in rows:
        bar = "#" * round(40 * row.wall / LIST_LIMIT)
        print(
            f"{row.plugins:7.0f}  {row.plugins * ENCODERS:8.0f}   {row.wall:6.3f} ({row.cpu:6.3f})"
            f"            {row.resolve:7.3f} ({row.slowest:7.3f})   {bar}"
        )
    most = rows[-1]
    for title, value, limit in (("list, s", most.wall, LIST_LIMIT), ("resolve, ms", most.slowest, RESOLVE_LIMIT)):
        print(f"{title:<12} {value:6.3f} (at most {limit}) {'met' if value <= limit else 'MISSED'}")


if __name__ == "__main__":
    main()

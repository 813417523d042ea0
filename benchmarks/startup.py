"""How long a program waits for its first list of models, and for its first model, each in a fresh process.

Run: ``python benchmarks/startup.py [--rounds 9] [--plugins 200]``. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from dummy_distributions import Dummy, encoder, plugin  # noqa: E402

_LIST = "import smp_core; assert smp_core.list_encoders()"
_PROGRAMS = {
    "bare interpreter": "",
    "list encoders": _LIST,
    "list encoders, dummies installed": _LIST,
    "import torch": "import torch",
    "create Unet/resnet34": "import smp_core; smp_core.create('unet', 'resnet34', encoder_weights=None)",
    "the same by SMP": "import segmentation_models_pytorch as smp; smp.Unet('resnet34', encoder_weights=None)",
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A figure that the project promises: either seconds above the bare interpreter, or a ratio."""

    title: str
    value: float
    limit: float
    unit: str

    def __str__(self) -> str:
        verdict = "met" if self.value <= self.limit else "MISSED"
        return f"{self.title:<52} {self.value:6.3f} {self.unit:<2} (target {self.limit}) {verdict}"


def install_dummies(folder: Path, count: int) -> None:
    """Plugins as strangers would publish them: five encoders each, each with a set of weights."""
    weights = "{'imagenet': WeightsSpec(repo_id='acme/weights')}"
    for number in range(count):
        names = [f"acme{number}_{size}" for size in ("tiny", "small", "base", "large", "huge")]
        specs = [f"{encoder(name)[:-1]}, weights={weights}, default_weights='imagenet')" for name in names]
        Dummy(name=f"acme-smp-family{number}", source=plugin(encoders=specs)).install(folder)


class Times(NamedTuple):
    """Seconds of one fresh process: by the clock, and of processor time, which a busy machine hardly changes."""

    wall: float
    cpu: float


def run(program: str, search_path: str) -> Times:
    """Run a program in a fresh interpreter, with byte code as an installation has it."""
    environment = {**os.environ, "PYTHONPATH": search_path}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before, start = _cpu_of_children(), time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, stdout=subprocess.DEVNULL)
    return Times(time.perf_counter() - start, _cpu_of_children() - before)


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(rounds: int, count: int) -> dict[str, list[Times]]:
    """Times of every program; they alternate, so that a busy moment does not fall on one of them alone."""
    inherited = os.environ.get("PYTHONPATH", "")
    times: dict[str, list[Times]] = {title: [] for title in _PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        install_dummies(Path(folder), count)
        for number in range(rounds + 1):
            for title, program in _PROGRAMS.items():
                path = os.pathsep.join(filter(None, (folder if "dummies" in title else "", inherited)))
                taken = run(program, path)
                if number:  # the first round writes byte code and warms the disk cache
                    times[title].append(taken)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--plugins", type=int, default=200, help="number of dummy plugins")
    arguments = parser.parse_args()
    before = os.getloadavg()[0]
    times = measure(arguments.rounds, arguments.plugins)
    median = {title: statistics.median(item.wall for item in taken) for title, taken in times.items()}
    load = f"load {before:.2f} before and {os.getloadavg()[0]:.2f} after"
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs, {load}")
    print(f"{f'seconds of a fresh process, {arguments.rounds} rounds':<40} median   least    most     CPU")
    for title, taken in times.items():
        cpu = statistics.median(item.cpu for item in taken)
        print(f"{title:<40} {median[title]:6.3f}  {min(taken).wall:6.3f}  {max(taken).wall:6.3f}  {cpu:6.3f}")
    print()
    bare = median["bare interpreter"]
    many = f"list with {arguments.plugins} dummy plugins, above bare"
    ratio = median["create Unet/resnet34"] / median["the same by SMP"]
    print(Target(title="list, above bare", value=median["list encoders"] - bare, limit=0.15, unit="s"))
    print(Target(title=many, value=median["list encoders, dummies installed"] - bare, limit=0.4, unit="s"))
    print(Target(title="create Unet/resnet34, relative to SMP", value=ratio, limit=0.5, unit=""))


if __name__ == "__main__":
    main()

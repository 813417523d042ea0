"""The whole table: architectures over encoders, in every way to run them, beside segmentation_models_pytorch.

Ours and the peer's have the same weights. All ways to run one pair take turns, and each round's ratio counts; the
figure is the median of the rounds. Every pair is printed, as soon as it is measured.

    python benchmarks/table.py --markdown table.md --json table.json --chart table.svg
    python benchmarks/table.py --architectures unet fpn --encoders mobilenet_v2 --modes eager optimised --sizes 256
    python benchmarks/table.py --encoders resnet34 --modes compiled frozen optimised optimised_compiled
    python benchmarks/table.py --device cuda --dtype bfloat16 --batches 1 8
    python benchmarks/table.py --architectures unet --encoders resnet34 --sizes 256 384 512 768 --batches 1 2 4

Cost: on one CPU core about a minute a pair at 512x512 without compilation, which adds two minutes a pair
and mode. The shape is compiled as it is; a pair that does not compile is an error.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import report
import segmentation_models_pytorch as peer
import torch
import torch._inductor.config
from counting import operations, saved_bytes, traffic
from torch import Tensor, nn

import smp_core
from smp_core.registry import describe

ENCODERS = ("resnet34", "mobilenet_v2", "mit_b0", "tu-convnext_tiny")
MODES = ("eager", "channels_last", "compiled", "frozen", "optimised", "optimised_compiled", "training")
"""``frozen``: compiled with the weights as constants (freezing); ``optimised_compiled``: ours alone, likewise."""
Run = Callable[[], object]
# What the peer has no such mode to set beside.
_BESIDE = {"optimised_compiled": "frozen"}


@dataclass(frozen=True)
class Row:
    """One pair in one mode.

    Attributes:
        seconds, peer_seconds: medians, of ours in this mode and of the peer's in its own: eager for ``optimised``,
            frozen for ``optimised_compiled`` where that is measured.
        ratios: medians over the rounds of the peer's time in a mode over ours in this one, by the peer's mode.
        flops_share: part of the measured matrix peak that the peer's operations would take in our time; None in
            training.
        bandwidth_share: part of the measured bandwidth that what they read and write would take; None in training.
        memory, peer_memory: peak bytes of a run on CUDA beyond what was there; None on the CPU.
        kept, peer_kept: bytes that are kept for the backward pass; None but in training.
    """

    architecture: str
    encoder: str
    size: int
    batch: int
    mode: str
    seconds: float
    peer_seconds: float
    ratios: dict[str, float]
    flops_share: float | None
    bandwidth_share: float | None
    memory: int | None
    peer_memory: int | None
    kept: int | None = None
    peer_kept: int | None = None


def pair(architecture: str, encoder: str, device: str) -> tuple[nn.Module, nn.Module] | None:
    """Ours and the peer's with the same weights; None where the peer does not have the two together."""
    spec = describe(architecture).spec
    if spec.tokens or not hasattr(peer, spec.class_name):
        return None
    torch.manual_seed(0)
    try:
        theirs = getattr(peer, spec.class_name)(encoder, encoder_weights=None)
        ours = smp_core.create(architecture, encoder, encoder_weights=None)
    except (KeyError, ValueError, smp_core.errors.SmpError) as error:
        print(f"{architecture}/{encoder} left out: {str(error).splitlines()[0][:90]}")
        return None
    ours.load_state_dict(theirs.state_dict())
    return ours.to(device), theirs.to(device)


class Bench:
    """Times runs on one device, in turns."""

    def __init__(self, device: str, dtype: torch.dtype, rounds: int, processor: bool) -> None:
        self.device, self.dtype, self.rounds = device, dtype, rounds
        self._clock = time.process_time if processor and device == "cpu" else time.perf_counter
        self.peak = self._matrix_peak()
        self.bandwidth = self._bandwidth()

    def _synchronise(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def seconds(self, run: Run) -> float:
        self._synchronise()
        start = self._clock()
        run()
        self._synchronise()
        return self._clock() - start

    def in_turns(self, runs: dict[str, Run]) -> dict[str, list[float]]:
        """Seconds of each run in each round; the order turns round, and two rounds to warm up do not count."""
        found: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(self.rounds + 2):
            names = list(runs) if number % 2 else list(reversed(runs))
            for name in names:
                taken = self.seconds(runs[name])
                if number >= 2:
                    found[name].append(taken)
        return found

    def _matrix_peak(self) -> float:
        """Floating-point operations a second of one large matrix product, the best of several."""
        size = 8192 if self.device == "cuda" else 1024
        matrix = torch.randn(size, size, device=self.device).to(self.dtype)
        return 2 * size**3 / min(self.seconds(lambda: matrix @ matrix) for _ in range(8))

    def _bandwidth(self) -> float:
        """Bytes a second, read and written, of copying what fits in no cache, the best of several."""
        source = torch.ones(2**28 if self.device == "cuda" else 2**26, device=self.device)
        target = torch.empty_like(source)
        return 2 * source.nbytes / min(self.seconds(lambda: target.copy_(source)) for _ in range(8))

    def forward(self, model: nn.Module, x: Tensor) -> Run:
        enabled = self.dtype != torch.float32

        def run() -> None:
            with torch.inference_mode(), torch.autocast(self.device, self.dtype, enabled=enabled):
                model(x)

        return run

    def step(self, model: nn.Module, x: Tensor) -> Run:
        enabled = self.dtype != torch.float32

        def run() -> None:
            model.zero_grad(set_to_none=True)
            with torch.autocast(self.device, self.dtype, enabled=enabled):
                loss = model(x).float().square().mean()
            loss.backward()

        return run

    def memory(self, run: Run) -> int | None:
        """Peak bytes of a run on CUDA beyond what is there."""
        if self.device != "cuda":
            return None
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        self._synchronise()
        return torch.cuda.max_memory_allocated() - before


def last(model: nn.Module) -> nn.Module:
    return model.to(memory_format=torch.channels_last)


def inference_runs(
    bench: Bench, build: Callable[[], tuple[nn.Module, nn.Module]], x: Tensor, modes: set[str]
) -> dict[str, Run]:
    """Ours and the peer's by mode: ``"eager"`` and ``"peer eager"``, and so on."""
    ours, theirs = (model.eval() for model in build())
    runs = {"eager": bench.forward(ours, x), "peer eager": bench.forward(theirs, x)}
    rows = x.contiguous(memory_format=torch.channels_last)
    if "channels_last" in modes:
        pair_last = [last(model.eval()) for model in build()]
        runs |= {
            "channels_last": bench.forward(pair_last[0], rows),
            "peer channels_last": bench.forward(pair_last[1], rows),
        }
    wanted = modes | {f"peer {_BESIDE.get(mode, mode)}" for mode in modes}
    dtype = None if bench.dtype == torch.float32 else bench.dtype
    fast = smp_core.optimize(ours, dtype=dtype)  # type: ignore[arg-type]
    if "optimised" in modes:
        runs["optimised"] = lambda: fast.predict(x)
    for mode in ("compiled", "frozen"):
        for name, model in zip((mode, f"peer {mode}"), build(), strict=True):
            if name in wanted:
                runs[name] = compiled(bench, model.eval(), x, freezing=mode == "frozen")
    if "optimised_compiled" in modes:
        runs["optimised_compiled"] = compiled(bench, fast, x.to(fast.dtype), freezing=True)
    return runs


def compiled(bench: Bench, model: nn.Module, x: Tensor, *, freezing: bool) -> Run:
    """A compiled model.

    Frozen by the process's configuration: in ``torch.compile(options=...)`` it comes too late, when the weights are
    inputs of the graph already (torch 2.14).
    """
    run = bench.forward(torch.compile(model), x)  # type: ignore[arg-type]
    with torch._inductor.config.patch(freezing=freezing):
        run()
    return run


def measure(bench: Bench, names: tuple[str, str], batch: int, size: int, modes: set[str]) -> Iterator[Row]:
    """The rows of one pair and one batch size."""
    architecture, encoder = names

    def build() -> tuple[nn.Module, nn.Module]:
        built = pair(architecture, encoder, bench.device)
        assert built is not None
        return built

    x = torch.randn(batch, 3, size, size, device=bench.device)
    if modes - {"training"}:
        runs = inference_runs(bench, build, x, modes)
        seconds = bench.in_turns(runs)
        asked = build()[1].eval()
        work = operations(asked, x), traffic(asked, x)
        for mode in [name for name in runs if name in modes]:
            yield row(bench, (architecture, encoder, size, batch, mode), runs, seconds, work)
    if "training" in modes:
        ours, theirs = build()
        batch = max(batch, 2)  # of one image pooled to one pixel there is nothing to normalise by
        x = torch.randn(batch, 3, size, size, device=bench.device)
        steps = {"training": bench.step(ours.train(), x), "peer training": bench.step(theirs.train(), x)}
        key = (architecture, encoder, size, batch, "training")
        found = row(bench, key, steps, bench.in_turns(steps), None)
        yield replace(found, kept=saved_bytes(ours, x), peer_kept=saved_bytes(theirs, x))


def row(
    bench: Bench,
    key: tuple[str, str, int, int, str],
    runs: dict[str, Run],
    seconds: dict[str, list[float]],
    work: tuple[int, int] | None,
) -> Row:
    mode = key[4]
    ours = seconds[mode]
    ratios = {
        name.removeprefix("peer "): statistics.median(b / a for a, b in zip(ours, taken, strict=True))
        for name, taken in seconds.items()
        if name.startswith("peer ")
    }
    beside = next(f"peer {name}" for name in (mode, _BESIDE.get(mode), "eager") if f"peer {name}" in seconds)
    taken = statistics.median(ours)
    return Row(
        *key,
        seconds=taken,
        peer_seconds=statistics.median(seconds[beside]),
        ratios=ratios,
        flops_share=None if work is None else work[0] / taken / bench.peak,
        bandwidth_share=None if work is None else work[1] / taken / bench.bandwidth,
        memory=bench.memory(runs[mode]),
        peer_memory=bench.memory(runs[beside]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", default=smp_core.list_architectures())
    parser.add_argument("--encoders", nargs="+", default=ENCODERS)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--batches", nargs="+", type=int, default=(1,))
    parser.add_argument("--sizes", nargs="+", type=int, default=(512,))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--processor-time", action="store_true", help="on a busy CPU: the time of all threads together")
    for kind in ("json", "markdown", "chart"):
        parser.add_argument(f"--{kind}", type=Path)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    bench = Bench(asked.device, getattr(torch, asked.dtype), asked.rounds, asked.processor_time)
    name = torch.cuda.get_device_name() if asked.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    title = (
        f"{name}, torch {torch.__version__.partition('+')[0]}, {asked.dtype}, "
        f"median of {asked.rounds}, matrix peak {bench.peak / 1e9:.0f} GFLOP/s, "
        f"copying {bench.bandwidth / 1e9:.1f} GB/s"
    )
    print(title)
    rows: list[Row] = []
    for architecture in asked.architectures:
        for encoder in asked.encoders:
            if pair(architecture, encoder, asked.device) is None:
                continue
            for size, batch in itertools.product(asked.sizes, asked.batches):
                for found in measure(bench, (architecture, encoder), batch, size, set(asked.modes)):
                    rows.append(found)
                    print(report.line(asdict(found)), flush=True)
    print(report.means([asdict(item) for item in rows]))
    print(report.scaling([asdict(item) for item in rows]))
    report.write([asdict(item) for item in rows], title, asked.json, asked.markdown, asked.chart)


if __name__ == "__main__":
    main()

"""What remains above the floor: of each architecture, how long its matrix operations would take at best.

The floor of a model is the sum over its convolutions and matrix products, as they are written down, of the longer of
two times: their operations at the speed of the fastest large product or convolution that this machine does, and their
inputs, weights and results, each moved once, at the speed of copying. Norms, activations and whatever else costs
nothing there. Forms that multiply less than is written down can be below it.

Then the model is timed, as it is and optimised, in turns, and the optimised one is profiled: which part of it, and
which operations besides convolutions and products.

    python benchmarks/floor.py --markdown floor.md --json floor.json
    python benchmarks/floor.py unet pan --encoder mobilenet_v2 --size 512

DPT has its own encoder. Cost: on one CPU core about ten seconds an architecture at 384x384.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

import smp_core
from smp_core.registry import describe

# What takes plain transformers alone, and peer has not.
_OTHER_ENCODER, _LEFT_OUT = {"dpt": "tu-vit_tiny_patch16_224"}, {"linear"}
_PARTS = ("encoder", "decoder", "segmentation_head")
_PRODUCTS = ("convolution", "conv2d", "mm", "attention", "linear", "matmul", "conv_transpose")


@dataclass(frozen=True)
class Row:
    """One architecture.

    Attributes:
        gigaflops: of its matrix operations, two for each multiplication.
        floor, eager, optimised: seconds.
        parts: share of the optimised model's time by part.
        products: share of it in convolutions and matrix products.
        rest: the other operations by their share of it, largest first.
    """

    architecture: str
    encoder: str
    gigaflops: float
    floor: float
    eager: float
    optimised: float
    parts: dict[str, float]
    products: float
    rest: dict[str, float]


class Matrices(TorchDispatchMode):
    """Adds up operations, and the least seconds, of convolutions and matrix products."""

    def __init__(self, peak: float, bandwidth: float) -> None:
        super().__init__()
        self.peak, self.bandwidth = peak, bandwidth
        self.operations, self.seconds = 0.0, 0.0

    def __torch_dispatch__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            operations = formula(*args, **(kwargs or {}), out_val=result)
            moved = sum(
                item.numel() * item.element_size() for item in tree_leaves((args, kwargs, result)) if _is_tensor(item)
            )
            self.operations += operations
            self.seconds += max(operations / self.peak, moved / self.bandwidth)
        return result


def _is_tensor(item: object) -> bool:
    return isinstance(item, Tensor)


def best(run: Callable[[], object], rounds: int = 12) -> float:
    return min(seconds(run) for _ in range(rounds))


def seconds(run: Callable[[], object]) -> float:
    """Of the processor: what others do meanwhile counts less."""
    start = time.process_time()
    run()
    return time.process_time() - start


def matrix_peak() -> float:
    """Operations a second, of whichever is faster: a product of 1024 x 1024, a 3x3 convolution of 256 channels."""
    matrix, channels, side = torch.randn(1024, 1024), 256, 64
    conv = nn.Conv2d(channels, channels, 3, padding=1).to(memory_format=torch.channels_last)
    x = torch.randn(1, channels, side, side).contiguous(memory_format=torch.channels_last)
    product = 2 * 1024**3 / best(lambda: matrix @ matrix)
    return max(product, 2 * 9 * channels**2 * side**2 / best(lambda: conv(x)))


def bandwidth() -> float:
    """Bytes a second, read and written, of copying what fits in no cache."""
    source = torch.ones(2**25)
    target = torch.empty_like(source)
    return 2 * source.nbytes / best(lambda: target.copy_(source))


def floor(model: nn.Module, x: Tensor, peak: float, speed: float) -> tuple[float, float]:
    """Operations and least seconds. Under torch's own counter, whose hooks make every layer take its plain form."""
    with torch.no_grad(), FlopCounterMode(display=False), Matrices(peak, speed) as counter:
        model(x)
    return counter.operations, counter.seconds


@contextmanager
def named_parts(model: nn.Module) -> Iterator[None]:
    """While it lasts, a profile shows when a model's parts run."""
    handles = []
    for name in _PARTS:
        part = getattr(model, name)
        running: list[Any] = []

        def enter(_: nn.Module, __: Any, name: str = name, running: list[Any] = running) -> None:
            running.append(record_function(f"part {name}"))
            running[-1].__enter__()

        def leave(_: nn.Module, __: Any, ___: Any, running: list[Any] = running) -> None:
            running.pop().__exit__(None, None, None)

        handles += [part.register_forward_pre_hook(enter), part.register_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def profiled(model: Any, x: Tensor) -> tuple[dict[str, float], float, dict[str, float]]:
    """`Row.parts`, `Row.products` and `Row.rest` of an optimised model."""
    with torch.no_grad(), named_parts(model.model), profile(activities=[ProfilerActivity.CPU]) as record:
        model(x)
    parts, rest, products, whole = dict.fromkeys(_PARTS, 0.0), dict[str, float](), 0.0, 0.0
    for event in record.events():
        if event.name.startswith("part "):
            parts[event.name.removeprefix("part ")] += event.cpu_time_total
        name, taken = event.name.removeprefix("aten::"), event.self_cpu_time_total
        whole += taken
        if any(kind in name for kind in _PRODUCTS):
            products += taken
        elif not event.name.startswith("part "):
            rest[name] = rest.get(name, 0.0) + taken
    largest = sorted(rest, key=lambda name: -rest[name])[:4]
    shares = {name: value / whole for name, value in parts.items()}
    return shares, products / whole, {name: rest[name] / whole for name in largest}


def measure(architecture: str, encoder: str, size: int, rounds: int, peak: float, speed: float) -> Row:
    torch.manual_seed(0)
    model = smp_core.create(architecture, encoder, encoder_weights=None).eval()
    fast = smp_core.optimize(model)
    x = torch.randn(1, 3, size, size)
    operations, least = floor(model, x, peak, speed)
    taken: dict[str, list[float]] = {"eager": [], "optimised": []}
    runs: dict[str, Callable[[], object]] = {"eager": lambda: model.predict(x), "optimised": lambda: fast.predict(x)}
    for number in range(rounds + 2):
        for name in list(runs) if number % 2 else reversed(list(runs)):
            now = seconds(runs[name])
            if number >= 2:
                taken[name].append(now)
    eager, optimised = (statistics.median(taken[name]) for name in ("eager", "optimised"))
    return Row(architecture, encoder, operations / 1e9, least, eager, optimised, *profiled(fast, x))


def line(row: Row) -> str:
    """One row of the table."""
    parts = " / ".join(f"{100 * row.parts[name]:.0f}" for name in _PARTS)
    rest = ", ".join(f"`{name}` {100 * share:.0f}" for name, share in row.rest.items() if share >= 0.005)
    times = " | ".join(f"{1000 * value:.0f}" for value in (row.floor, row.eager, row.optimised))
    ratio = f"{row.optimised / row.floor:.2f}"
    shares = f"{parts} | {100 * row.products:.0f} | {rest}"
    return f"| {row.architecture} | {row.gigaflops:.0f} | {times} | {ratio} | {shares} |"


def markdown(rows: list[Row], title: str) -> str:
    columns = ["", "GFLOP", "floor, ms", "eager, ms", "optimised, ms", "over the floor"]
    columns += ["encoder / decoder / head, %", "products, %", "the rest, %"]
    head = [title, "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return "\n".join([*head, *map(line, rows), ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [name for name in smp_core.list_architectures() if name not in _LEFT_OUT]
    parser.add_argument("architectures", nargs="*", default=every)
    parser.add_argument("--encoder", default="resnet34")
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    peak, speed = matrix_peak(), bandwidth()
    title = (
        f"CPU, {torch.get_num_threads()} threads, torch {torch.__version__.partition('+')[0]}, float32, "
        f"{asked.size}x{asked.size}, batch 1, processor time, median of {asked.rounds}; "
        f"matrix peak {peak / 1e9:.0f} GFLOP/s, copying {speed / 1e9:.1f} GB/s"
    )
    print(title, flush=True)
    rows = []
    for name in asked.architectures:
        spec = describe(name).spec
        encoder = _OTHER_ENCODER.get(name, asked.encoder) if spec.tokens else asked.encoder
        rows.append(measure(name, encoder, asked.size, asked.rounds, peak, speed))
        print(line(rows[-1]), flush=True)
    if asked.json is not None:
        asked.json.write_text(json.dumps({"title": title, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    if asked.markdown is not None:
        asked.markdown.write_text(markdown(rows, title))


if __name__ == "__main__":
    main()

"""Checks of what a module's results depend on beside its input and weights, and what it keeps: nothing."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import torch
from torch import Tensor, nn

from smp_testing.cases import EncoderCase, ModuleCase, tensors_of
from smp_testing.expectations import ConformanceError, beginning, expect, expect_finite, expect_runs, some
from smp_testing.surroundings import random_states, seed_generators


def evaluation_changes_nothing(case: ModuleCase) -> None:
    """``forward`` in evaluation mode leaves every parameter and buffer as it is."""
    module = case.build().eval()
    before = {name: tensor.detach().clone() for name, tensor in _tensors(module)}
    with torch.no_grad():
        case.run(module, case.image())
    changed = [name for name, tensor in _tensors(module) if not _same(tensor, before.get(name))]
    expect(
        not changed,
        f"{case.name}: forward in evaluation mode changes {some(changed)}; expected it to change nothing, as several "
        "threads and processes may run it at once",
    )


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _same(tensor: Tensor, other: Tensor | None) -> bool:
    return other is not None and tensor.shape == other.shape and torch.equal(tensor.nan_to_num(), other.nan_to_num())


def keeps_no_tensors(case: ModuleCase) -> None:
    """When ``forward`` has returned, and its result is gone, so are its input and the features in between."""
    module = case.settled()
    x = case.image()
    refs = [weakref.ref(x)]
    inner = [part for name, part in module.named_children() if name in ("encoder", "features")]
    handles = [
        part.register_forward_hook(lambda *given: refs.extend(map(weakref.ref, tensors_of(given[2])))) for part in inner
    ]
    with torch.no_grad():
        outputs = case.run(module, x)
    for handle in handles:
        handle.remove()
    refs += [weakref.ref(item) for item in outputs]
    del x, outputs
    gc.collect()
    kept = sum(ref() is not None for ref in refs)
    expect(
        not kept,
        f"{case.name}: the input or {'a feature' if isinstance(case, EncoderCase) else 'a result'} of the last call is "
        "still referred to; expected nothing to be kept, which costs its memory until the next call",
    )


def flat_images_are_finite(case: ModuleCase) -> None:
    """An image that is the same everywhere, black or white, gives finite numbers, and in training finite gradients."""
    module = case.settled()
    for value in (0.0, 1.0):
        x = torch.full_like(case.image(), value)
        with torch.no_grad():
            expect_finite(case.run(module, x), f"{case.name}: of an image that is {value:g} everywhere")
    trained = case.build().train()
    outputs = [item for item in case.run(trained, torch.zeros_like(case.image())) if item.requires_grad]
    if outputs:
        sum(item.float().sum() for item in outputs).backward()  # type: ignore[union-attr]
    bad = [
        name for name, item in trained.named_parameters() if item.grad is not None and not item.grad.isfinite().all()
    ]
    expect(
        not bad,
        f"{case.name}: the gradient of {some(bad)} holds NaN or infinity for an image that is 0 everywhere; expected "
        "finite values",
    )


def float64_is_kept(case: ModuleCase) -> None:
    """In float64 it computes in float64: a change of the input by one part in 10^8 is seen, and twice that as twice."""
    module, x = case.build().double().eval(), case.image(1).double()
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    step = 1e-8
    with torch.no_grad():
        start, once, twice = (_results(case, module, x + factor * step * direction) for factor in (0, 1, 2))
    for index, (a, b, c) in enumerate(zip(start, once, twice, strict=True)):
        expect(a.dtype == torch.float64, f"{case.name} in float64: output {index} is {a.dtype}, expected torch.float64")
        moved = (b - a).norm().item()
        # What float32 rounds, relative to the numbers themselves, is ten times what they move by here.
        bent = (c - 2 * b + a).norm().item()
        expect(
            bent <= 0.1 * moved or moved <= 1e-13 * a.norm().item(),
            f"{case.name} in float64: output {index} does not follow its input smoothly (it moves by {moved:.2g}, and "
            f"by {bent:.2g} otherwise than twice that for twice the change); expected float64 throughout: no .float(), "
            "no buffer or constant of another dtype",
        )


def _results(case: ModuleCase, module: nn.Module, x: Tensor) -> list[Tensor]:
    results: list[Tensor] = expect_runs(lambda: case.run(module, x), f"{case.name} in float64")
    return results


def tensors_follow_the_device(case: ModuleCase) -> None:
    """What ``forward`` makes and keeps lies on the device of its input: moved to the meta device it runs there."""
    module = case.build().eval().to("meta")
    x = torch.empty(case.image().shape, device="meta")
    try:
        outputs = case.run(module, x)
    except (RuntimeError, NotImplementedError) as error:
        raise ConformanceError(
            f"{case.name}: forward fails on another device than the CPU: {beginning(error)}; expected it to make its "
            "tensors with device=x.device, or to register them as buffers",
            hint=_loose_hint(module),
        ) from error
    stray = [index for index, item in enumerate(outputs) if not item.is_meta]
    expect(not stray, f"{case.name}: outputs {stray} are on the CPU for an input that is not; expected its device")


def _loose_hint(module: nn.Module) -> str:
    loose = [
        f"{name}.{attribute}".lstrip(".")
        for name, part in module.named_modules()
        for attribute, value in vars(part).items()
        if tensors_of([value])
    ]
    if not loose:
        return "torch.zeros(..., device=x.device), torch.arange(n, device=x.device), or x.new_zeros(...)"
    attribute = loose[0].rpartition(".")[2]
    return f"register a buffer: self.register_buffer({attribute!r}, ..., persistent=False); now {some(loose)} are loose"


def seeds_are_the_users(case: ModuleCase) -> None:
    """Building and running it take the generators of random numbers as they are, torch's, NumPy's and Python's."""
    found: list[dict[tuple[str, str], Any]] = []
    for seed in (11, 12):
        seed_generators(seed)
        states: dict[tuple[str, str], Any] = {}
        module = case.build(depth=case.shallow_depth, seed=seed)
        states.update({("building", owner): state for owner, state in _generators().items()})
        for training in (True, False):
            torch.default_generator.manual_seed(seed)
            seed_generators(seed)
            case.run(module.train(training), case.image())
            how = f"running it in {'training' if training else 'evaluation'} mode"
            states.update({(how, owner): state for owner, state in _generators().items()})
        found.append(states)
    for (what, owner), state in found[0].items():
        seeded = found[1].get((what, owner)) == state
        doing = "building it" if what == "building" else what
        expect(
            not seeded,
            f"{case.name}: {doing} sets {owner} seed{f' (to {state})' if owner == _OF_TORCH else ''}; expected it to "
            "leave that to the user",
            hint="where random numbers must be the same each time, draw them from a generator of your own: "
            "torch.Generator().manual_seed(0)",
        )


_OF_TORCH = "torch's"


def _generators() -> dict[str, Any]:
    """What tells whether two generators were seeded alike."""
    return {_OF_TORCH: torch.initial_seed(), **random_states()}


def every_input_channel_counts(case: EncoderCase) -> None:
    """Each of 3, and of 5, input channels has an effect on every feature but the input itself."""
    for channels in (3, 5):
        module = case.build(in_channels=channels, depth=case.shallow_depth).eval()
        x = case.image(1, channels=channels)
        with torch.no_grad():
            expected = case.features(module, x)
            for channel in range(channels):
                other = x.clone()
                other[:, channel] += 1 + other[:, channel].flip(-1)
                found = case.features(module, other)
                unmoved = [
                    index
                    for index, (before, after) in enumerate(zip(expected, found, strict=True))
                    if torch.equal(before, after)
                ]
                expect(
                    not unmoved,
                    f"{case.name} with in_channels={channels}: channel {channel} of the input changes nothing in "
                    f"features {unmoved}; expected every channel to be used",
                )

"""Checks of a neck over features of many kinds: its levels, their sizes, output strides."""

from __future__ import annotations

import torch
from torch import nn

from smp_testing.expectations import expect, expect_equal, expect_finite
from smp_testing.necks import NeckCase


def levels_match_spec(case: NeckCase) -> None:
    """One finite level for each reduction of the spec, with the channels that the neck says."""
    module, x = case.settled(), case.image()
    with torch.no_grad():
        levels = module(x)
    expect(isinstance(levels, list), f"{case.name}: forward must return a list of tensors, got {_kind(levels)}")
    channels, reductions = _declared(module)
    expect_equal(reductions, case.spec.reductions, f"{case.name}: reductions of the built neck (its spec's)")
    expect_equal(
        [tuple(level.shape[:2]) for level in levels],
        [(x.shape[0], item) for item in channels],
        f"{case.name}: batch and channels of the levels",
    )
    expect_equal({level.dtype for level in levels}, {x.dtype}, f"{case.name}: dtypes of the levels")
    expect_finite(levels, case.name)


def every_level_covers_the_image(case: NeckCase) -> None:
    """Each level covers the whole image, and little beyond: smp-core cuts what is too much, and cannot add."""
    module, unit = case.shared_outline(), case.largest_reduction
    _, reductions = _declared(module)
    for height, width in ((2 * unit, unit), (2 * unit - 1, unit + unit // 2), (3 * unit + 5, unit - 3), (5, 1), (1, 1)):
        with torch.no_grad():
            levels = module(case.image(1, height, width))
        for level, reduction in zip(levels, reductions, strict=True):
            for size, got in zip((height, width), level.shape[2:], strict=True):
                low = -(-size // reduction)
                # The coarsest feature and the coarsest level each may begin a last row that is hardly in the image.
                high = -(-(size + 2 * unit - 2) // reduction)
                expect(
                    low <= got <= high,
                    f"{case.name}: of an image of {height} x {width} the level of reduction {reduction} is "
                    f"{tuple(level.shape[2:])}; expected at least {low} for {size}, and no more than {high}",
                )


def every_output_stride_builds(case: NeckCase) -> None:
    """With an output stride there is no level of a larger reduction, nor a parameter for one; the others stay."""
    whole, x = case.settled(), case.image()
    shapes = {name: tensor.shape for name, tensor in whole.state_dict().items()}
    with torch.no_grad():
        expected = dict(zip(_declared(whole)[1], whole(x), strict=True))
    for stride in (item for item in (8, 16, 32) if item >= case.spec.reductions[0]):
        module, where = case.build(output_stride=stride), f"{case.name} at output stride {stride}"
        _, reductions = _declared(module)
        wanted = tuple(item for item in case.spec.reductions if item <= stride)
        expect_equal(reductions, wanted, f"{where}: reductions")
        levels = module(x)
        expect_equal(
            [tuple(level.shape[2:]) for level in levels],
            [tuple(expected[item].shape[2:]) for item in reductions],
            f"{where}: sizes of the levels",
        )
        own = {name: tensor.shape for name, tensor in module.state_dict().items()}
        foreign = [name for name, shape in own.items() if shapes.get(name) != shape]
        expect(
            not foreign,
            f"{where}: {', '.join(foreign[:4])} of its state dict is not in that of the whole neck, with the same "
            "shape; expected the tensors of the levels that are left, under the same names",
        )
        torch.stack([level.square().mean() for level in levels]).sum().backward()
        unused = [name for name, item in module.named_parameters() if item.requires_grad and item.grad is None]
        expect(
            not unused,
            f"{where} has parameters that no level uses: {', '.join(unused[:4])}; expected none: build only the levels "
            "that are returned",
        )


def _declared(module: nn.Module) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Channels and reductions that the neck says."""
    neck = module.get_submodule("neck")
    return tuple(neck.out_channels), tuple(neck.reductions)  # type: ignore[arg-type]


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"an {name}" if name[0] in "AEIOUaeiou" else f"a {name}"

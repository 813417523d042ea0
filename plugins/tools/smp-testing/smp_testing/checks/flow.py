"""Checks of what passes through a module: gradients down to the image, and lower precision under autocast."""

from __future__ import annotations

import torch
from torch import Tensor

from smp_testing.cases import EncoderCase, ModuleCase, perturb
from smp_testing.expectations import ConformanceError, beginning, expect, expect_finite
from smp_testing.training import loss_of

# What bfloat16 rounds, which has 8 bits, through the few layers of a small module and the many of a deep one.
_NEAR = 0.2


def gradients_reach_the_image(case: ModuleCase) -> None:
    """The image has a gradient: for what comes before the module, saliency maps, adversarial training."""
    module, x = case.build(), case.image()
    perturb(module)
    x.requires_grad_()
    # The first feature may be the image itself.
    outputs = case.run(module.train(), x)[1 if isinstance(case, EncoderCase) else 0 :]
    gradient = torch.autograd.grad(loss_of(outputs), x, allow_unused=True)[0] if outputs else torch.ones(1)
    expect(
        gradient is not None and bool(gradient.isfinite().all()) and bool(gradient.any()),
        f"{case.name}: the image gets {'no gradient' if gradient is None else 'a gradient that is 0 or not finite'}; "
        "expected one, as layers before it learn by that, and saliency maps are made of it",
        hint="no detach(), no torch.no_grad() and no .data on the way from the image",
    )


def runs_under_autocast(case: ModuleCase) -> None:
    """Under ``torch.autocast`` it runs, trains, and gives about what it gives in float32."""
    module, x = case.settled(), case.image()
    with torch.no_grad():
        expected = case.run(module, x)
    try:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            found = case.run(module, x)
        trained = case.build().train()  # settled modules are shared
        with torch.autocast("cpu", torch.bfloat16):
            loss_of([item.float() for item in case.run(trained, x) if item.requires_grad]).backward()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise ConformanceError(
            f"{case.name} fails under torch.autocast: {beginning(error)}; expected it to run, as most training does",
            hint="operations such as index_add and scatter want one dtype: x.to(other.dtype)",
        ) from error
    expect_finite([item.float() for item in found], f"{case.name} under autocast")
    for index, (got, wanted) in enumerate(zip(found, expected, strict=True)):
        distance = _distance(got, wanted)
        expect(
            distance < _NEAR,
            f"{case.name} under autocast: output {index} differs by {distance:.2g} of its norm; expected less than "
            f"{_NEAR:g}",
        )


def _distance(got: Tensor, wanted: Tensor) -> float:
    return float((got.double() - wanted.double()).norm() / wanted.double().norm().clamp(min=1e-12))

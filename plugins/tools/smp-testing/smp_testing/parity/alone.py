"""What our architectures must do where the peer gives no numbers to compare with: it refuses, or cannot run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import smp_core
from smp_core.errors import OptionError
from smp_testing.parity.architectures import ENCODER
from smp_testing.parity.comparison import image


def build(architecture: str, **options: Any) -> smp_core.SegmentationModel:
    """Our model with random weights, which are the same at each call."""
    torch.manual_seed(0)
    return smp_core.create(architecture, ENCODER, encoder_weights=None, **options)


def assert_trains(
    architecture: str, *, batch: int = 2, size: tuple[int, int] = (50, 64), **options: Any
) -> smp_core.SegmentationModel:
    """Assert that a step in training mode runs, and that its gradient reaches the input.

    Args:
        architecture: its name; one whose mask has the size of the image.
        batch, size: of the input.
        options: of the architecture.

    Returns:
        The model after the step.
    """
    model = build(architecture, **options)
    x = image(size=size, batch=batch).requires_grad_()
    mask = model(x)
    assert mask.shape == (batch, 1, *size), f"the mask is {tuple(mask.shape)}"
    mask.square().mean().backward()
    assert x.grad is not None, "no gradient reaches the input"
    assert x.grad.isfinite().all(), "the gradient of the input is not finite"
    assert x.grad.abs().sum() > 0, "the gradient of the input is zero"
    return model


def assert_scales_up(architecture: str, size: tuple[int, int], *, stride: int, **options: Any) -> None:
    """Assert that an image of any size runs, and how large its mask is.

    Args:
        architecture: its name.
        size: height and width of the image.
        stride: of the map that the head scales up, by ``upsampling``; by the stride itself where that is not given.
        options: of the architecture.
    """
    height, width = (-(-side * options.get("upsampling", stride) // stride) for side in size)
    mask = build(architecture, **options).predict(image(size=size, batch=1))
    assert isinstance(mask, torch.Tensor)
    assert mask.shape == (1, 1, height, width), f"{size} gives {tuple(mask.shape)}, expected is {(1, 1, height, width)}"
    assert mask.isfinite().all(), "the mask is not finite"


def assert_pads_any_size(architecture: str, **options: Any) -> None:
    """Assert that an image of no whole strides gives, bit by bit, what it gives when padded with zeros beforehand."""
    model = build(architecture, classes=2, **options).eval()
    x = image(size=(50, 65), batch=1)
    padded = nn.functional.pad(x, (0, 31, 0, 14))
    with torch.no_grad():
        torch.testing.assert_close(model(x), model(padded)[..., :50, :65], rtol=0, atol=0)


def assert_refused(
    architecture: str, options: dict[str, Any], expected: str, *, error: type[Exception] = OptionError
) -> None:
    """Assert that a wrong value is answered with the right ones, or with the name of its option.

    Args:
        architecture: its name.
        options: one of them wrong.
        expected: a pattern in the message.
        error: its type.
    """
    with pytest.raises(error, match=expected):
        build(architecture, **options)

"""A check of dilation that no shape shows: a stage without its stride must look as far as it did with it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smp_testing.cases import EncoderCase, perturb
from smp_testing.expectations import expect

# Images are strips, as the receptive fields of deep networks are hundreds of pixels wide; the wider one where needed.
_WIDTHS = (512, 1024)
# Of what is seen without dilation, which convolutions dilated exactly give back; a tolerance for odd padding.
_LEAST = 0.95


def dilation_keeps_what_is_seen(case: EncoderCase) -> None:
    """At each output stride a pixel of the deepest feature sees as much of the image as without dilation.

    What is seen is where the gradient of the feature's middle reaches. Where that is the whole image, as with attention
    or global pooling, nothing can be told.
    """
    for width in _WIDTHS:
        whole = _seen(case, None, width)
        if whole < width - 2 * case.largest_reduction:
            break
    else:
        return
    for stride in case.spec.dilation:
        seen = _seen(case, stride, width)
        expect(
            seen >= _LEAST * whole,
            f"{case.name} at output stride {stride}: the deepest feature sees {seen} pixels of a row, {whole} without "
            "dilation; expected its convolutions to be dilated where a stride was taken away",
            hint="a stage whose stride is gone needs dilation=(r, r) and padding r * (k // 2) in every convolution, r "
            "being the stride that is missing up to there; EncoderBase.dilate does it",
        )


def _seen(case: EncoderCase, output_stride: int | None, width: int) -> int:
    """How many columns of the image the middle of the deepest feature depends on."""
    module = case.build(output_stride=output_stride).eval()
    perturb(module)
    _let_through(module)
    x = case.image(1, case.largest_reduction, width).requires_grad_()
    deepest = case.features(module, x)[-1]
    columns = _columns(torch.autograd.grad(deepest[..., deepest.shape[3] // 2].sum(), x)[0])
    return int(columns[-1] - columns[0]) + 1 if len(columns) else 0


def _columns(gradient: Tensor) -> Tensor:
    return gradient.abs().amax((0, 1, 2)).nonzero()[:, 0]


def _let_through(module: nn.Module) -> None:
    """Take activations out of the way that are modules: what they cut off would look as if it was not seen."""
    for part in module.modules():
        if isinstance(part, (nn.ReLU, nn.ReLU6, nn.Hardswish)):
            setattr(part, "forward", _same)  # noqa: B010  # of this module alone, which is thrown away


def _same(x: Tensor) -> Tensor:
    return x

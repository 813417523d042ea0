"""The convolution of an inference form as one operator, for graphs of `torch.compile`.

A compiler that traced the sums and products which a form consists of would compile them worse than they are. As an
operator they run as they do uncompiled, and what depends on the call is asked when it runs: the size, the layout, and
whether the weight still is the one that the kernel was made of.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smp_core.layers.forms import form_for
from smp_core.layers.known_forms import KNOWN_FORMS
from smp_core.layers.made_of import is_sample_of

_SCHEMA = (
    "known_conv2d(Tensor x, Tensor weight, Tensor? bias, Tensor kernel, Tensor sample, str layer, str form, "
    "int dilation, int rows, int threads) -> Tensor"
)


def _known_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    kernel: Tensor,
    sample: Tensor,
    layer: str,
    form: str,
    dilation: int,
    rows: int,
    threads: int,
) -> Tensor:
    """A convolution of stride 1 that keeps the size of its map, by its form where that is the one for this call.

    Args:
        x: (N, C, H, W).
        weight: (O, C / groups, 3, 3), or (O, C, 1, 1).
        bias: (O,), or None.
        kernel: of `KNOWN_FORMS`, maybe packed.
        sample: of the weight that the kernel was made of, see `smp_core.layers.made_of.MadeOf`.
        layer: of the table of forms.
        form: that the kernel is for.
        dilation: in both directions.
        rows, threads: that the kernel is packed for, if it is; with others the convolution is faster.

    Returns:
        (N, O, H, W), laid out as that of the form.
    """
    known, (number, channels, height, width) = KNOWN_FORMS[form], x.shape
    fewer = min(channels, weight.shape[0])
    if (
        x.numel() > 0
        and (not kernel.is_mkldnn or (rows, threads) == (known.rows_of(x, dilation), torch.get_num_threads()))
        and known.pays(height, width, dilation)
        and form_for(layer, x, number * height * width, fewer) == form
        and is_sample_of(sample, weight)
    ):
        out = known.convolve(x, kernel, bias, dilation)
    else:
        padding, groups = dilation * (weight.shape[2] // 2), channels // weight.shape[1]
        out = nn.functional.conv2d(x, weight, bias, padding=padding, dilation=dilation, groups=groups)
    return out.contiguous(memory_format=known.layout)


def _meta(x: Tensor, weight: Tensor, *rest: object) -> Tensor:
    number, _, height, width = x.shape
    layout = KNOWN_FORMS[str(rest[4])].layout
    return torch.empty((number, weight.shape[0], height, width), dtype=x.dtype, device=x.device, memory_format=layout)


_library = torch.library.Library("smp_core", "DEF")
_library.define(_SCHEMA, tags=(torch.Tag.needs_fixed_stride_order,))
_library.impl("known_conv2d", _known_conv2d, "CompositeExplicitAutograd")
torch.library.register_fake("smp_core::known_conv2d", _meta, lib=_library)
known_conv2d = torch.ops.smp_core.known_conv2d.default

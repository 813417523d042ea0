"""`optimize`: the inference form of a model."""

from __future__ import annotations

import contextlib
from functools import partial
from itertools import chain

import torch
from torch import Tensor

from smp_core.inference.arguments import (
    check_device,
    check_dtype,
    check_flag,
    check_model,
    name_of_layout,
    refused_after_failure,
)
from smp_core.inference.forming import form_in_place, form_of
from smp_core.inference.graphs import GraphCache
from smp_core.inference.model import MEMORY_FORMATS, OptimizedModel
from smp_core.layers.known_conv import with_kernels
from smp_core.model import SegmentationModel


def optimize(
    model: SegmentationModel,
    *,
    dtype: torch.dtype | None = None,
    memory_format: str | torch.memory_format = "channels_last",
    device: torch.device | str | None = None,
    graphs: bool = True,
    inplace: bool = False,
) -> OptimizedModel:
    """The inference form of a model: the same numbers to rounding, in less time.

    Norms are folded into the convolutions before them, branches and linear maps that follow each other become one,
    kernels are computed once, dropout is gone. What is not understood is left as it is: parts that are hooked,
    parametrised, replaced or of a class that nobody knows. See ``docs/speed.md``.

    Args:
        model: in either mode; it is not changed.
        dtype: of the weights, and of the result: `torch.bfloat16`, `torch.float16`, `torch.float32` or `torch.float64`.
            By default the model's. The products that folding needs are taken in float64.
        memory_format: ``"channels_last"``, which most convolutions are fastest with, or ``"contiguous"``; torch's
            `torch.channels_last` and `torch.contiguous_format` say the same.
        device: where to; by default where the model is.
        graphs: on CUDA, record a graph of each shape of input when it comes for the second time, and replay it from
            then on; at most four are kept. Launching the operations of a small batch takes longer than running them.
        inplace: take the model apart in place of a copy of it, which saves its memory; it is of no use afterwards. If
            that fails half way, the model refuses to run from then on.

    Returns:
        A module that is called as the model is. Training mode, and an input that wants a gradient, are errors.

    Raises:
        OptionError: not a `SegmentationModel`, or one on the meta device, another dtype or memory format, a device that
            is not here, a flag that is no bool; a model that cannot be copied; or one that gives other numbers taken
            apart, ``inplace``.
        PluginError: the ``inference_form`` of a plugin's module raised, returned what is no module, or asks for itself.

    >>> import smp_core
    >>> fast = smp_core.optimize(smp_core.create("unet", "resnet18", encoder_weights=None, classes=3))
    >>> fast(torch.zeros(1, 3, 64, 50)).shape
    torch.Size([1, 3, 64, 50])
    """
    check_model(model)
    check_dtype(dtype)
    check_device(device)
    check_flag("graphs", graphs)
    check_flag("inplace", inplace)
    layout = name_of_layout(memory_format)
    # Not in the caller's inference mode, whose tensors neither copy, nor save, nor are ever changed again outside it.
    inplace = inplace and not any(item.is_inference() for item in chain(model.parameters(), model.buffers()))
    spent = refused_after_failure(model) if inplace else contextlib.nullcontext()
    # Nor under its autocast, in which what is computed of the weights would be rounded.
    kind = next((item.device.type for item in model.parameters()), "cpu")
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(kind, enabled=False), spent:
        form = form_in_place(model) if inplace else form_of(model)
        form.requires_grad_(False)
        form._apply(partial(_brought, device=device, dtype=dtype, layout=MEMORY_FORMATS[layout]))
        with_kernels(form)
    return OptimizedModel(form, memory_format=layout, graphs=GraphCache() if graphs else None)


def _brought(
    tensor: Tensor, device: torch.device | str | None, dtype: torch.dtype | None, layout: torch.memory_format
) -> Tensor:
    """A parameter or buffer where, and as what, it shall be; complex ones keep their dtype."""
    return tensor.to(
        device=device,
        dtype=dtype if tensor.is_floating_point() else None,
        memory_format=layout if tensor.dim() == 4 else torch.preserve_format,
    )

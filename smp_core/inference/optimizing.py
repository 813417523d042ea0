"""`optimize`: the inference form of a model."""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor

from smp_core.errors import OptionError
from smp_core.inference.graphs import GraphCache
from smp_core.inference.model import MEMORY_FORMATS, OptimizedModel
from smp_core.inference.walking import InferenceWalk
from smp_core.layers.known_conv import with_kernels
from smp_core.layers.recomputing import stop_recomputing
from smp_core.model import SegmentationModel


def optimize(
    model: SegmentationModel,
    *,
    dtype: torch.dtype | None = None,
    memory_format: str = "channels_last",
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
        dtype: of the weights, and of the result: `torch.bfloat16`, say. By default the model's. The products that
            folding needs are taken in float64.
        memory_format: ``"channels_last"``, which most convolutions are fastest with, or ``"contiguous"``.
        device: where to; by default where the model is.
        graphs: on CUDA, record a graph of each shape of input when it comes for the second time, and replay it from
            then on; at most four are kept. Launching the operations of a small batch takes longer than running them.
        inplace: take the model apart in place of a copy of it, which saves its memory; it is of no use afterwards.

    Returns:
        A module that is called as the model is. Training mode, and an input that wants a gradient, are errors.

    Raises:
        OptionError: not a `SegmentationModel`, a dtype that is not floating-point, another memory format; or a model
            that cannot be copied.
        PluginError: the ``inference_form`` of a plugin's module returned what is no module.

    >>> import smp_core
    >>> fast = smp_core.optimize(smp_core.create("unet", "resnet18", encoder_weights=None, classes=3))
    >>> fast(torch.zeros(1, 3, 64, 50)).shape
    torch.Size([1, 3, 64, 50])
    """
    given: object = model
    if not isinstance(given, SegmentationModel):
        hint = "; it is an inference form already" if isinstance(given, OptimizedModel) else ""
        raise OptionError(f"optimize: expected an smp_core.SegmentationModel, got {type(given).__name__}{hint}")
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise OptionError(f"optimize: dtype must be a floating-point torch.dtype or None, got {dtype!r}")
    if memory_format not in MEMORY_FORMATS:
        raise OptionError(
            f"optimize: memory_format must be one of {', '.join(map(repr, MEMORY_FORMATS))}, got {memory_format!r}"
        )
    # Not in the caller's inference mode, whose tensors neither copy, nor save, nor are ever changed again outside it.
    with torch.inference_mode(False), torch.no_grad():
        taken = model if inplace else _copied(model)
        stop_recomputing(taken)
        taken.eval()
        taken.requires_grad_(False)
        form = InferenceWalk(taken)(taken)
        form.requires_grad_(False)
        form._apply(partial(_brought, device=device, dtype=dtype, layout=MEMORY_FORMATS[memory_format]))
        with_kernels(form)
    return OptimizedModel(form, memory_format=memory_format, graphs=GraphCache() if graphs else None)


def _brought(
    tensor: Tensor, device: torch.device | str | None, dtype: torch.dtype | None, layout: torch.memory_format
) -> Tensor:
    """A parameter or buffer where, and as what, it shall be; complex ones keep their dtype."""
    return tensor.to(
        device=device,
        dtype=dtype if tensor.is_floating_point() else None,
        memory_format=layout if tensor.dim() == 4 else torch.preserve_format,
    )


def _copied(model: SegmentationModel) -> SegmentationModel:
    try:
        return copy.deepcopy(model)
    except RuntimeError as error:
        raise OptionError(
            f"optimize: the model cannot be copied ({error}); if some of its weights are computed by hooks, as pruning "
            "does, run it once under torch.no_grad() or make the change permanent first, or take it apart with "
            "inplace=True"
        ) from error

"""What a model refuses as its input, and what to do about it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from smp_core.encoder import channels_of, first_convolution_of
from smp_core.errors import InputError
from smp_core.layers.recording import is_proxy
from smp_core.tensors.spelling import encoder_of

_META = torch.device("meta")

# How torch begins to say that batch or instance normalisation has a single value of which to take mean and variance.
_TOO_FEW = "Expected more than 1 "


def check_input(model: nn.Module, x: Tensor) -> None:
    """Compare an input with what a model takes as it is now; nothing is asked of one that stands for a traced input.

    Args:
        model: a `smp_core.SegmentationModel`.
        x: what it is given.

    Raises:
        InputError: not a dense tensor, another number of dimensions or channels, no pixels, another device or dtype.
    """
    if is_proxy(x) or torch.jit.is_tracing():  # every comparison of a traced size would warn
        return
    encoder: Any = encoder_of(model)[0]
    in_channels = channels_of(encoder)
    expected = f"expected an input of shape (N, {in_channels or 'C'}, H, W)"
    wrong = _not_dense(x)
    if wrong is not None:
        raise InputError(f"{expected}, got {wrong}")
    got = f"got {tuple(x.shape)}"
    if x.dim() != 4:
        hint = "; add the batch dimension: x[None]" if x.dim() == 3 else ""
        raise InputError(f"{expected}, {got}{hint}")
    if in_channels and x.shape[1] != in_channels and not _is_converted(model):
        hint = "; the channels come second: x.permute(0, 3, 1, 2)" if x.shape[3] == in_channels else ""
        raise InputError(f"{expected}, {got}{hint}")
    if x.shape[2] == 0 or x.shape[3] == 0:
        raise InputError(f"{expected} with H and W of at least 1, {got}")
    place = getattr(first_convolution_of(encoder), "weight", None)
    if type(place) is nn.Parameter and place.device not in (x.device, _META) and not _is_converted(model):
        raise InputError(f"{expected} on {place.device}, where the model is, got one on {x.device}: move either")
    head: Any = model.segmentation_head
    parameter = next(head.parameters(), None)
    # Packed and sharded parameters have one dtype and compute in another.
    dtype = parameter.dtype if type(parameter) is nn.Parameter and parameter.is_floating_point() else x.dtype
    if x.dtype != dtype and not _is_cast(x) and not _is_converted(model):
        is_whole = not (x.is_floating_point() or x.is_complex())
        hint = "; scale and convert the pixels first: x.float() / 255" if is_whole else ""
        raise InputError(f"{expected} and dtype {dtype}, got {x.dtype}{hint}")


def too_small(error: ValueError, *given: object) -> InputError | None:
    """What normalisation layers say of a batch that leaves them a single value of each channel, in words of a model.

    Args:
        error: what running the model raised.
        given: what the model was called with.

    Returns:
        None for any other error.
    """
    if _TOO_FEW not in str(error) or isinstance(error, InputError):
        return None
    shapes = ", ".join(f"{tuple(item.shape)}" for item in given if isinstance(item, Tensor))
    return InputError(
        f"an input of shape {shapes} is too small to train on: a normalisation layer computes its statistics over "
        f"images and pixels, and needs more than one of them ({error}). Give two images or more (drop_last=True keeps "
        "a DataLoader from giving the last one alone) or larger ones; model.predict, and any call after model.eval(), "
        "take any"
    )


def _is_converted(model: nn.Module) -> bool:
    """Whether a hook may make another input of it, or a wrapper computes in another dtype."""
    encoder: Any = encoder_of(model)[0]
    parts: list[Any] = [model, model.encoder, encoder, model.segmentation_head, first_convolution_of(encoder) or model]
    # FSDP of torch before 2.6 marks what it manages in this way, for the compiler; accelerate what it moves.
    marks = ("_is_fsdp_managed_module", "_hf_hook")
    return any(part._forward_pre_hooks or any(mark in part.__dict__ for mark in marks) for part in parts)


def _is_cast(x: Tensor) -> bool:
    """Whether autocast makes the right dtype of it: of floating-point numbers alone, and not of double ones."""
    return x.is_floating_point() and x.dtype != torch.float64 and torch.is_autocast_enabled(x.device.type)


def _not_dense(x: object) -> str | None:
    """What a model is given instead of a dense tensor, and what to do; None where it is one."""
    if not isinstance(x, Tensor):
        is_array = hasattr(x, "__array_interface__") or isinstance(x, (list, tuple))
        return f"a {type(x).__name__}{': torch.as_tensor(x) makes a tensor of it' if is_array else ''}"
    if x.is_nested:
        return "a nested tensor: give images of one size, as torch.nested.to_padded_tensor(x, 0.0) makes them"
    if x.layout is not torch.strided:
        return f"a tensor of layout {x.layout}: x.to_dense() makes a dense one"
    return None

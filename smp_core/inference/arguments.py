"""What `optimize` is given: refused in words before anything is copied, and copied."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import NoReturn

import torch
from torch import nn

from smp_core.errors import OptionError
from smp_core.inference.model import MEMORY_FORMATS, OptimizedModel
from smp_core.model import SegmentationModel

# Of the other floating-point kinds torch has no arithmetic: they are for storing.
_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def check_model(model: object) -> None:
    """Refuse what is no model, or has no weights.

    Raises:
        OptionError: not a `SegmentationModel`, or one with tensors on the meta device.
    """
    if not isinstance(model, SegmentationModel):
        raise OptionError(
            f"optimize: expected an smp_core.SegmentationModel, got {type(model).__name__}{_hint_of(model)}"
        )
    tensors = chain(model.named_parameters(), model.named_buffers())
    without = [name for name, tensor in tensors if tensor.is_meta]
    if without:
        raise OptionError(
            f"optimize: {len(without)} tensors of the model are on the meta device and have no values, {without[0]!r} "
            "the first of them, but an inference form is computed of the weights; load the model with "
            "smp_core.from_pretrained, or call model.to_empty(device=...) and model.load_state_dict(...) first"
        )


def _hint_of(given: object) -> str:
    if isinstance(given, OptimizedModel):
        return "; it is an inference form already"
    if isinstance(getattr(given, "_orig_mod", None), SegmentationModel):
        return (
            "; it is compiled: give the module that was compiled, its ._orig_mod, and compile the result, "
            "torch.compile(smp_core.optimize(model))"
        )
    if isinstance(getattr(given, "module", None), SegmentationModel):  # DataParallel and the like
        return "; it wraps one: give its .module"
    return ""


def check_dtype(dtype: object) -> None:
    """Refuse what weights cannot be computed with.

    Raises:
        OptionError: not one of torch's floating-point dtypes with arithmetic, nor None.
    """
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype in _DTYPES):
        raise OptionError(
            f"optimize: dtype must be one of {', '.join(map(str, _DTYPES))}, the floating-point dtypes that torch has "
            f"arithmetic of, or None for the model's, got {dtype!r}"
        )


def name_of_layout(memory_format: object) -> str:
    """The name in `MEMORY_FORMATS` of a memory format, which may be given as torch's.

    Raises:
        OptionError: neither.
    """
    for name, layout in MEMORY_FORMATS.items():
        if isinstance(memory_format, (str, torch.memory_format)) and memory_format in (name, layout):
            return name
    raise OptionError(
        f"optimize: memory_format must be one of {', '.join(map(repr, MEMORY_FORMATS))}, got {memory_format!r}"
    )


def check_device(device: object) -> None:
    """Refuse a device that this torch does not know, or that is not here.

    Raises:
        OptionError: neither None nor a device on which torch makes a tensor.
    """
    if device is None:
        return
    try:
        torch.empty(0, device=torch.device(device))  # type: ignore[call-overload]
    except Exception as error:  # each kind of device has its own, a missing module too
        reason = str(error).strip().split("\n")[0].rstrip(":.")
        raise OptionError(
            f"optimize: device={device!r} cannot be used here ({reason}); expected a torch.device or its name that "
            "this torch and this machine have, as 'cpu', or None to leave the model where it is"
        ) from error


def check_flag(name: str, value: object) -> None:
    """Refuse what only passes for true or false: ``inplace="no"`` would take the model apart.

    Raises:
        OptionError: no bool.
    """
    if not isinstance(value, bool):
        raise OptionError(f"optimize: {name} must be True or False, got {value!r}")


def copied(model: SegmentationModel) -> SegmentationModel:
    """A copy of a model.

    Raises:
        OptionError: something in it cannot be copied.
    """
    try:
        return copy.deepcopy(model)
    except Exception as error:  # whatever is in a stranger's attribute raises what it likes
        advice = ""
        if "deepcopy protocol" in str(error):  # so torch says of a tensor that was computed
            advice = (
                "if some of its weights are computed by hooks, as pruning does, run it once under torch.no_grad() or "
                "make the change permanent first, or "
            )
        elif not isinstance(error, (MemoryError, RuntimeError)):
            advice = (
                "if it holds what has no copies, as a lock, a file or a thread, take that out of it, or give the class "
                "that holds it a __deepcopy__, or "
            )
        raise OptionError(
            f"optimize: the model cannot be copied ({type(error).__name__}: {error}); {advice}take it apart with "
            "inplace=True"
        ) from error


@contextlib.contextmanager
def refused_after_failure(model: nn.Module) -> Iterator[None]:
    """A block that takes a model apart: if it fails half way, the model refuses to run from then on.

    Some convolutions have their norm folded in then, and the norm still stands behind them.
    """
    try:
        yield
    except BaseException as error:
        model.register_forward_pre_hook(partial(_refuse, f"{type(error).__name__}: {error}"), prepend=True)
        raise


def _refuse(why: str, _: nn.Module, __: tuple[object, ...]) -> NoReturn:
    raise OptionError(
        f"smp_core.optimize(model, inplace=True) took this model apart and failed half way ({why}), so that it would "
        "give wrong numbers: throw it away, and build or load it again"
    )

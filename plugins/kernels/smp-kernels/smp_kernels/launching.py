"""What all kernels share: how one is tuned, launched, and given up where it fails."""

from __future__ import annotations

import functools
import inspect
import os
import threading
import warnings
import zlib
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import torch
import triton
from torch import Tensor

_Result = TypeVar("_Result")

# Of one kernel; each is a class of devices, dtypes, channels and sizes (to a factor of two).
_MAX_CHOICES = 256

# Triton's autotuner keeps the arguments of a call in itself.
_lock = threading.Lock()
# The kernel and the class of calls.
_failed: set[tuple[str, Hashable]] = set()


def is_interpreted() -> bool:
    """Whether kernels run in Triton's interpreter, on the CPU; decided when Triton is imported."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def autotuned(configs: Sequence[Any], key: Sequence[str]) -> Callable[[Any], Any]:
    """`triton.autotune`, whose choices are kept in Triton's folder of compiled kernels, too, where it can do that.

    Args:
        configs: to choose from; the interpreter, which has nothing to measure, takes the first.
        key: names of the arguments that make up a class of calls.
    """
    more = {"cache_results": True} if "cache_results" in inspect.signature(triton.autotune).parameters else {}
    chosen = list(configs[:1]) if is_interpreted() else list(configs)
    decorator: Callable[[Any], Any] = triton.autotune(configs=chosen, key=list(key), **more)
    return decorator


def launch(kernel: Any, grid: Any, like: Tensor, *args: Any, **keywords: Any) -> None:
    """Run an autotuned kernel on the device of a tensor.

    Args:
        kernel: made with `autotuned`.
        grid: as Triton takes it.
        like: any tensor on the device.
        args, keywords: of the kernel.
    """
    with _lock, torch.cuda.device_of(like):
        if len(kernel.cache) >= _MAX_CHOICES:
            kernel.cache.clear()
        kernel[grid](*args, **keywords)


def size_class(number: int) -> int:
    """The exponent of the power of two that is at least a number, so that similar sizes share a choice."""
    return max(0, number - 1).bit_length()


def device_class(x: Tensor) -> int:
    """A number for the model of a tensor's device: choices hold for all of one model, in later processes, too."""
    return _device_class(x.device.index or 0) if x.is_cuda else 0


@functools.lru_cache(maxsize=64)
def _device_class(index: int) -> int:
    return zlib.crc32(torch.cuda.get_device_name(index).encode()) & 0x7FFFFFFF


def or_plain(name: str, key: Hashable, run: Callable[[], _Result], plain: Callable[[], _Result]) -> _Result:
    """What a kernel gives; or what the plain form does, where that kernel fails.

    The first failure of each kernel is told. A class of calls that failed is not tried again: compiling may take
    seconds.

    Args:
        name: of the kernel, for the warning.
        key: of the class of calls, whose arguments have been checked: what fails is then no fault of the caller.
        run: launches the kernel.
        plain: computes the same by operations of torch.
    """
    if (name, key) in _failed:
        return plain()
    try:
        return run()
    except torch.cuda.OutOfMemoryError:  # torch's own; the plain form needs more
        raise
    except Exception as error:  # of a compiler, a driver, another version of either
        first = not any(failed == name for failed, _ in _failed)
        _failed.add((name, key))
        if first:
            text = str(error).strip() or type(error).__name__
            warnings.warn(
                f"smp-kernels: the kernel of {name} failed ({type(error).__name__}: {text[:400]}), and the plain form "
                "runs in its place; further failures of it are not told of. pip uninstall smp-kernels is the same "
                "without this warning",
                RuntimeWarning,
                stacklevel=2,
            )
        return plain()

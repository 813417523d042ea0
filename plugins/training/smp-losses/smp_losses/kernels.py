"""Kernels for the losses' sums, which other distributions provide and nobody needs.

A distribution names a function by an entry point of the group ``smp_losses.kernels``; smp-kernels does, for CUDA. The
names are those of the functions below; each is imported when a tensor on CUDA first comes to it.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Any

from torch import Tensor, nn

from smp_losses.inputs import wants_plain_form

GROUP = "smp_losses.kernels"

REGION = "softmax_sums"
"""``(scores, target, valid) -> (both, predicted, labelled)``: what `smp_losses.region.RegionSums` holds, of logits.

Args: scores (N, C, P), of any floating dtype and layout; target (N, P), int64; valid (N, P) bool or None. What is not
valid counts nowhere, whatever its score, NaN too. Returns (C,) each, in float64 for float64, else in float32;
differentiable in the scores, twice too. A label beyond the classes where valid stops the device with an assertion.
"""

FOCAL = "focal_sums"
"""``(scores, target, valid, alpha, gamma, threshold) -> sums``: what `smp_losses.focal_terms.index_sums` returns, (C,).

The first three as for `REGION`; alpha, gamma and threshold those of `smp_losses.FocalLoss`, None where it has none.
"""

_lock = threading.Lock()
_kernels: dict[str, Callable[..., Any] | None] = {}
_wanted: bool | None = None


@contextlib.contextmanager
def use_kernels(wanted: bool) -> Iterator[None]:
    """Within the block losses use kernels on every device where there are some, or on none. It holds for all threads.

    For tests and measuring; without it they are used on CUDA.

    >>> with use_kernels(False):
    ...     DiceLoss("multiclass")(torch.zeros(1, 2, 3), torch.zeros(1, 3, dtype=torch.long))
    tensor(0.3333)
    """
    global _wanted
    with _lock:
        before, _wanted = _wanted, wanted
    try:
        yield
    finally:
        with _lock:
            _wanted = before


def kernel_for(name: str, scores: Tensor) -> Callable[..., Any] | None:
    """The function of that name, where there is one and it is for such scores.

    A loss asks once a call: what it does before, with ignored pixels say, depends on the answer.

    Args:
        name: `REGION` or `FOCAL`.
        scores: what the loss was given, not checked yet.
    """
    if not isinstance(scores, Tensor) or wants_plain_form():
        return None
    if _wanted is False or (_wanted is None and scores.device.type != "cuda") or scores.numel() == 0:
        return None
    if type(scores) not in (Tensor, nn.Parameter):  # a subclass may mean something else by an operation
        return None
    if name not in _kernels:
        with _lock:
            if name not in _kernels:
                _kernels[name] = _loaded(name)
    return _kernels[name]


def _loaded(name: str) -> Callable[..., Any] | None:
    for point in sorted(entry_points(group=GROUP, name=name), key=lambda point: point.value):
        try:
            kernel: Callable[..., Any] = point.load()
        except Exception as error:  # whatever somebody else's module raises
            warnings.warn(
                f"smp-losses: the kernel {point.value} cannot be used, and operations of torch run in its place: "
                f"{error}",
                RuntimeWarning,
                stacklevel=3,
            )
            continue
        return kernel
    return None

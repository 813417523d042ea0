"""Whether a weight still is what something was computed of."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# A weight of fewer values is compared as a whole, of a larger one at least so many values are.
_ALL = 4096
_SOME = 256


class MadeOf:
    """What a weight was when a kernel was computed of it; asking costs three microseconds.

    Asked are which tensor it is, in which version, and, on the CPU, some of its values: 256 or more, and one or more of
    each output channel. The version alone does not tell of what is written by ``weight.data``, by NumPy or by
    `torch.nn.Module.to`, and to compare all values would be to read the weight as often as the convolution does. So
    what is written past the version is seen on the CPU if it changes one of these values, as whatever is written to all
    of the weight, or to an output channel, does, but a few single values do not. On other devices, where to look at a
    value is to wait for them, it is seen only where the weight has moved to other memory.
    """

    def __init__(self, weight: Tensor) -> None:
        self._weight = weight
        self._version = _version(weight)
        self._taken = _taken(weight)
        self.sample: Tensor | None = None if self._taken is None else _values(weight, self._taken).clone()
        self._place = 0 if weight.is_meta or weight.is_cpu else weight.data_ptr()

    def is_still(self, weight: object) -> bool:
        """Whether this is that weight, and is not seen to have changed."""
        if weight is not self._weight or self._version != _version(self._weight):
            return False
        if not self._weight.is_cpu:
            return self._weight.is_meta or self._weight.data_ptr() == self._place
        if self.sample is None or self._taken is None or not _is_dense(self._weight):
            return False
        return self.sample.dtype == self._weight.dtype and torch.equal(_values(self._weight, self._taken), self.sample)

    def __getstate__(self) -> Tensor:
        return self._weight

    def __setstate__(self, weight: Tensor) -> None:
        # A copy counts its versions anew. Whoever is copied asks before whether the weight still is what it was.
        self.__init__(weight)  # type: ignore[misc]


def is_sample_of(sample: Tensor, weight: Tensor) -> bool:
    """Whether a weight has the values that `MadeOf.sample` has, where the tensor itself and its version are unknown."""
    taken = _taken(weight)
    return taken is not None and sample.dtype == weight.dtype and torch.equal(_values(weight, taken), sample)


def _values(weight: Tensor, taken: tuple[tuple[int], tuple[int]]) -> Tensor:
    return weight.detach().as_strided(*taken)


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


def _is_dense(weight: Tensor) -> bool:
    return weight.is_contiguous() or (weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last))


def _taken(weight: Tensor) -> tuple[tuple[int], tuple[int]] | None:
    """How many values of the weight's memory are compared, how far apart; None where they are not at hand."""
    number = weight.numel()
    if not weight.is_cpu or number == 0 or not _is_dense(weight):
        return None
    if number <= _ALL:
        return (number,), (1,)
    row = number // weight.shape[0]
    step = min(row, number // _SOME)
    while math.gcd(step, row) != 1:  # at other places in each row, so that input channels are met, too
        step -= 1
    return ((number - 1) // step + 1,), (step,)

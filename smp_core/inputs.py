"""What a model's input must look like: the value range, mean and standard deviation that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from smp_core.errors import InputError
from smp_core.plugin import WeightsSpec

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How pixel values become a model's input: scale to ``input_range``, order the colours, subtract, divide.

    Attributes:
        mean, std: per channel, in units of ``input_range`` and in the order of ``input_space``.
        input_space: ``"RGB"`` or ``"BGR"``.
        input_range: the smallest and largest pixel value before ``mean`` is subtracted.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_space: str = "RGB"
    input_range: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def of_weights(cls, weights: WeightsSpec) -> Preprocessing:
        """The preprocessing that a set of pretrained weights was trained with."""
        return cls(mean=weights.mean, std=weights.std, input_space=weights.input_space, input_range=weights.input_range)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """The inverse of `to_dict`."""
        low, high = values["input_range"]
        return cls(
            mean=tuple(map(float, values["mean"])),
            std=tuple(map(float, values["std"])),
            input_space=str(values["input_space"]),
            input_range=(float(low), float(high)),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` reads it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def __call__(self, x: Tensor) -> Tensor:
        """Turn pixel values into a model's input.

        Args:
            x: (..., C, H, W), floating, in [0, 1]; colours in RGB order.

        Returns:
            The same shape and dtype.

        Raises:
            InputError: the number of channels differs from that of ``mean``.
        """
        if x.shape[-3] != len(self.mean):
            raise InputError(f"expected {len(self.mean)} channels in dimension -3, got shape {tuple(x.shape)}")
        low, high = self.input_range
        if self.input_space == "BGR":
            x = x.flip(-3)
        mean = x.new_tensor(self.mean).view(-1, 1, 1)
        std = x.new_tensor(self.std).view(-1, 1, 1)
        return (x * (high - low) + low - mean) / std

"""What losses and metrics of the old trainer are: modules with a name, under which they are logged."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor, nn

from smp_core.errors import OptionError


class BaseObject(nn.Module):
    """A module with a name, by default that of its class in lower case with underscores."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__()
        self._name = name

    @property
    def __name__(self) -> str:
        if self._name is not None:
            return self._name
        kind: str = self.__class__.__qualname__.rpartition(".")[2]
        return re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)(?=[A-Z][a-z])", r"\1\3_\2", kind).lower()


class Metric(BaseObject):
    """Base of metrics."""


class Loss(BaseObject):
    """Base of losses, which are added and multiplied by numbers."""

    def __add__(self, other: Any) -> SumOfLosses:
        if not isinstance(other, Loss):
            raise OptionError(f"a loss can only be added to a smp_compat.utils.base.Loss, not to {other!r}")
        return SumOfLosses(self, other)

    def __radd__(self, other: Any) -> SumOfLosses:
        return self.__add__(other)

    def __mul__(self, value: Any) -> MultipliedLoss:
        if not isinstance(value, (int, float)):
            raise OptionError(f"a loss can only be multiplied by a number, not by {value!r}")
        return MultipliedLoss(self, value)

    def __rmul__(self, other: Any) -> MultipliedLoss:
        return self.__mul__(other)


class SumOfLosses(Loss):
    """The sum of two losses."""

    def __init__(self, l1: Loss, l2: Loss) -> None:
        super().__init__(name=f"{l1.__name__} + {l2.__name__}")
        self.l1, self.l2 = l1, l2

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the losses."""
        total: Tensor = self.l1(*inputs) + self.l2(*inputs)
        return total


class MultipliedLoss(Loss):
    """A loss times a number."""

    def __init__(self, loss: Loss, multiplier: float) -> None:
        name = f"({loss.__name__})" if " + " in loss.__name__ else loss.__name__
        super().__init__(name=f"{multiplier} * {name}")
        self.loss, self.multiplier = loss, multiplier

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the loss."""
        product: Tensor = self.multiplier * self.loss(*inputs)
        return product

"""Losses are added and scaled: ``0.5 * DiceLoss("binary") + FocalLoss("binary")`` is a loss again."""

from __future__ import annotations

import math
import numbers

from torch import Tensor, nn


class Loss(nn.Module):
    """Base of all losses: an ``nn.Module`` that can be added to others and multiplied by a number.

    Attributes:
        name: under which the loss is found in the parts of a sum. May be changed before the loss is added.
    """

    name: str = "loss"

    def __add__(self, other: nn.Module) -> LossSum:
        return LossSum(self, other) if isinstance(other, nn.Module) else NotImplemented

    def __radd__(self, other: nn.Module | int) -> LossSum:
        # sum() starts with 0.
        if isinstance(other, int) and other == 0:
            return LossSum(self)
        return LossSum(other, self) if isinstance(other, nn.Module) else NotImplemented

    def __mul__(self, factor: float) -> LossSum:
        # NumPy's numbers are real numbers too; a tensor or a string is not.
        value: object = factor
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            return NotImplemented
        return LossSum(self)._scaled(float(factor))

    __rmul__ = __mul__


class LossSum(Loss):
    """A weighted sum of losses.

    Made by ``+`` and ``*``; a sum within a sum is taken apart, so that all parts stand side by side. Any ``nn.Module``
    that takes ``(y_pred, y_true)`` and returns a tensor can be a part.

    Attributes:
        names: of the parts, in order. A name that occurs again gets a number: ``dice``, ``dice_2``.
        weights: of the parts, by name.
        parts: the values of the parts at the last call, by name: detached, **not** multiplied by their weights. For
            logging: ``{f"loss/{name}": value for name, value in loss.parts.items()}``.
    """

    name = "sum"

    def __init__(self, *losses: nn.Module) -> None:
        super().__init__()
        self.losses = nn.ModuleList()
        self.weights: dict[str, float] = {}
        self.parts: dict[str, Tensor] = {}
        for loss in losses:
            if not isinstance(loss, nn.Module):
                raise TypeError(f"LossSum: a part must be a torch.nn.Module, got {type(loss).__name__}")
            if isinstance(loss, LossSum):
                for name, part in zip(loss.names, loss.losses, strict=True):
                    self._append(part, name, loss.weights[name])
            else:
                self._append(loss, loss.name if isinstance(loss, Loss) else type(loss).__name__, 1.0)

    @property
    def names(self) -> list[str]:
        """The names of the parts, in order."""
        return list(self.weights)

    def _append(self, loss: nn.Module, name: str, weight: float) -> None:
        unique, number = name, 1
        while unique in self.weights:
            number += 1
            unique = f"{name}_{number}"
        self.losses.append(loss)
        self.weights[unique] = weight

    def _scaled(self, factor: float) -> LossSum:
        if not math.isfinite(factor):
            raise ValueError(f"a loss can be multiplied by a finite number, got {factor}")
        scaled = LossSum(self)
        scaled.weights = {name: weight * factor for name, weight in self.weights.items()}
        return scaled

    def forward(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """The weighted sum of the parts; what they take and raise is what this takes and raises."""
        values = {name: loss(y_pred, y_true) for name, loss in zip(self.names, self.losses, strict=True)}
        self.parts = {name: value.detach() for name, value in values.items()}
        terms = [value * self.weights[name] for name, value in values.items()]
        total: Tensor = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    def extra_repr(self) -> str:
        """The formula."""
        return " + ".join(f"{weight:g} * {name}" for name, weight in self.weights.items())

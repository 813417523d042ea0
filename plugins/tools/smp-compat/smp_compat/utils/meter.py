"""Running means."""

from __future__ import annotations

import math


class Meter:
    """What collects values."""

    def reset(self) -> None:
        """Forget all values."""

    def add(self, value: float) -> None:
        """Take a value."""

    def value(self) -> object:
        """What the values come to."""


class AverageValueMeter(Meter):
    """Mean and standard deviation of values, one by one (Welford, Technometrics 4:3, 1962).

    Attributes:
        mean, std, sum, n, val: of the values so far; val is the last one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Forget all values."""
        self.n, self.val = 0, 0.0
        self.sum = self.var = self.mean_old = self.m_s = 0.0
        self.mean = self.std = math.nan

    def add(self, value: float, n: int = 1) -> None:
        """Take the sum of ``n`` values."""
        self.val, self.sum, self.var, self.n = value, self.sum + value, self.var + value * value, self.n + n
        if self.n == 0:
            self.mean = self.std = math.nan
        elif self.n == 1:
            self.mean, self.std, self.mean_old, self.m_s = self.sum, math.inf, self.sum, 0.0
        else:
            self.mean = self.mean_old + (value - n * self.mean_old) / self.n
            self.m_s += (value - self.mean_old) * (value - self.mean)
            self.mean_old = self.mean
            self.std = math.sqrt(self.m_s / (self.n - 1))

    def value(self) -> tuple[float, float]:
        """Mean and standard deviation."""
        return self.mean, self.std

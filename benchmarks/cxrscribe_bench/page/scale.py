"""Where a value stands on an axis, and which values the axis names."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_WIDE: Final = 3.0
"""From here on, a logarithmic axis is labelled 1, 2, 5, 10 instead of in even steps."""


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`."""

    low: float
    high: float
    is_log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.is_log and self.low <= 0):
            raise ValueError(f"an axis can't go from {self.low} to {self.high}")

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high end, and never beyond them."""
        value = min(max(value, self.low), self.high)
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, about: int = 5) -> tuple[float, ...]:
        """Round values within, about so many."""
        if self.is_log and self.high / self.low > _WIDE:
            return self._decades(about)
        step = _round_step((self.high - self.low) / about)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return tuple(float(f"{number * step:.6g}") for number in range(first, last + 1))

    def _decades(self, about: int) -> tuple[float, ...]:
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        ticks: tuple[float, ...] = ()
        for multiples in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
            ticks = tuple(
                tick
                for exponent in exponents
                for tick in (float(f"{multiple}e{exponent}") for multiple in multiples)
                if self.low <= tick <= self.high
            )
            if len(ticks) <= about + 2:
                break
        return ticks


def ratio_scale(values: Iterable[float]) -> Scale:
    """Logarithmic, with 1 in it, and never so fine that a difference of a few percent looks large."""
    finite = [0.9, 1.5, *(value for value in values if value > 0 and math.isfinite(value))]
    return Scale(min(finite) / 1.04, max(finite) * 1.04, is_log=True)


def scale_from_zero(values: Iterable[float]) -> Scale:
    """Linear from zero to a little above the largest."""
    return Scale(0.0, (max(values, default=0.0) or 1.0) * 1.04)


def spread_scale(values: Iterable[float], margin: float = 1.0, wide: float = 8.0) -> Scale:
    """From the smallest to the largest positive value: logarithmic where they lie `wide` times apart."""
    positive = [value for value in values if value > 0 and math.isfinite(value)] or [1.0]
    low, high = min(positive) / margin, max(positive) * margin
    if low == high:
        low, high = low / 2, high * 1.5
    return Scale(low, high, is_log=high / low >= wide)


def _round_step(step: float) -> float:
    """The round number that is nearest, by ratio."""
    power = 10.0 ** math.floor(math.log10(step))
    return min((power * each for each in (1, 2, 5, 10)), key=lambda each: abs(math.log(each / step)))

"""How figures are written for people: three digits, a unit that fits, an interval in words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final

from cxrscribe_bench.results.samples import Estimate

_NEEDLESS_ZEROS: Final = re.compile(r"\.0+(?!\d)|(?<=\.)(\d*?)0+(?!\d)")
_TIMES: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_SIZES: Final = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


def significant(value: float, digits: int = 3) -> str:
    """A number with so many digits, never in powers of ten: 0.0421, 1.24, 12.4, 12,300."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(decimals, 0)}f}"


def round_figure(text: str) -> str:
    """A figure that is meant to be round, as on an axis: 0.500× becomes 0.5×, 10.0 ms becomes 10 ms."""
    return _NEEDLESS_ZEROS.sub(r"\1", text)


def times(value: float) -> str:
    """A ratio: 12.4×."""
    return f"{significant(value)}×"


def percent(value: float) -> str:
    """A share: 0.873 is 87.3 %."""
    return f"{significant(100 * value)} %"


def duration(seconds: float) -> str:
    """Seconds with a unit that fits: 9.13 ms."""
    return _with_unit(seconds, _TIMES)


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds, without the unit, for columns that name it."""
    return significant(1e3 * seconds)


def byte_size(count: float) -> str:
    """Bytes with a unit of powers of 1,000: 273 MB."""
    return _with_unit(count, _SIZES)


def interval(estimate: Estimate, figure: Callable[[float], str] = significant) -> str:
    """Where an estimate lies: `11.9 to 12.8`, or that one sample can't tell."""
    if estimate.is_exact:
        return "no spread known"
    return f"{figure(estimate.low)} to {figure(estimate.high)}"


def _with_unit(value: float, units: tuple[tuple[float, str], ...]) -> str:
    size, unit = next((each for each in units if abs(value) >= each[0]), units[-1])
    return f"{significant(value / size)} {unit}"

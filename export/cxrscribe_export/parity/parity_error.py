"""How far two arrays are apart, and what is said of graphs that don't give what they should."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.evidence import OutputParity
from cxrscribe.errors import CxrscribeError


def largest_difference(reference: NDArray[Any], other: NDArray[Any]) -> float:
    """Largest absolute difference of any element; infinite where shapes differ or a number isn't finite."""
    if reference.shape != other.shape or not (np.isfinite(reference).all() and np.isfinite(other).all()):
        return float("inf")
    return float(np.abs(reference.astype(np.float64) - other.astype(np.float64)).max(initial=0.0))


_FAILURES_SHOWN: Final = 10


class ParityError(CxrscribeError, RuntimeError):
    """The exported graphs don't give what the Paddle networks give; no bundle was written."""


def refuse(failures: Sequence[str]) -> None:
    """Raise ParityError naming the failures, if there are any."""
    if not failures:
        return
    shown = "\n  ".join(failures[:_FAILURES_SHOWN])
    more = len(failures) - _FAILURES_SHOWN
    rest = f"\n  and {more} more" if more > 0 else ""
    raise ParityError(
        f"the exported graphs differ from Paddle; no bundle was written:\n  {shown}{rest}\n"
        "docs/export.md says what to look at"
    )


def beyond_tolerance(records: tuple[OutputParity, ...]) -> Iterator[str]:
    """What is out of tolerance, in words."""
    for record in records:
        if not record.largest_difference <= record.tolerance:
            yield (
                f"{record.output} of {record.graph} differs by {record.largest_difference:.3g} in a batch of "
                f"{record.rows}, tolerance {record.tolerance:.3g}"
            )

"""What is said of graphs that don't give what they should."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from cxrscribe.bundle.evidence import OutputParity
from cxrscribe.errors import CxrscribeError

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

"""What MLPerf LoadGen says of a run: its summary, and the two lines of it that others are made from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxrscribe.errors import InputError

FILE: Final = "mlperf_log_summary.txt"

_VERDICT: Final = re.compile(r"^Result is : (\w+)\s*$", re.MULTILINE)
# The figure of a scenario is on the line below that of the mode.
_METRIC: Final = re.compile(r"^Mode +: .*\n(?P<name>.*?) *: (?P<value>[-+.\deE]+) *$", re.MULTILINE)


@dataclass(frozen=True)
class LoadGenSummary:
    """One run, in LoadGen's own words."""

    text: str
    """All that it wrote, unchanged."""
    verdict: str
    """`VALID` or `INVALID`."""
    metric: str
    """What it calls the scenario's figure: say `90.0th percentile latency (ns)`."""
    metric_value: float

    @property
    def is_valid(self) -> bool:
        """Whether LoadGen says so."""
        return self.verdict == "VALID"

    @classmethod
    def of(cls, text: str) -> LoadGenSummary:
        """Find verdict and figure in a summary. Raises InputError where it has none."""
        verdict = _VERDICT.search(text)
        metric = _METRIC.search(text)
        if verdict is None or metric is None:
            start = text[:200]
            raise InputError(
                f"no verdict and figure in LoadGen's summary, which starts {start!r}; see its logs"
            )
        return cls(text, verdict[1], metric["name"], float(metric["value"]))

    @classmethod
    def read(cls, folder: Path) -> LoadGenSummary:
        """The summary in a folder of LoadGen's logs. Raises InputError where there is none."""
        path = folder / FILE
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"LoadGen left no summary at {path} ({error.strerror})") from None
        return cls.of(text)

"""Counts and times of the service, as OpenMetrics text."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

from cxrscribe.stats import DecodingStats

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_STATM: Final = Path("/proc/self/statm")


class Histogram:
    """How many of the values were at most each bound. For several threads."""

    def __init__(self, bounds: Sequence[float] = _SECONDS) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = Lock()

    def add(self, value: float) -> None:
        """One more value."""
        with self._lock:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._sum += value

    def lines(self, name: str) -> Iterator[str]:
        """The samples of it."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        so_far = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), counts, strict=True):
            so_far += count
            yield f'{name}_bucket{{le="{bound}"}} {so_far}'
        yield f"{name}_count {so_far}"
        yield f"{name}_sum {total:.6f}"


@dataclass
class Gauges:
    """What is the case at the moment."""

    is_ready: bool = False
    waiting: int = 0
    """Films and studies that were accepted and have no answer yet."""
    searching: int = 0
    held_bytes: int = 0
    connections: int = 0


@dataclass
class Metrics:
    """What has happened since the service began."""

    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """By route, method and status; 499 for a client that went away."""
    errors: Counter[str] = field(default_factory=Counter)
    """Films without a report, and refused requests, by reason."""
    films: int = 0
    """That came with a request and were accepted."""
    reports: int = 0
    body_bytes: int = 0
    refused_connections: int = 0
    """Closed to make room, or for want of it."""
    reading: Histogram = field(default_factory=Histogram)
    """Seconds that each film took to read."""
    whole: Histogram = field(default_factory=Histogram)
    """Seconds from the first byte of a request for reports to its answer."""
    decoding: DecodingStats = field(default_factory=DecodingStats)
    """Of the queue."""

    def text(self, now: Gauges) -> str:
        """All of it, as OpenMetrics 1.0."""
        return "".join(f"{line}\n" for line in self._lines(now))

    def _lines(self, now: Gauges) -> Iterator[str]:
        yield from _head("cxrscribe_requests", "counter", "Requests answered.")
        for (route, method, status), count in sorted(self.requests.items()):
            labels = f'route="{route}",method="{method}",status="{status}"'
            yield f"cxrscribe_requests_total{{{labels}}} {count}"
        yield from _head(
            "cxrscribe_errors", "counter", "Films without a report and requests refused, by reason."
        )
        for reason, count in sorted(self.errors.items()):
            yield f'cxrscribe_errors_total{{reason="{reason}"}} {count}'
        stats = self.decoding
        for name, value, about in (
            ("films", self.films, "Films of accepted requests."),
            ("reports", self.reports, "Reports given out."),
            ("body_bytes", self.body_bytes, "Bytes of bodies."),
            ("refused_connections", self.refused_connections, "Connections closed for want of room."),
            ("words", stats.words, "Words of the best reports."),
            ("steps", stats.steps, "Calls of the decoder's step."),
            ("step_rows", stats.rows, "Hypothesis rows of these calls: by steps, the rows per step."),
            ("encode_seconds", f"{stats.encode_seconds:.6f}", "Seconds in the encoder."),
            ("decode_seconds", f"{stats.decode_seconds:.6f}", "Seconds in the search."),
        ):
            yield from _head(f"cxrscribe_{name}", "counter", about)
            yield f"cxrscribe_{name}_total {value}"
        for name, value, about in (
            ("ready", int(now.is_ready), "1 when requests are taken."),
            ("waiting", now.waiting, "Films and studies accepted and not answered."),
            ("searching", now.searching, "Of these, searched for at the moment."),
            ("held_bytes", now.held_bytes, "Bodies in memory."),
            ("connections", now.connections, "Open connections."),
        ):
            yield from _head(f"cxrscribe_{name}", "gauge", about)
            yield f"cxrscribe_{name} {value}"
        for name, histogram, about in (
            ("read_seconds", self.reading, "Seconds to read a film."),
            ("request_seconds", self.whole, "Seconds from a request for reports to its answer."),
        ):
            yield from _head(f"cxrscribe_{name}", "histogram", about)
            yield from histogram.lines(f"cxrscribe_{name}")
        memory = resident_bytes()
        if memory is not None:
            yield from _head(
                "process_resident_memory_bytes", "gauge", "Without the processes that read films."
            )
            yield f"process_resident_memory_bytes {memory}"
        yield "# EOF"


def resident_bytes() -> int | None:
    """Memory of this process; None where the system doesn't say."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _head(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# TYPE {name} {kind}"
    yield f"# HELP {name} {about}"

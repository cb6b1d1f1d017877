"""Load for long, and memory over time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from cxrscribe_bench.serving.load import closed_loop
from cxrscribe_bench.serving.service import Memory, ServedProcess


@dataclass
class Soak:
    """What a service took and gave, over time."""

    points: list[tuple[float, int, Memory]] = field(default_factory=list)
    """Seconds since the beginning, reports so far, and memory then."""
    wrong: int = 0
    """Reports with other words than they should have, and requests without a report."""

    @property
    def growth(self) -> float:
        """Memory at the end by memory at a quarter of the time, readers included."""
        first, last = (self._total(place) for place in (len(self.points) // 4, -1))
        return last / first if first else 0.0

    def to_json(self) -> dict[str, object]:
        """Numbers alone."""
        return {
            "seconds": round(self.points[-1][0], 1),
            "reports": self.points[-1][1],
            "wrong": self.wrong,
            "memory_end_over_quarter": self.growth,
            "points": [
                {"seconds": round(seconds, 1), "reports": reports, **memory.to_json()}
                for seconds, reports, memory in self.points
            ],
        }

    def _total(self, place: int) -> int:
        memory = self.points[place][2]
        return memory.resident + memory.readers


def soak(
    service: ServedProcess,
    films: Sequence[bytes],
    texts: Sequence[str],
    clients: int,
    seconds: float,
    when_measured: Callable[[float, int, Memory], object] = lambda *_: None,
) -> Soak:
    """Keep so many clients asking for that long, and look at the memory about fifty times."""
    found = Soak()
    began, reports, requests = perf_counter(), 0, 4 * clients
    while perf_counter() - began < seconds or len(found.points) < 2:
        served = asyncio.run(closed_loop(service.port, films, texts, clients, requests))
        reports += len(served.latencies)
        found.wrong += served.wrong + requests - len(served.latencies)
        requests = max(4 * clients, int(served.rate * seconds / 50))
        found.points.append((perf_counter() - began, reports, service.memory()))
        when_measured(*found.points[-1])
    return found

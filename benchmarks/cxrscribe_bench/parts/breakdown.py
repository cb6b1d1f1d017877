"""Where the time goes from film to text, beside what the machine could do."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxrscribe import DecodingStats
from cxrscribe.bundle.files import FP32
from cxrscribe.cli.progress import progress
from cxrscribe.errors import CxrscribeError
from cxrscribe_bench.floor import floor
from cxrscribe_bench.floor.floor import open_floor
from cxrscribe_bench.groups import FLOOR, STAGES
from cxrscribe_bench.parts import stages
from cxrscribe_bench.parts.stages import open_stages
from cxrscribe_bench.results.ledger import Ledger
from cxrscribe_bench.results.measurement import Label, Measurement
from cxrscribe_bench.timing.race import Lap, Note, take_turns
from cxrscribe_bench.timing.worker import Opener, Reply, Worker
from cxrscribe_bench.workload import Workload

_ON_FEATURES: Final = ("search", "decoder products", "decoder bytes")
"""All others are on films."""


@dataclass(frozen=True)
class _Part:
    """One stage, or one floor."""

    group: str
    name: str
    items: int
    labels: dict[str, Label]


@dataclass(frozen=True)
class Breakdown:
    """The stages of our runtime at these precisions, and the floor, all timed in turn."""

    workload: Workload
    rows: int
    """Rows of features to search on."""
    precisions: tuple[str, ...]
    rounds: int
    ledger: Ledger
    logs: Path
    note: Note

    def measure(self) -> None:
        """Time them and write them down."""
        parts: dict[str, _Part] = {}
        laps: list[Lap] = []
        with ExitStack() as stack:
            for precision in self.precisions:
                worker = self._open(stack, f"stages-{precision}", open_stages, self.workload, precision)
                for stage, method in stages.METHODS.items():
                    labels: dict[str, Label] = {
                        "stage": stage,
                        "precision": precision,
                        **stages.cores(self.workload, stage, precision),
                    }
                    part = _Part(STAGES, f"{stage}/{precision}", self._items(stage), labels)
                    parts[part.name] = part
                    laps += _laps(part, worker, method, (0, part.items))
            worker = self._open(stack, "floor", open_floor, self.workload)
            for name, method in floor.METHODS.items():
                part = parts[name] = _Part(FLOOR, name, self._items(name), {"precision": FP32})
                laps += _laps(part, worker, method, (0, part.items))
            self.note(f"stages and floor: {self.rounds} rounds of {len(laps)}")
            turns = take_turns(laps, progress(range(self.rounds + 1), label="stages and floor"))
        for name, why in turns.failed.items():
            self.ledger.leave_out(name, why, is_ours=parts[name].group == STAGES)
        self.ledger.measurements += [
            _measurement(parts[name], replies) for name, replies in turns.replies.items()
        ]

    def _items(self, name: str) -> int:
        return self.rows if name in _ON_FEATURES else len(self.workload.films)

    def _open(self, stack: ExitStack, name: str, opener: Opener, *arguments: object) -> Worker | None:
        try:
            return stack.enter_context(Worker(name, opener, *arguments, log=self.logs / f"{name}.log"))
        except CxrscribeError as error:
            self.ledger.leave_out(name, str(error), is_ours=opener is open_stages)
            return None


def _laps(part: _Part, worker: Worker | None, method: str, arguments: tuple[int, ...]) -> list[Lap]:
    """One lap, or none where the worker couldn't be opened."""
    return [] if worker is None else [Lap(part.name, worker, method, lambda number: arguments)]


def _measurement(part: _Part, replies: list[Reply]) -> Measurement:
    stats = [reply.value for reply in replies if isinstance(reply.value, DecodingStats)]
    return Measurement(
        group=part.group,
        name=part.name,
        seconds=tuple(reply.seconds for reply in replies),
        items=part.items,
        labels=part.labels,
        words=stats[0].words if stats else None,
        steps=stats[0].steps if stats else None,
        peak_bytes=max(reply.peak_bytes for reply in replies) or None,
    )

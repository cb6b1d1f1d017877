"""What a run tells people and monitoring while it goes on.

Numbers and reasons only; none of it is part of the truth.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

from cxrscribe.archive import layout
from cxrscribe.archive.places.place import Place
from cxrscribe.archive.run import Run
from cxrscribe.archive.scoring import Receipt
from cxrscribe.archive.status import Status, Watch
from cxrscribe.errors import InputError

_PREFIX: Final = "cxrscribe_score"
_SECONDS: Final = 10.0
"""Between two looks."""


class EventLog:
    """One line a shard, in a file that this process alone writes."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._name = layout.events_file(secrets.token_hex(6))

    def write(self, receipt: Receipt) -> None:
        """Add a receipt. A disk that is full loses the line, not the run."""
        with suppress(InputError):
            self._place.append(self._name, json.dumps(receipt.to_json()).encode("ascii") + b"\n")


def write_metrics(place: Place, status: Status) -> None:
    """Write `progress.prom` anew, for node_exporter's textfile collector."""
    with suppress(InputError):
        place.replace(layout.PROGRESS, "".join(f"{line}\n" for line in metrics(status)).encode("ascii"))


def metrics(status: Status) -> Iterator[str]:
    """The lines of a Prometheus text file."""
    yield from _metric("films_planned", "Films of the run.", status.films)
    yield from _metric("films_done", "Films that have a row.", status.done)
    yield from _metric("films_ok", "Films that have a report.", status.ok)
    yield f"# HELP {_PREFIX}_films_quarantined Films that have none, by reason."
    yield f"# TYPE {_PREFIX}_films_quarantined gauge"
    for reason, count in status.reasons.items():
        yield f'{_PREFIX}_films_quarantined{{reason="{reason}"}} {count}'
    yield from _metric("films_duplicate", "Films with the content of an earlier one.", status.duplicates)
    if status.sr_documents is not None and status.sr_not_possible is not None:
        yield from _metric("sr_documents", "Structured reports.", status.sr_documents)
        yield f"# HELP {_PREFIX}_sr_not_possible Films whose report can be no structured one, by reason."
        yield f"# TYPE {_PREFIX}_sr_not_possible gauge"
        for reason, count in status.sr_not_possible.items():
            yield f'{_PREFIX}_sr_not_possible{{reason="{reason}"}} {count}'
    yield from _metric("bytes_read", "Bytes of the films that are done.", status.bytes)
    yield from _metric("shards_planned", "Shards of the run.", status.shards)
    yield from _metric("shards_done", "Shards that have their part.", status.shards_done)
    yield from _metric("shards_redone", "Shards that were begun more than once.", status.shards_redone)
    if status.pace is not None:
        yield from _metric("films_per_second", "Recent films a second.", status.pace.recent)
        yield from _metric(
            "seconds_left", "Expected seconds until the run is done.", status.pace.seconds_left
        )


def _metric(name: str, about: str, value: float) -> Iterator[str]:
    yield f"# HELP {_PREFIX}_{name} {about}"
    yield f"# TYPE {_PREFIX}_{name} gauge"
    yield f"{_PREFIX}_{name} {value}"


class Progress:
    """Looks at a run every ten seconds, on a thread of its own, and says what it sees; a context manager.

    At its end it looks once more.
    """

    def __init__(self, run: Run, show: Callable[[Status], object]) -> None:
        """`show` is called with each status; `progress.prom` is written in any case."""
        self._place = run.place
        self._watch = Watch(run)
        self._show = show
        self._ended = Event()
        self._thread = Thread(target=self._run, name="cxrscribe-progress", daemon=True)

    def look(self) -> Status:
        """How far the run is now."""
        status = self._watch.look()
        write_metrics(self._place, status)
        self._show(status)
        return status

    def _run(self) -> None:
        while True:
            with suppress(InputError):  # a damaged part: verify says which
                self.look()
            if self._ended.wait(_SECONDS):
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        with suppress(InputError):
            self.look()

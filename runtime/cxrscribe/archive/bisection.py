"""Scoring a shard that has brought down whoever scored it: in processes of its own, until the film is found.

A process scores films one after the other and hands each row over at once. If it dies, the rows that it gave
stay, and what is left is halved, down to the one film that can't be scored alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from cxrscribe.archive.child import Child, SilentError
from cxrscribe.archive.plan import PlannedFilm
from cxrscribe.archive.quarantine import FAULTS, FaultError, QuarantinedError
from cxrscribe.archive.rows.row import Row, film_row
from cxrscribe.archive.run import Run
from cxrscribe.archive.stream import Made
from cxrscribe.archive.structured_reports import document_of
from cxrscribe.engine import Engine
from cxrscribe.errors import InputError, Reason

FILM_SECONDS: Final = 60.0
"""What a film may take, alone in its process."""

_TRIAL: Final = "cxrscribe.archive.trial"
_START_SECONDS: Final = 300.0
_FILMS_AT_ONCE: Final = 4
"""Few, so that few are under suspicion when a process dies."""
_MESSAGES: Final = {
    Reason.KILLED_THE_READER: "ends the process that scores it, also alone; it is damaged: fetch it again",
    Reason.TIMED_OUT: "is not done after a minute, also alone; it is damaged: fetch it again",
}


def isolated_rows(
    run: Run, shard: int, films: Sequence[PlannedFilm], engine: Engine, film_seconds: float = FILM_SECONDS
) -> Iterator[Made | FaultError]:
    """The rows of these films of a shard, in order.

    If they can't be scored for now, the last thing is a FaultError.

    Raises InputError when no process can be started that scores films at all.
    """
    waiting = [films]
    while waiting:
        group = waiting.pop()
        count = 0
        with _Trial(run, shard, group, engine, film_seconds) as trial:
            for row in trial.rows():
                yield row
                if isinstance(row, FaultError):
                    return
                count += 1
        rest = group[count:]
        if len(rest) == 1:
            yield _given_up(run, shard, rest[0], trial.death)
        elif rest:
            suspects = min((len(rest) + 1) // 2, 3 * _FILMS_AT_ONCE)  # in the search, decoded, and being read
            waiting += [rest[suspects:], rest[:suspects]]


class _Trial:
    """One process, and how it ended."""

    def __init__(
        self, run: Run, shard: int, films: Sequence[PlannedFilm], engine: Engine, film_seconds: float
    ) -> None:
        self._film_seconds = film_seconds
        self._left = len(films)
        self.death = Reason.KILLED_THE_READER
        """What the film has done that it died over, if it died."""
        self._child = Child(
            _TRIAL,
            {
                "run": run.place.url,
                "key": str(run.key_file) if run.key_file else None,
                "indications": run.indications,
                "shard": shard,
                "rows": [film.row for film in films],
                "batch_size": _FILMS_AT_ONCE,
                "engine": engine.to_json(),
            },
        )

    def rows(self) -> Iterator[Made | FaultError]:
        """What it has got done until it ended, by itself or not."""
        self._wait_until_ready()
        while self._left:
            try:
                said = self._child.receive(self._film_seconds)
            except SilentError:
                self.death = Reason.TIMED_OUT
                return
            if said is None:
                return
            self._left -= 1
            yield (
                FAULTS[said.text("kind")](said.text("fault"))
                if "fault" in said.names()
                else Made(Row.from_json(said.object("row")), document_of(said))
            )

    def _wait_until_ready(self) -> None:
        try:
            said = self._child.receive(_START_SECONDS)
        except SilentError:
            said = None
        if said is None or "ready" not in said.names():
            why = said.text("error") if said is not None else f"exit code {self._child.returncode}"
            raise InputError(f"the process that scores films by themselves doesn't start: {why}")

    def __enter__(self) -> _Trial:
        return self

    def __exit__(self, *_: object) -> None:
        if self.death is Reason.TIMED_OUT:
            self._child.kill()
        elif self._left and self._child.returncode is None:
            self._child.end()
        else:  # its decoders go with it, and their folders
            self._child.let_end()


def _given_up(run: Run, shard: int, film: PlannedFilm, reason: Reason) -> Made:
    identity = run.identity
    error = QuarantinedError(reason, _MESSAGES[reason])
    told = identity.indications.told(error)
    return Made(film_row(shard, film, None, error, identity.disclaimer, identity.choice, run.names, told))

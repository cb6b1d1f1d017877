"""The line that shows how far a run is, on terminals only."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from cxrscribe.cli.score.summary import duration

if TYPE_CHECKING:
    from cxrscribe.archive.status import Status


class ScoreBar:
    """A line on stderr that is written anew; nothing where stderr is no terminal. A context manager."""

    def __init__(self) -> None:
        self._width = 0
        self._is_shown = sys.stderr is not None and sys.stderr.isatty()

    def show(self, status: Status) -> None:
        """Show how far the run is now."""
        if self._is_shown:
            line = progress_line(status)
            click.echo(f"\r{line.ljust(self._width)}", nl=False, err=True)
            self._width = len(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._width:
            click.echo(err=True)


def progress_line(status: Status) -> str:
    """`12,000 of 1,000,000 films (1 %), 3 quarantined; 24.1 a second, 11 h 23 min left (10 h to 13 h)`."""
    share = 100 * status.done // max(1, status.films)
    line = f"{status.done:,} of {status.films:,} films ({share} %), {status.quarantined:,} quarantined"
    pace = status.pace
    if pace is None or status.done == status.films:
        return line
    least, most = duration(pace.earliest), duration(pace.latest)
    return f"{line}; {pace.recent:.1f} a second, {duration(pace.seconds_left)} left ({least} to {most})"

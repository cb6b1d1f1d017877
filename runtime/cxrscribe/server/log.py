"""The log: a JSON object a line, of what was asked and how it ended, never of whom.

No name of a film, no address as it was asked, no text, no report; no message that others have written.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Final

from cxrscribe.printable import printable

_SILENT_SECONDS: Final = 1.0
_LIBRARIES: Final = ("uvicorn.error", "asyncio")

Write = Callable[[str], None]


class Log:
    """Writes lines to stderr, or to where it is told."""

    def __init__(self, write: Write | None = None) -> None:
        self._write = write or _to_stderr

    def event(self, event: str, **fields: object) -> None:
        """One line: `time`, `event`, and these."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._write(json.dumps({"time": now, "event": event, **fields}) + "\n")

    def warning(self, message: str) -> None:
        """Something that whoever runs the service has to know."""
        self.event("warning", message=printable(message))

    def fault(self, error: BaseException | None, where: str, **fields: object) -> None:
        """A defect: of which kind, and in which lines of code. Not its message, which may hold anything."""
        kind = None if error is None else type(error).__name__
        frames = [] if error is None else traceback.extract_tb(error.__traceback__)
        lines = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
        self.event("fault", where=where, error=kind, lines=lines, **fields)


class _Faults(logging.Handler):
    """What libraries log as an error becomes a line of the log, without its words."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.ERROR)
        self._log = log
        self._last: tuple[str, float] = ("", 0.0)
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """One line; of those of one kind that come in a row, one a second."""
        error = record.exc_info[1] if record.exc_info else None
        kind, now = f"{record.name} {type(error).__name__}", monotonic()
        if self._last[0] == kind and now < self._last[1] + _SILENT_SECONDS:
            self._left_out += 1
            return
        self._log.fault(error, record.name, left_out=self._left_out)
        self._last, self._left_out = (kind, now), 0


@contextmanager
def libraries_log_to(log: Log) -> Iterator[None]:
    """While the service runs, let what the server's libraries log go there, and nowhere else."""
    handler = _Faults(log)
    before = []
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        before.append((logger, logger.handlers, logger.propagate))
        logger.handlers, logger.propagate = [handler], False
    try:
        yield
    finally:
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate


def _to_stderr(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()

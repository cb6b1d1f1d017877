"""The standard streams while a command runs: UTF-8 whatever the locale, and known to be lost when they are.

What can't be written to stderr is forgotten: no report is lost for want of a place for remarks. What can't be
written to stdout ends the command, quietly where its reader has gone.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDIN: Final = 0
_STDOUT: Final = 1
_STDERR: Final = 2


class StdoutLostError(Exception):
    """stdout can't be written. No OSError: whoever expects one of a file must not take this for it."""

    def __init__(self, error: OSError | None) -> None:
        reason = "it is closed" if error is None else error.strerror or type(error).__name__
        super().__init__(f"stdout can't be written ({reason}); give --out, or another place to write to")
        gone = (errno.EPIPE, errno.EINVAL) if os.name == "nt" else (errno.EPIPE,)
        self.reader_has_gone = error is not None and error.errno in gone


@contextmanager
def own_streams() -> Iterator[None]:
    """Put streams in place of sys.stdout and sys.stderr that do what this module says.

    Streams that a caller has put there are left alone.
    """
    _occupy_standard_numbers()
    before = sys.stdout, sys.stderr
    if _is_standard(sys.stdout, _STDOUT):
        sys.stdout = _own(sys.stdout, is_vital=True)
    if _is_standard(sys.stderr, _STDERR):
        sys.stderr = _own(sys.stderr, is_vital=False)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(StdoutLostError, OSError, ValueError):
                stream.flush()
        sys.stdout, sys.stderr = before


def _occupy_standard_numbers() -> None:
    """Let no file that is opened later get the number of a standard stream that is closed.

    Else what libraries print would go into that file.
    """
    for number in (_STDIN, _STDOUT, _STDERR):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _is_standard(stream: TextIO | None, number: int) -> bool:
    if stream is None:  # it was closed when Python started
        return True
    try:
        return hasattr(stream, "buffer") and stream.fileno() == number
    except (OSError, ValueError):
        return False


def _own(stream: TextIO | None, *, is_vital: bool) -> TextIO:
    raw = None
    if stream is not None:
        with suppress(OSError, ValueError):
            stream.flush()
        raw = getattr(stream.buffer, "raw", stream.buffer)
    is_terminal = raw is not None and raw.isatty()
    return io.TextIOWrapper(
        io.BufferedWriter(_Guarded(raw, is_vital=is_vital)),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=is_terminal or not is_vital,
    )


class _Guarded(io.RawIOBase):
    """A stream that fails once at most: after that, what is written to it is forgotten."""

    def __init__(self, raw: Any, *, is_vital: bool) -> None:
        """`raw`: a RawIOBase, or None where the stream was closed. `is_vital`: whether it fails at all."""
        self._raw = raw
        self._is_vital = is_vital
        self._is_lost = False

    @property
    def name(self) -> object:
        return getattr(self._raw, "name", "")

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        if self._raw is None:
            raise io.UnsupportedOperation("fileno")
        return int(self._raw.fileno())

    def isatty(self) -> bool:
        return self._raw is not None and self._raw.isatty()

    def write(self, content: ReadableBuffer) -> int:
        size = memoryview(content).nbytes
        if self._is_lost:
            return size
        if self._raw is None:
            return self._lose(size, None)
        try:
            while (written := self._raw.write(content)) is None:  # whoever shares it has made it non-blocking
                select.select((), (self._raw,), ())
        except OSError as error:
            return self._lose(size, error)
        return int(written)

    def _lose(self, size: int, error: OSError | None) -> int:
        self._is_lost = True
        if self._is_vital:
            raise StdoutLostError(error)
        return size

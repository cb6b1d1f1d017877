"""Films whose decoders can crash, decoded in processes of their own: none of them ends the program.

Decoders of compressed DICOM are native code that damaged files have brought to abort, to follow null pointers
and to loop for ever. Here that costs the film: its error says what happened, another process takes the next.
"""

from __future__ import annotations

import atexit
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import local
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cxrscribe.arguments import shown
from cxrscribe.errors import FilmError, InputError, Reason
from cxrscribe.films.dicom import is_dicom, transfer_syntax
from cxrscribe.films.frames import NATIVE_SYNTAXES
from cxrscribe.films.levels import Picture
from cxrscribe.forks import ForkSafeLock
from cxrscribe.json_object import finite_number

if TYPE_CHECKING:
    from cxrscribe.films.decoder_process import DecoderProcess, FilmLimits

Answer = TypeVar("Answer")

_IDLE_KEPT: Final = 8  # as many as there are readers
_PATIENCE: Final = 0.5
"""Seconds that a film which nobody waits for may still take. Another process takes as long to start."""


class Isolate(StrEnum):
    """Which films are decoded in processes of their own."""

    NONE = "none"
    COMPRESSED = "compressed"
    """DICOM files with compressed pixels."""
    ALL = "all"
    """Every file."""


@dataclass(frozen=True)
class Isolation:
    """Which films are decoded in processes of their own, and what each may take there.

    Processor time and memory are limited where the system can: Linux both, macOS processor time. Wall time is
    limited everywhere. Raises InputError when `which` is unknown, or a limit isn't above 0.
    """

    which: str = Isolate.COMPRESSED
    """`none`, `compressed` (DICOM with compressed pixels) or `all`."""
    cpu_seconds: float = 10.0
    wall_seconds: float = 60.0
    memory_bytes: int = 2 << 30
    """For a film of 100 megapixels, 1.2 GB were enough."""

    def __post_init__(self) -> None:
        if not isinstance(self.which, str) or self.which not in tuple(Isolate):
            raise InputError(f"isolation is {shown(self.which)}; there are {', '.join(Isolate)}")
        for name, most in (("cpu_seconds", 1e6), ("wall_seconds", 1e6), ("memory_bytes", 1 << 50)):
            number = finite_number(getattr(self, name))
            if number is None or not 0 < number <= most:
                given = shown(getattr(self, name))
                raise InputError(f"isolation {name} is {given}; give more than 0 and at most {most:,.0f}")
            object.__setattr__(self, name, number)
        object.__setattr__(self, "memory_bytes", math.ceil(self.memory_bytes))

    def concerns(self, content: bytes) -> bool:
        """Whether a file of this content, or that begins like this, is decoded in a process of its own."""
        if self.which != Isolate.COMPRESSED:
            return self.which == Isolate.ALL
        # What can't be understood here may be understood, and unpacked, by the decoder.
        return is_dicom(content) and transfer_syntax(content) not in NATIVE_SYNTAXES


class Decoding:
    """Films that are decoded for one purpose, and can be given up together when nobody waits for them."""

    def __init__(self) -> None:
        self._busy: set[DecoderProcess] = set()
        self._changing = ForkSafeLock()
        self._is_given_up = self._is_let_go = False

    def take_part(self) -> None:
        """Let the films that this thread has decoded from now on be part of it."""
        _thread.decoding = self

    @contextmanager
    def busy(self, process: DecoderProcess) -> Iterator[None]:
        """While `process` decodes a film of it."""
        with self._changing:
            self._busy.add(process)
            if self._is_given_up:
                process.give_up()
            is_let_go = self._is_let_go
        if is_let_go:
            self._give_up_soon()
        try:
            yield
        finally:
            with self._changing:
                self._busy.discard(process)

    def give_up(self) -> None:
        """End the processes that decode films of it, and those that will. Each film is a FilmError."""
        with self._changing:  # one that is done meanwhile may be decoding another's film
            self._is_given_up = True
            for process in self._busy:
                process.give_up()

    def let_go(self) -> None:
        """Nobody waits for these films: as `give_up`, but what is done in a moment costs no process."""
        with self._changing:
            self._is_let_go = True
            is_busy = bool(self._busy)
        if is_busy:
            self._give_up_soon()

    def _give_up_soon(self) -> None:
        from cxrscribe.films.deadlines import deadlines

        with suppress(RuntimeError):  # there can be no thread: they are decoded to their end
            deadlines().after(_PATIENCE, self.give_up)


class _Thread(local):
    def __init__(self) -> None:
        self.decoding = Decoding()


_thread: Final = _Thread()


def read_isolated(
    film: bytes | Path,
    preprocessing: Mapping[str, Any],
    modalities: Iterable[str],
    isolation: Isolation,
    text: str | None = None,
) -> Picture:
    """The picture of a film, decoded and fitted in a process of its own.

    `film`: the content of a file, or its absolute path, which is then read there. `preprocessing`: a
    `Preprocessing` as JSON. `text`: the attribute of DICOM whose text is read too. Raises FilmError, which
    doesn't name the film, when it can't be read, or when its decoder crashes or takes more than it may.
    """
    request = {"preprocessing": preprocessing, "modalities": list(modalities), "text": text}
    return _answered(lambda process: process.read(film, request, _limits(isolation)))


def study_uid_isolated(film: bytes | Path, isolation: Isolation) -> str:
    """The StudyInstanceUID of a DICOM file, whose header is read in a process of its own.

    Raises FilmError as `read_isolated`.
    """
    return _answered(lambda process: process.study_uid(film, _limits(isolation)))


def identifiers_isolated(start: bytes, isolation: Isolation) -> Mapping[int, bytes]:
    """What `identifiers_of` finds in how a DICOM file begins, which is read in a process of its own.

    Raises FilmError as `read_isolated`.
    """
    return _answered(lambda process: process.identifiers(start, _limits(isolation)))


def _limits(isolation: Isolation) -> FilmLimits:
    from cxrscribe.films.decoder_process import FilmLimits

    return FilmLimits(isolation.cpu_seconds, isolation.wall_seconds, isolation.memory_bytes)


def _answered(ask: Callable[[DecoderProcess], Answer]) -> Answer:
    """What a process says; where one that had films before is lost, a new one is asked once more."""
    # What starts processes brings a megabyte and a half, which most programs never need.
    from cxrscribe.films.decoder_process import DecoderProcess, ProcessLostError

    reused = _idle_process()
    if reused is not None:
        try:
            return _answer_of(reused, ask)
        except ProcessLostError as lost:
            if lost.reason == Reason.TIMED_OUT:
                raise FilmError(str(lost), lost.reason) from None
            # Who knows what the films before this one have left in there: once more, in a new one.
    try:
        return _answer_of(DecoderProcess(), ask)
    except ProcessLostError as lost:
        raise FilmError(str(lost), lost.reason) from None


def _answer_of(process: DecoderProcess, ask: Callable[[DecoderProcess], Answer]) -> Answer:
    try:
        with _thread.decoding.busy(process):
            answer = ask(process)
    except BaseException as error:
        if isinstance(error, FilmError):
            _give_back(process)
        else:  # interrupted, nobody knows what it will still answer; or it is gone
            process.kill()
        raise
    _give_back(process)
    return answer


_idle: Final[deque[DecoderProcess]] = deque()


def _idle_process() -> DecoderProcess | None:
    """A process of this program; those that were there before a fork belong to another one."""
    while _idle:
        try:
            process = _idle.pop()
        except IndexError:
            return None
        if process.is_usable:
            return process
        if process.is_of_this_program:
            process.kill()
    return None


def _give_back(process: DecoderProcess) -> None:
    if not process.is_usable:
        process.kill()
    elif len(_idle) < _IDLE_KEPT:
        _idle.append(process)
    else:
        process.end()


@atexit.register
def end_processes() -> None:
    """Let those end that have nothing to do; at the program's end this is done anyway."""
    while (process := _idle_process()) is not None:
        process.end()

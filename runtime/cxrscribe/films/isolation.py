"""Films whose decoders can crash, decoded in processes of their own: none of them ends the program.

Decoders of compressed DICOM are native code that damaged files have brought to abort, to follow null pointers
and to loop for ever. Here that costs the film: its error says what happened, another process takes the next.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from threading import Event, Timer
from typing import Final

import numpy as np
import numpy.typing as npt

from cxrscribe.errors import FilmError, InputError
from cxrscribe.films.dicom import NATIVE_SYNTAXES, DicomRules, is_dicom, transfer_syntax

_WORKER: Final = "cxrscribe.films.worker"
_IDLE_KEPT: Final = 4  # as many as there are readers
_FAREWELL_SECONDS: Final = 1.0
_REMEDY: Final = "it is damaged, or reduce it first"


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
        if self.which not in tuple(Isolate):
            raise InputError(f"isolation is {self.which!r}; there are {', '.join(Isolate)}")
        for name in ("cpu_seconds", "wall_seconds", "memory_bytes"):
            if not getattr(self, name) > 0:
                raise InputError(f"isolation {name} is {getattr(self, name)!r}; it has to be above 0")

    def concerns(self, content: bytes) -> bool:
        """Whether a file of this content is decoded in a process of its own."""
        if self.which != Isolate.COMPRESSED:
            return self.which == Isolate.ALL
        # What can't be understood here may be understood, and unpacked, by the decoder.
        return is_dicom(content) and transfer_syntax(content) not in NATIVE_SYNTAXES


def read_isolated(
    content: bytes, size: tuple[int, int], rules: DicomRules, isolation: Isolation
) -> npt.NDArray[np.uint8]:
    """The picture uint8 of `size` (height, width) of a film, decoded and fitted in a process of its own.

    Raises FilmError, which doesn't name the film, when it can't be read, or when its decoder crashes or takes
    more than it may.
    """
    worker = _idle_worker() or _Worker()
    try:
        picture = worker.read(content, size, rules, isolation)
    except _WorkerLostError as lost:
        raise FilmError(str(lost)) from None
    except BaseException as error:
        if not isinstance(error, FilmError):  # interrupted: nobody knows what it will still answer
            worker.kill()
            raise
        _give_back(worker)
        raise
    _give_back(worker)
    return picture


class _WorkerLostError(Exception):
    """The process has ended: why, in words for the film that it had."""


class _Worker:
    """One process, which reads one film at a time."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        if not sys.executable or getattr(sys, "frozen", False):
            raise FilmError(
                "can't be decoded in a process of its own, for this program isn't one that Python runs; "
                "decode it here, with Isolation('none')"
            )
        paths = os.pathsep.join(path for path in sys.path if path)
        environment = {**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _WORKER],  # -P: a numpy.py in the current folder is not numpy
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        except OSError as error:
            raise FilmError(
                f"can't be decoded: no process could be started for it ({error.strerror}); free some memory"
            ) from None

    def read(
        self, content: bytes, size: tuple[int, int], rules: DicomRules, isolation: Isolation
    ) -> npt.NDArray[np.uint8]:
        """As `read_isolated`. Raises _WorkerLostError when the process has ended."""
        most = f"{isolation.memory_bytes / 1e9:.1f} GB"
        request = {
            "bytes": len(content),
            "size": size,
            "display": rules.display,
            "modalities": rules.modalities,
            "cpu_seconds": isolation.cpu_seconds,
            "memory_bytes": isolation.memory_bytes,
            "no_memory": f"takes more than {most} of memory to decode; {_REMEDY}",
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timed_out = Event()

        def give_up() -> None:
            timed_out.set()
            self._process.kill()

        late = Timer(isolation.wall_seconds, give_up)
        late.daemon = True
        late.start()
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.write(content)
            self._process.stdin.flush()
            reply = json.loads(self._process.stdout.readline() or b"null")
            pixels = self._process.stdout.read(reply["bytes"]) if reply and "bytes" in reply else b""
        except (OSError, ValueError):  # it is gone, or its memory is such that it writes nonsense
            reply = None
        finally:
            late.cancel()
        if reply is None or ("bytes" in reply and len(pixels) < reply["bytes"]):
            self.kill()
            raise _WorkerLostError(self._epitaph(isolation, timed_out.is_set()))
        if "error" in reply:
            raise FilmError(reply["error"])
        return np.frombuffer(pixels, np.uint8).reshape(size).copy()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._close()

    def end(self) -> None:
        """Let the process end, which has nothing to do."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._close()

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was still to be written can't be
                    continue
        self._process.wait()

    def _epitaph(self, isolation: Isolation, timed_out: bool) -> str:
        code = self._process.returncode
        if timed_out:
            return f"takes more than {isolation.wall_seconds:g} s to decode; {_REMEDY}"
        if code == -getattr(signal, "SIGXCPU", 0) != 0:
            return f"takes more than {isolation.cpu_seconds:g} s of processor time to decode; {_REMEDY}"
        try:
            how = signal.Signals(-code).name
        except ValueError:
            how = f"exit code {code}"
        return f"made its decoder crash ({how}); the file is damaged: fetch it again"


_idle: Final[deque[_Worker]] = deque()


def _idle_worker() -> _Worker | None:
    """A worker of this process; those that were there before a fork belong to another one."""
    while _idle:
        try:
            worker = _idle.pop()
        except IndexError:
            return None
        if worker.owner == os.getpid():
            return worker
    return None


def _give_back(worker: _Worker) -> None:
    if len(_idle) < _IDLE_KEPT:
        _idle.append(worker)
    else:
        worker.end()


@atexit.register
def _end_all() -> None:
    while (worker := _idle_worker()) is not None:
        worker.end()

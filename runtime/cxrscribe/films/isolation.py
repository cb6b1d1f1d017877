"""Films whose decoders can crash, decoded in processes of their own: none of them ends the program.

Decoders of compressed DICOM are native code that damaged files have brought to abort, to follow null pointers
and to loop for ever. Here that costs the film: its error says what happened, another process takes the next.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from threading import Event
from typing import IO, Any, Final

import numpy as np

from cxrscribe.arguments import shown
from cxrscribe.errors import FilmError, InputError, Reason
from cxrscribe.films.deadlines import deadlines
from cxrscribe.films.dicom import is_dicom, transfer_syntax
from cxrscribe.films.frames import NATIVE_SYNTAXES
from cxrscribe.films.levels import Picture
from cxrscribe.forks import Owner, keep_from_forks
from cxrscribe.json_object import finite_number
from cxrscribe.shortages import shortage_remedy

_WORKER: Final = "cxrscribe.films.worker"
_PIPE_BYTES: Final = 1 << 20
_IDLE_KEPT: Final = 4  # as many as there are readers
_FAREWELL_SECONDS: Final = 1.0
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1"}
# What a film took is kept for the next one. Else glibc gives it back, and has it zeroed anew, for each film:
# that took longer than all of the talk between the processes. More than the second number is given back.
_KEPT_MEMORY: Final = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
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


def read_isolated(
    film: bytes | Path,
    preprocessing: Mapping[str, Any],
    modalities: Iterable[str],
    isolation: Isolation,
) -> Picture:
    """The picture of a film, decoded and fitted in a process of its own.

    `film`: the content of a file, or its absolute path, which is then read there. `preprocessing`: a
    `Preprocessing` as JSON. Raises FilmError, which doesn't name the film, when it can't
    be read, or when its decoder crashes or takes more than it may.
    """
    request = {"preprocessing": preprocessing, "modalities": list(modalities)}
    reused = _idle_worker()
    if reused is not None:
        try:
            return _read_by(reused, film, request, isolation)
        except _WorkerLostError as lost:
            if lost.reason == Reason.TIMED_OUT:
                raise FilmError(str(lost), lost.reason) from None
            # Who knows what the films before this one have left in there: once more, in a new one.
    try:
        return _read_by(_Worker(), film, request, isolation)
    except _WorkerLostError as lost:
        raise FilmError(str(lost), lost.reason) from None


def _read_by(
    worker: _Worker, film: bytes | Path, request: Mapping[str, Any], isolation: Isolation
) -> Picture:
    try:
        picture = worker.read(film, request, isolation)
    except BaseException as error:
        if isinstance(error, FilmError):
            _give_back(worker)
        else:  # interrupted, nobody knows what it will still answer; or it is gone
            worker.kill()
        raise
    _give_back(worker)
    return picture


class _WorkerLostError(Exception):
    """The process has ended: why, in words for the film that it had."""

    def __init__(self, why: str, reason: Reason) -> None:
        super().__init__(why)
        self.reason = reason


class _Worker:
    """One process, which reads one film at a time."""

    def __init__(self) -> None:
        self.owner = Owner()
        keep_from_forks(self)
        if not sys.executable or getattr(sys, "frozen", False):
            raise FilmError(
                "can't be decoded in a process of its own, for this program isn't one that Python runs; "
                "decode it here, with Isolation('none')"
            )
        # Where a decoder that crashes leaves files, so that they go with it. Few decoders need one.
        self._folder: str | None = None
        with suppress(OSError):  # nowhere to write
            self._folder = mkdtemp(prefix="cxrscribe-")
        try:
            self._process = self._started()
        except OSError as error:
            raise FilmError(
                f"can't be decoded: no process could be started for it ({error.strerror}); "
                f"{shortage_remedy(error)}",
                Reason.OUT_OF_RESOURCES,
            ) from None

    def _started(self) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join(path for path in sys.path if isinstance(path, str) and path)
        own = {"PYTHONPATH": paths} | _ONE_THREAD
        if self._folder is not None:
            own |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), self._folder)
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", _WORKER],  # -P: a numpy.py in the current folder is not numpy
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**_KEPT_MEMORY, **os.environ, **own},
            )
        except OSError:
            self._remove_folder()
            raise
        for pipe in (process.stdin, process.stdout):
            _enlarge(pipe)
        return process

    def _remove_folder(self) -> None:
        if self._folder is not None:
            rmtree(self._folder, ignore_errors=True)

    def read(self, film: bytes | Path, request: Mapping[str, Any], isolation: Isolation) -> Picture:
        """As `read_isolated`. Raises _WorkerLostError when the process has ended."""
        content = b"" if isinstance(film, Path) else film
        most = f"{isolation.memory_bytes / 1e9:.1f} GB"
        line = json.dumps(
            {
                **request,
                **({"path": str(film)} if isinstance(film, Path) else {"bytes": len(content)}),
                "cpu_seconds": isolation.cpu_seconds,
                "wall_seconds": isolation.wall_seconds,
                "memory_bytes": isolation.memory_bytes,
                "no_memory": f"takes more than {most} of memory to decode; {_REMEDY}",
            }
        ).encode()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timed_out = Event()

        def give_up() -> None:
            timed_out.set()
            self._process.kill()

        with deadlines().within(isolation.wall_seconds, give_up):
            try:
                self._process.stdin.write(line + b"\n")
                self._process.stdin.write(content)
                self._process.stdin.flush()
                reply = json.loads(self._process.stdout.readline() or b"null")
                pixels = self._process.stdout.read(reply["bytes"]) if reply and "bytes" in reply else b""
            except (OSError, ValueError):  # it is gone, or its memory is such that it writes nonsense
                reply = None
        if reply is None or timed_out.is_set() or ("bytes" in reply and len(pixels) < reply["bytes"]):
            raise self._lost(isolation, timed_out.is_set())
        if "error" in reply:
            raise FilmError(reply["error"], Reason(reply["reason"]))
        return Picture(np.frombuffer(pixels, np.uint8).reshape(reply["shape"]).copy(), reply["display"])

    def is_there(self) -> bool:
        """Whether the process hasn't ended."""
        return self._process.poll() is None

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
        self._remove_folder()

    def _lost(self, isolation: Isolation, timed_out: bool) -> _WorkerLostError:
        with suppress(subprocess.TimeoutExpired):  # else it would be this program that killed it
            self._process.wait(_FAREWELL_SECONDS)
        self.kill()
        code = self._process.returncode
        if timed_out:
            why = f"takes more than {isolation.wall_seconds:g} s to decode; {_REMEDY}"
        elif code == -getattr(signal, "SIGXCPU", 0) != 0:
            why = f"takes more than {isolation.cpu_seconds:g} s of processor time to decode; {_REMEDY}"
        else:
            try:
                how = signal.Signals(-code).name
            except ValueError:
                how = f"exit code {code}"
            why = f"made its decoder crash ({how}); the file is damaged: fetch it again"
            return _WorkerLostError(why, Reason.KILLED_THE_READER)
        return _WorkerLostError(why, Reason.TIMED_OUT)


def _enlarge(pipe: IO[bytes] | None) -> None:
    """Let a pipe hold as much as Linux gives anyone: the fewer times the two ends wait for each other."""
    # None may be left: then it stays as it is. Other systems have no such call, or enlarge pipes themselves.
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        if pipe is not None:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


_idle: Final[deque[_Worker]] = deque()


def _idle_worker() -> _Worker | None:
    """A worker of this process; those that were there before a fork belong to another one."""
    while _idle:
        try:
            worker = _idle.pop()
        except IndexError:
            return None
        if not worker.owner.is_here:
            continue
        if worker.is_there():
            return worker
        worker.kill()
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

"""A process that decodes films, and what is said to it and back: `worker` is the program that runs in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from threading import Event
from typing import IO, Any, Final, TypeVar

import numpy as np

from cxrscribe.errors import FilmError, Reason
from cxrscribe.films.deadlines import deadlines
from cxrscribe.films.dicom_text import MOST_CHARACTERS
from cxrscribe.films.levels import Picture
from cxrscribe.forks import Owner, keep_from_forks
from cxrscribe.shortages import shortage_remedy

Answer = TypeVar("Answer")

READY: Final = b"cxrscribe.films.worker is ready\n"
"""The line that the program begins with; what stands before it, others have printed."""
FOLDER_VARIABLE: Final = "CXRSCRIBE_WORKER_FOLDER"
_PROGRAM: Final = "cxrscribe.films.worker"
_PIPE_BYTES: Final = 1 << 20
_STARTING_SECONDS: Final = 60.0
_FAREWELL_SECONDS: Final = 1.0
_LONGEST_REPLY: Final = 1 << 20
_REMEDY: Final = "it is damaged, or reduce it first"
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1"}
# What a film took is kept for the next one. Else glibc gives it back, and has it zeroed anew, for each film:
# that took longer than all of the talk between the processes. More than the second number is given back.
_KEPT_MEMORY: Final = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}


RUNS_MODULES: Final = "cxrscribe_runs_modules"
"""The attribute of `sys` by which a frozen program says that it takes `-P -m MODULE`, as Python does."""


class ProcessLostError(Exception):
    """The process has ended: why, in words for the film that it had."""

    def __init__(self, why: str, reason: Reason) -> None:
        super().__init__(why)
        self.reason = reason


@dataclass(frozen=True)
class FilmLimits:
    """What one film may take."""

    cpu_seconds: float
    wall_seconds: float
    memory_bytes: int


class DecoderProcess:
    """One process, which reads one film at a time.

    Raises FilmError when it can't be started, which is no fault of the film: its reason is OUT_OF_RESOURCES.
    """

    def __init__(self) -> None:
        frozen = getattr(sys, "frozen", False) and not getattr(sys, RUNS_MODULES, False)
        if not sys.executable or frozen:
            raise FilmError(
                "can't be decoded in a process of its own, for this program isn't one that Python runs; "
                "decode it here, with Isolation('none')"
            )
        self._owner = Owner()
        keep_from_forks(self)
        self._is_ready = False
        self._is_given_up = False
        # Where a decoder that crashes leaves files, so that they go with it. Few decoders need one.
        self._folder: str | None = None
        with suppress(OSError):  # nowhere to write
            self._folder = mkdtemp(prefix="cxrscribe-")
        try:
            self._process = self._started()
        except OSError as error:
            self._remove_folder()
            raise _not_started(error.strerror or type(error).__name__, shortage_remedy(error)) from None

    def _started(self) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join(path for path in sys.path if isinstance(path, str) and path)
        own = {"PYTHONPATH": paths} | _ONE_THREAD
        if self._folder is not None:
            own |= dict.fromkeys(("TMPDIR", "TEMP", "TMP", FOLDER_VARIABLE), self._folder)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", _PROGRAM],  # -P: a numpy.py in the current folder is not numpy
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**_KEPT_MEMORY, **os.environ, **own},
        )
        for pipe in (process.stdin, process.stdout):
            _enlarge(pipe)
        return process

    def _remove_folder(self) -> None:
        if self._folder is not None:
            rmtree(self._folder, ignore_errors=True)

    @property
    def is_usable(self) -> bool:
        """Whether this is a process of the program that asks, and hasn't ended, nor is about to."""
        return self._owner.is_here and not self._is_given_up and self._process.poll() is None

    @property
    def is_of_this_program(self) -> bool:
        """Whether it was started here, and not before a fork."""
        return self._owner.is_here

    def read(self, film: bytes | Path, request: Mapping[str, Any], limits: FilmLimits) -> Picture:
        """The picture of a film: of its content, or of the file of an absolute path, which is read there.

        `request`: `preprocessing`, as JSON, `modalities` and `text`. Raises FilmError when the film can't be
        read; ProcessLostError when the process has ended.
        """
        return self._asked(film, request, limits, self._picture)

    def study_uid(self, film: bytes | Path, limits: FilmLimits) -> str:
        """The StudyInstanceUID that a DICOM file says, see `study_uid`. Raises as `read` does."""
        return self._asked(film, {"study_uid": True}, limits, lambda reply: _text(reply["study_uid"]))

    def identifiers(self, start: bytes, limits: FilmLimits) -> Mapping[int, bytes]:
        """What `identifiers_of` finds in how a DICOM file begins. Raises as `read` does."""
        return self._asked(start, {"identifiers": True}, limits, _identifiers)

    def _asked(
        self,
        film: bytes | Path,
        request: Mapping[str, Any],
        limits: FilmLimits,
        understood: Callable[[Mapping[str, Any]], Answer],
    ) -> Answer:
        """What comes back for a film. `understood`: makes the answer of a line of JSON, and of what follows.

        It raises OSError, ValueError, TypeError or KeyError for nonsense.
        """
        try:
            if not self._is_ready:
                self._wait_until_ready()
            return self._within_limits(film, request, limits, understood)
        except RuntimeError as error:  # there can be no thread to watch it
            self.kill()
            raise _not_started(str(error), "end other programs, or threads of this one") from None

    def _wait_until_ready(self) -> None:
        assert self._process.stdout is not None
        line = None
        with deadlines().within(_STARTING_SECONDS, self._process.kill):
            try:
                while line != b"" and line != READY:
                    line = self._process.stdout.readline(_LONGEST_REPLY)
            except (OSError, ValueError):
                line = b""
        if line != READY:
            self.kill()
            if self._is_given_up:
                raise _given_up()
            raise _not_started(
                f"it ended before it began, with code {self._process.returncode}",
                f"see what `{Path(sys.executable).name} -m {_PROGRAM}` says",
            )
        self._is_ready = True

    def _within_limits(
        self,
        film: bytes | Path,
        request: Mapping[str, Any],
        limits: FilmLimits,
        understood: Callable[[Mapping[str, Any]], Answer],
    ) -> Answer:
        assert self._process.stdin is not None
        content = b"" if isinstance(film, Path) else film
        most = f"{limits.memory_bytes / 1e9:.1f} GB"
        line = json.dumps(
            {
                **request,
                **({"path": str(film)} if isinstance(film, Path) else {"bytes": len(content)}),
                "cpu_seconds": limits.cpu_seconds,
                "wall_seconds": limits.wall_seconds,
                "memory_bytes": limits.memory_bytes,
                "no_memory": f"takes more than {most} of memory to decode; {_REMEDY}",
            }
        ).encode()
        timed_out = Event()

        def give_up() -> None:
            timed_out.set()
            self._process.kill()

        answer: Answer | FilmError | None
        with deadlines().within(limits.wall_seconds, give_up):
            try:
                self._process.stdin.write(line + b"\n")
                self._process.stdin.write(content)
                self._process.stdin.flush()
                answer = self._answer(understood)
            except (OSError, ValueError, TypeError, KeyError):
                answer = None  # it is gone, or its memory is such that it writes nonsense
        if answer is None or timed_out.is_set():
            raise self._lost(limits, timed_out.is_set())
        if isinstance(answer, FilmError):
            raise answer
        return answer

    def _answer(self, understood: Callable[[Mapping[str, Any]], Answer]) -> Answer | FilmError:
        """What comes back. Raises OSError, or what nonsense brings: ValueError, TypeError or KeyError."""
        assert self._process.stdout is not None
        reply = json.loads(self._process.stdout.readline(_LONGEST_REPLY))
        if "error" in reply:
            return FilmError(_text(reply["error"]), Reason(reply["reason"]))
        return understood(reply)

    def _picture(self, reply: Mapping[str, Any]) -> Picture:
        assert self._process.stdout is not None
        height, width = reply["shape"]
        size = height * width
        if not (type(height) is type(width) is int and height > 0 and width > 0 and size == reply["bytes"]):
            raise ValueError("a picture of another size than it has")
        pixels = self._process.stdout.read(size)
        # Not `frombuffer` alone: its pixels can't be written.
        return Picture(
            np.frombuffer(pixels, np.uint8).reshape(height, width).copy(),
            _text(reply["display"]),
            text=None if reply["text"] is None else _text(reply["text"])[:MOST_CHARACTERS],
        )

    def give_up(self) -> None:
        """End the process at once, from another thread than that which reads."""
        self._is_given_up = True
        self._process.kill()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._close()

    def end(self) -> None:
        """Let the process end, which has nothing to do."""
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):
            self._process.stdin.write(b"\n")  # a process that was forked off may hold the pipe open
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

    def _lost(self, limits: FilmLimits, timed_out: bool) -> Exception:
        with suppress(subprocess.TimeoutExpired):  # else it would be this program that killed it
            self._process.wait(_FAREWELL_SECONDS)
        self.kill()
        if self._is_given_up:
            return _given_up()
        code = self._process.returncode
        if timed_out:
            return ProcessLostError(
                f"takes more than {limits.wall_seconds:g} s to decode; {_REMEDY}", Reason.TIMED_OUT
            )
        if code == -getattr(signal, "SIGXCPU", 0) != 0:
            return ProcessLostError(
                f"takes more than {limits.cpu_seconds:g} s of processor time to decode; {_REMEDY}",
                Reason.TIMED_OUT,
            )
        try:
            how = signal.Signals(-code).name
        except ValueError:
            how = f"exit code {code}"
        why = f"made its decoder crash ({how}); the file is damaged: fetch it again"
        return ProcessLostError(why, Reason.KILLED_THE_READER)


def _not_started(why: str, remedy: str) -> FilmError:
    return FilmError(
        f"can't be decoded: no process could be started for it ({why}); {remedy}", Reason.OUT_OF_RESOURCES
    )


def _given_up() -> FilmError:
    return FilmError("was not decoded, for what read it was closed; read it again", Reason.OUT_OF_RESOURCES)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _identifiers(reply: Mapping[str, Any]) -> Mapping[int, bytes]:
    return {int(tag): bytes.fromhex(_text(value)) for tag, value in dict(reply["identifiers"]).items()}


def _enlarge(pipe: IO[bytes] | None) -> None:
    """Let a pipe hold as much as Linux gives anyone: the fewer times the two ends wait for each other."""
    # None may be left: then it stays as it is. Other systems have no such call, or enlarge pipes themselves.
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        if pipe is not None:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

"""Programs of this package in processes of their own, and how they and their parent talk: JSON, a line each.

A child ends when its parent does, however that happens: the pipe that it reads from closes. It says nothing
on stderr, where a traceback could name a film. What libraries print before its program begins is passed over:
its own words begin with a greeting. Whoever says nonsense after it is ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from types import TracebackType
from typing import BinaryIO, Final, Self

from cxrscribe.errors import InputError
from cxrscribe.films.isolation import end_processes
from cxrscribe.json_object import JsonObject
from cxrscribe.shortages import shortage_remedy

_FAREWELL_SECONDS: Final = 20.0
_PASSED_OVER_AT_ONCE: Final = 1 << 16
_GREETING: Final = b"cxrscribe: from here on every line is JSON\n"


class SilentError(Exception):
    """A child has said nothing for as long as it was given."""


class Child:
    """A running program, `python -m MODULE`; a context manager that ends it."""

    def __init__(
        self, module: str, request: Mapping[str, object], environment: Mapping[str, str] | None = None
    ) -> None:
        """`request` is what the program reads first. Raises InputError when no process can be started."""
        paths = os.pathsep.join(path for path in sys.path if path)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module],  # -P: a numpy.py in the current folder is not numpy
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": paths, **(environment or {})},
            )
        except OSError as error:
            raise InputError(
                f"no process could be started ({error.strerror}); {shortage_remedy(error)}"
            ) from None
        self._said: SimpleQueue[JsonObject | None] = SimpleQueue()
        self._listener = Thread(target=self._listen, name="cxrscribe-child", daemon=True)
        self._listener.start()
        self.send(request)

    @property
    def returncode(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        return self._process.poll()

    def send(self, message: Mapping[str, object]) -> None:
        """Say something to the program, if it is still there."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(json.dumps(message).encode("ascii") + b"\n")
            self._process.stdin.flush()

    def receive(self, seconds: float | None = None) -> JsonObject | None:
        """The next thing that it says; None once it has ended. Raises SilentError after so many seconds."""
        try:
            said = self._said.get(timeout=seconds)
        except Empty:
            raise SilentError from None
        if said is None:
            self._said.put(None)
        return said

    def terminate(self) -> None:
        """Ask it to end in good order."""
        self._process.terminate()

    def abandon(self) -> None:
        """Kill it, and let `receive` tell."""
        self._process.kill()

    def end(self) -> None:
        """As `terminate`, and wait until it is gone; it isn't given long."""
        self.terminate()
        self.let_end()

    def let_end(self) -> None:
        """Wait until it is gone, which has nothing to do any more; it isn't given long."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_FAREWELL_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it at once, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self._listener.join(_FAREWELL_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in iter(partial(self._process.stdout.readline, _PASSED_OVER_AT_ONCE), _GREETING):
                if not line:
                    break
            for line in self._process.stdout:
                self._said.put(JsonObject(json.loads(line), "a child's message"))
        except (OSError, ValueError, RecursionError):  # closed meanwhile, or it says what is no message
            self._process.kill()  # it may wait for someone to read the rest
        self._process.wait()
        self._said.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Parent:
    """The other end: what a child hears, and may say."""

    def __init__(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that started this one
        # What a call for an end does here, Ctrl-C does elsewhere: what was begun is taken back.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self._heard = sys.stdin.buffer
        self._said: BinaryIO = os.fdopen(os.dup(1), "wb")
        self._turn = Lock()
        os.dup2(2, 1)  # libraries print
        with suppress(BrokenPipeError):
            self._said.write(b"\n" + _GREETING)  # on a line of its own, whatever was printed
            self._said.flush()

    def request(self) -> JsonObject:
        """What the parent sent first."""
        return JsonObject(json.loads(self._heard.readline()), "a request")

    def listen(self, hear: Callable[[JsonObject], None]) -> None:
        """From now on give everything that the parent sends to `hear`, and end when the parent does."""

        def run() -> None:
            for line in self._heard:
                hear(JsonObject(json.loads(line), "a parent's message"))
            end_processes()  # each has a folder of its own to remove
            os._exit(1)  # whatever this process is doing: nobody waits for it any more

        Thread(target=run, name="cxrscribe-parent", daemon=True).start()

    def say(self, message: Mapping[str, object]) -> None:
        """Tell the parent something."""
        with self._turn, suppress(BrokenPipeError):  # if it is gone, this process ends too
            self._said.write(json.dumps(message).encode("ascii") + b"\n")
            self._said.flush()

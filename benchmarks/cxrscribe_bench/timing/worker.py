"""A process of its own for whatever is measured, so that nothing disturbs it and its memory can be told."""

from __future__ import annotations

import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Self

from cxrscribe.errors import CxrscribeError, MissingExtraError
from cxrscribe_bench.timing.memory import peak_bytes, reset_peak

Opener = Callable[..., Any]

_ENDING_SECONDS: Final = 10.0


class WorkerError(CxrscribeError, RuntimeError):
    """A process that measures something has failed, or died."""


@dataclass(frozen=True)
class Reply:
    """What one call gave, and what it cost in the worker's own process."""

    value: Any
    seconds: float
    """Wall time of the call alone."""
    peak_bytes: int
    """Most memory in RAM during the call, by `VmHWM`; 0 where the system doesn't tell."""


@dataclass(frozen=True)
class _Failure:
    text: str
    extra: str | None


class Worker:
    """A subject in a process of its own: `opener(*arguments)` makes it there, `call` calls its methods.

    A context manager; the process ends with it. Between two calls it waits for the next one and uses no
    processor. What libraries print goes into the log.

    Raises MissingExtraError when the subject needs what isn't installed, WorkerError when it can't be opened.
    """

    def __init__(
        self,
        name: str,
        opener: Opener,
        *arguments: Any,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`opener` is a module's function; `environment`: variables that are set before it is imported."""
        self.name = name
        self._log = log
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        target = f"{opener.__module__}:{opener.__qualname__}"
        self._process = context.Process(
            target=_serve, args=(theirs, target, arguments, str(log), dict(environment or {})), daemon=True
        )
        self._process.start()
        theirs.close()
        try:
            self.opened = self._receive("opening")
            """What opening the subject cost; its value is None."""
        except BaseException:
            self.close()
            raise

    def call(self, method: str, *arguments: Any) -> Reply:
        """Call a method of the subject. Raises WorkerError when it fails; others may be called afterwards."""
        try:
            self._connection.send((method, arguments))
        except OSError:
            raise self._died(method) from None
        return self._receive(method)

    def close(self) -> None:
        """End the process."""
        self._connection.close()  # at which it leaves its loop
        self._process.join(_ENDING_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self, what: str) -> Reply:
        try:
            reply = self._connection.recv()
        except (EOFError, OSError):
            raise self._died(what) from None
        if isinstance(reply, Reply):
            return reply
        if reply.extra is not None:
            raise MissingExtraError(self.name, reply.extra)
        raise WorkerError(f"{self.name} failed at {what}: {reply.text}; its log is {self._log}")

    def _died(self, what: str) -> WorkerError:
        self._process.join(_ENDING_SECONDS)
        return WorkerError(
            f"the process of {self.name} died at {what} with exit code {self._process.exitcode}; "
            f"its log is {self._log}"
        )


def _serve(
    connection: Connection,
    target: str,
    arguments: tuple[Any, ...],
    log: str,
    environment: Mapping[str, str],
) -> None:
    """What the process does: open, then answer calls until the other end closes."""
    _redirect_output(log)
    os.environ.update(environment)
    subject: Any = None

    def opened() -> None:
        nonlocal subject
        subject = _imported(target)(*arguments)

    try:
        _answer(connection, opened)
        while True:
            method, call_arguments = connection.recv()
            _answer(connection, partial(_call, subject, method, call_arguments))
    except (EOFError, OSError, KeyboardInterrupt):  # the other end is closed, or the user wants an end
        return


def _answer(connection: Connection, call: Callable[[], Any]) -> None:
    """Send what the call gives and costs, or why it failed."""
    reset_peak()
    started = perf_counter()
    try:
        value = call()
        reply: Reply | _Failure = Reply(value, perf_counter() - started, peak_bytes())
    except Exception as error:
        traceback.print_exc()
        extra = error.extra if isinstance(error, MissingExtraError) else None
        reply = _Failure(f"{type(error).__name__}: {error}", extra)
    connection.send(reply)


def _call(subject: Any, method: str, arguments: tuple[Any, ...]) -> Any:
    return getattr(subject, method)(*arguments)


def _imported(target: str) -> Opener:
    from pkgutil import resolve_name

    opener: Opener = resolve_name(target)
    return opener


def _redirect_output(log: str) -> None:
    """Send what is printed, by C libraries too, to the end of the log."""
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(file, descriptor)
    os.close(file)

"""Ctrl-C and SIGTERM while a command runs: both are the same, and end it in good order."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from types import FrameType


@dataclass
class Interruption:
    """Whether there was one. Libraries make other exceptions of a KeyboardInterrupt, so it is noted here."""

    has_come: bool = False

    def raise_it(self, _number: int, _frame: FrameType | None) -> None:
        """What SIGINT does."""
        self.has_come = True
        raise KeyboardInterrupt

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        """What SIGTERM does: what SIGINT does at that moment, which a command may have changed."""
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler):
            handler(number, frame)
        else:
            self.raise_it(number, frame)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Let SIGINT and SIGTERM, as batch systems send it, raise KeyboardInterrupt.

    Signals that the program was started to ignore stay ignored, and those of other threads are left alone.
    """
    interruption = Interruption()
    if current_thread() is not main_thread():
        yield interruption
        return
    before = {}
    for number, handler in ((signal.SIGINT, interruption.raise_it), (signal.SIGTERM, interruption.pass_on)):
        if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: not Python's
            before[number] = signal.signal(number, handler)
    try:
        yield interruption
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)

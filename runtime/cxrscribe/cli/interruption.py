"""Ctrl-C and SIGTERM while a command runs: both end it in good order, and at once when they come again."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer, current_thread, main_thread
from time import monotonic
from types import FrameType
from typing import Final

_AGAIN_SECONDS: Final = 0.01
# `timeout` and terminals send one signal twice: to a process, and to its group.
_ECHO_SECONDS: Final = 0.5


@dataclass
class Interruption:
    """Whether there was one. Libraries make other exceptions of a KeyboardInterrupt, so it is noted here."""

    has_come: bool = False
    _came: float = 0.0
    _number: int = signal.SIGINT
    _again: Timer | None = None

    def raise_it(self, number: int, _frame: FrameType | None) -> None:
        """What SIGINT does: end the command in good order, and at once when it comes again."""
        if self.has_come:
            if monotonic() - self._came >= _ECHO_SECONDS:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        self.has_come, self._came, self._number = True, monotonic(), number
        raise KeyboardInterrupt

    def raise_again(self, unraisable: sys.UnraisableHookArgs) -> bool:
        """Whether it was raised where Python ignores exceptions, and so will be raised once more.

        That is in finalizers and in callbacks of weak references, in which a signal may be handled, too.
        """
        if not self.has_come or unraisable.exc_type is not KeyboardInterrupt:
            return False
        self.has_come = False
        # Not from in here, where it would be ignored again.
        self._again = Timer(_AGAIN_SECONDS, _send, (self._number,))
        self._again.daemon = True
        self._again.start()
        return True

    def end(self) -> None:
        """Raise nothing once more."""
        if self._again is not None:
            self._again.cancel()

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
    ignored = sys.unraisablehook

    def not_ignored(unraisable: sys.UnraisableHookArgs) -> None:
        if not interruption.raise_again(unraisable):
            ignored(unraisable)

    sys.unraisablehook = not_ignored
    try:
        yield interruption
    finally:
        sys.unraisablehook = ignored
        interruption.end()
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _send(number: int) -> None:
    """Send the signal to this process, so that its main thread wakes up for it."""
    if sys.platform == "win32":  # os.kill would end the process there
        signal.raise_signal(number)
    else:
        os.kill(os.getpid(), number)

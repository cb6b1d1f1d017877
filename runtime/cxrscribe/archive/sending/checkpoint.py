"""Where pynetdicom's association thread stands still while another thread waits for an answer."""

from __future__ import annotations

from threading import Condition, Event, Thread, current_thread
from typing import Any

_LOOK_SECONDS = 0.2


class Checkpoint(Event):
    """An event whose `clear` returns when nobody is past `wait` any more.

    pynetdicom's own lets the association thread be past it still, where that thread takes the answer that
    another thread waits for, and throws it away: a document that is there is then not found, or a minute
    passes until the answer is given up. That happened once in some hundred queries on a busy machine.
    """

    def __init__(self, thread: Thread) -> None:
        """`thread`: the one that stands still here; nothing is waited for once it has ended."""
        super().__init__()
        self._thread = thread
        self._changed = Condition()
        self._is_open = True
        self._stands = False

    def is_set(self) -> bool:
        """Whether the thread may pass."""
        return self._is_open

    def set(self) -> None:
        """Let the thread pass."""
        with self._changed:
            self._is_open = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Let the thread stand still, and wait until it does."""
        with self._changed:
            self._is_open = False
            while not self._stands and self._thread.is_alive() and current_thread() is not self._thread:
                self._changed.wait(_LOOK_SECONDS)

    def wait(self, timeout: float | None = None) -> bool:
        """Pass, or stand still until `set`."""
        with self._changed:
            self._stands = True
            self._changed.notify_all()
            passes = self._changed.wait_for(lambda: self._is_open, timeout)
            self._stands = False
        return passes


def stand_still(association: Any) -> None:
    """Give a pynetdicom association that has just been connected a Checkpoint."""
    if isinstance(getattr(association, "_reactor_checkpoint", None), Event):
        association._reactor_checkpoint = Checkpoint(association)

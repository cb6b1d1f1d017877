"""The thread that stands still while another one waits."""

from __future__ import annotations

from threading import Event, Thread

from cxrscribe.archive.sending.checkpoint import Checkpoint, stand_still


class Passing(Thread):
    """Passes its checkpoint again and again, and notes when it is on the other side."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.checkpoint = Checkpoint(self)
        self.ends = False
        self.is_past = False
        self.passed = Event()

    def run(self) -> None:
        while not self.ends:
            self.checkpoint.wait()
            self.is_past = True
            self.passed.set()
            for _ in range(1000):
                pass
            self.is_past = False


def test_who_has_cleared_it_has_the_other_side_for_himself() -> None:
    thread = Passing()
    thread.start()
    for _ in range(300):
        thread.passed.clear()
        thread.checkpoint.set()
        assert thread.passed.wait(60)
        thread.checkpoint.clear()
        for _ in range(20):
            assert not thread.is_past
    thread.ends = True
    thread.checkpoint.set()
    thread.join(60)
    thread.checkpoint.clear()  # which waits for nobody
    assert not thread.checkpoint.is_set()


def test_thread_itself_is_not_waited_for() -> None:
    cleared = Event()

    class Clearing(Thread):
        def run(self) -> None:
            self.checkpoint.clear()
            cleared.set()

        @property
        def checkpoint(self) -> Checkpoint:
            return Checkpoint(self)

    thread = Clearing(daemon=True)
    thread.start()
    assert cleared.wait(60)


def test_what_has_no_such_event_is_left_alone() -> None:
    association = object()
    stand_still(association)

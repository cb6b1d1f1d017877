"""Calls that are made when something takes too long."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from cxrscribe.films.deadlines import Deadlines, deadlines

LONG = 600.0


def test_block_that_takes_too_long_brings_the_call_once() -> None:
    watched, called, calls = Deadlines(), threading.Event(), list[str]()

    def late() -> None:
        calls.append("late")
        called.set()

    with watched.within(0.01, late):
        assert called.wait(LONG)
        with watched.within(0.01, called.clear):
            while called.is_set():
                pass
    assert calls == ["late"]


def test_block_that_ends_in_time_brings_none() -> None:
    watched, calls = Deadlines(), list[str]()
    for number in range(100):
        with watched.within(LONG + number, lambda: calls.append("late")):
            pass
    with pytest.raises(KeyError), watched.within(LONG, lambda: calls.append("late")):
        raise KeyError
    assert not calls
    assert not watched._late_calls


def test_earlier_deadline_is_kept_while_a_later_one_is_waited_for() -> None:
    watched, called = Deadlines(), threading.Event()
    with watched.within(LONG, lambda: None):
        while watched._wakes == float("inf"):  # the thread is on its way
            pass
        with watched.within(0.01, called.set):
            assert called.wait(LONG)


def test_many_threads_share_one_that_watches() -> None:
    watched, late = Deadlines(), list[int]()
    before = threading.active_count()

    def film(number: int) -> None:
        called = threading.Event()
        for _ in range(20):
            with watched.within(LONG, lambda: late.append(-1)):
                pass
        with watched.within(0.001, called.set):
            assert called.wait(LONG)
        late.append(number)

    threads = [threading.Thread(target=film, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(late) == list(range(8))
    assert threading.active_count() == before + 1


@pytest.mark.skipif("not hasattr(os, 'fork')", reason="there is no fork")
def test_process_that_was_forked_watches_by_a_thread_of_its_own() -> None:
    script = (
        "import os, threading, warnings\n"
        "warnings.simplefilter('ignore')\n"  # Python 3.12 warns of forks beside threads
        "from cxrscribe.films.deadlines import deadlines\n"
        "with deadlines().within(600, lambda: None):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        called = threading.Event()\n"
        "        with deadlines().within(0.01, called.set):\n"
        "            os._exit(0 if called.wait(60) else 1)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=dict(os.environ))


def test_process_has_one() -> None:
    assert deadlines() is deadlines()

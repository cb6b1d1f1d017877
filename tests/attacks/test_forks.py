"""Processes forked off one with a loaded model: an InputError, and never an abort, a hang or a crash."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest

import cxrscribe
from cxrscribe.errors import InputError

pytestmark = pytest.mark.skipif("not hasattr(os, 'fork')", reason="there are no forks here")

PARENT = """
import gc, os, signal, sys, threading, warnings
warnings.simplefilter("ignore")  # Python's own, of forks among threads
import cxrscribe
from cxrscribe.errors import InputError

films = [str(film) for film in cxrscribe.demo_films()]
reporter = cxrscribe.load(cxrscribe.demo_bundle(), threads=2)
expected = [report.text for report in reporter.report_batch(films)]
features = reporter.encode(films)
stream, decoding = reporter.report_stream(films * 9), reporter.decode_stream(features)
next(stream), next(decoding)
ended = threading.Event()
def work():
    while not ended.is_set():
        reporter.report_batch(films[:2])
threads = [threading.Thread(target=work) for _ in range(2)] if sys.argv[1] == "busy" else []
for thread in threads:
    thread.start()

def in_child():
    calls = [
        lambda: reporter.report(films[0]), lambda: reporter.report_batch(films),
        lambda: reporter.report_stream(films), lambda: reporter.encode(films),
        lambda: reporter.decode_features(features), lambda: reporter.decode_stream(features),
        lambda: reporter.warmup(), lambda: reporter.close(), lambda: next(stream), lambda: next(decoding),
    ]
    for number, call in enumerate(calls):
        try:
            call()
        except InputError as error:
            assert "loaded before this process was forked" in str(error), error
        else:
            raise AssertionError(number)

def end_at_once():
    pass

def free_everything():
    global reporter, stream, decoding, features
    stream.close()
    with reporter:
        pass
    del reporter, stream, decoding, features
    gc.collect()

def load_its_own():
    with cxrscribe.load(cxrscribe.demo_bundle(), threads=2) as own:
        assert [report.text for report in own.report_batch(films)] == expected

def fork_again():
    wait(end_at_once)

def wait(then):
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a hang is no success
        in_child()
        then()
        sys.exit(7)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != 7:
        print(then.__name__, code, flush=True)

for then in (end_at_once, free_everything, load_its_own, fork_again, end_at_once):
    wait(then)
ended.set()
for thread in threads:
    thread.join()
assert [report.text for report in reporter.report_batch(films)] == expected
print("done")
"""


@pytest.mark.parametrize("kind", ["still", "busy"])
def test_forked_process_is_refused_and_ends_in_good_order(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARENT, kind], capture_output=True, text=True, timeout=600, check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_lock_that_another_thread_holds_is_free_after_a_fork() -> None:
    script = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")
from cxrscribe.films.limits import room_for
held, over = threading.Event(), threading.Event()
def hold():
    with room_for(6000, 6000):
        held.set(); over.wait()
thread = threading.Thread(target=hold); thread.start(); held.wait()
child = os.fork()
if child == 0:
    import signal; signal.alarm(60)
    with room_for(6000, 6000):
        os._exit(7)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
over.set(); thread.join(); print(code)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "7\n"


def test_reporter_is_neither_copied_nor_sent() -> None:
    with cxrscribe.load(cxrscribe.demo_bundle(), device="cpu") as reporter:
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(InputError, match="load its bundle there"):
                attempt(reporter)

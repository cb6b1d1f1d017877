"""Processes that decode films: what starts them, answers for them, or leaves them alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import JPEGBaseline8Bit

import cxrscribe
from cxrscribe.embedded import demo_films
from cxrscribe.errors import FilmError, Reason
from cxrscribe.films import deadlines as watching
from cxrscribe.films import decoder_process, isolation
from cxrscribe.films.deadlines import Deadlines
from cxrscribe.films.film import film_name
from cxrscribe.films.isolation import Isolation
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.films.read_ahead import film_feed
from support.compressed import jpeg
from support.dicom_file import encapsulated

PREPROCESSING = Preprocessing(24, 32)
FILM = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
CONTENT = encapsulated(jpeg(FILM), FILM, JPEGBaseline8Bit, Modality="CR")
POSIX = pytest.mark.skipif("os.name != 'posix'", reason="other systems have no such signals")
LINUX = pytest.mark.skipif("not sys.platform.startswith('linux')", reason="the test asks /proc")


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    isolation.end_processes()
    yield
    isolation.end_processes()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_what_the_start_of_python_prints_is_not_taken_for_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nprint('hello', end='')\nsys.stdout.flush()\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert PREPROCESSING.read(CONTENT).shape == (24, 32)
    assert PREPROCESSING.read(CONTENT).shape == (24, 32)


def test_process_that_ends_before_it_begins_is_no_fault_of_the_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os\nos._exit(7)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(FilmError, match="ended before it began, with code 7") as caught:
        PREPROCESSING.read(CONTENT)
    assert caught.value.reason == Reason.OUT_OF_RESOURCES


@pytest.mark.parametrize(
    "answer",
    [
        "5",
        "[]",
        "null",
        "{",
        '{"error": 5, "reason": "missing"}',
        '{"error": "says", "reason": "none"}',
        '{"error": "says"}',
        '{"bytes": 4, "shape": [2, 3], "display": ""}',
        '{"bytes": -1, "shape": [1, -1], "display": ""}',
        '{"bytes": 4, "shape": [2.0, 2.0], "display": ""}',
        '{"bytes": "4", "shape": "22", "display": ""}',
        '{"bytes": 4, "shape": [2, 2], "display": 1}',
        '{"bytes": 4, "shape": [2, 2], "display": "", "text": 1}',
        '{"bytes": 99, "shape": [9, 11], "display": "as stored"}',
        '{"shape": [2, 2]}',
    ],
)
def test_nonsense_for_an_answer_is_a_decoder_that_crashed(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its memory is damaged."""
    (tmp_path / "sitecustomize.py").write_text(
        "import cxrscribe.films.worker as w, os\n"
        "def answer(request, content, replies):\n"
        f"    replies.write({answer!r}.encode() + b'\\n1234')\n"
        "    replies.flush()\n"
        "    os._exit(3)\n"
        "w._answer = answer\n"
    )
    # `-m` runs that module anew, so the one that was changed has to be run in its place.
    monkeypatch.setattr(decoder_process, "_PROGRAM", "stand_in")
    (tmp_path / "stand_in.py").write_text("import cxrscribe.films.worker as w\nw.main()\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(FilmError, match="made its decoder crash") as caught:
        PREPROCESSING.read(CONTENT)
    assert caught.value.reason == Reason.KILLED_THE_READER


@POSIX
@pytest.mark.parametrize("how", ["end", "SIGTERM", "SIGKILL", "os._exit(0)"])
def test_folders_of_processes_go_with_whoever_started_them(temporary: Path, how: str) -> None:
    last = "" if how == "end" else how if "exit" in how else f"os.kill(os.getpid(), signal.{how})"
    script = (
        "import os, signal, sys\n"
        "from cxrscribe.films.isolation import Isolation\n"
        "from cxrscribe.films.preprocess import Preprocessing\n"
        "Preprocessing(24, 32).read(sys.stdin.buffer.read(), Isolation('all'))\n"
        "print(len(os.listdir(os.environ['TMPDIR'])), flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script + last], input=CONTENT, capture_output=True, check=False
    )
    assert done.stdout == b"1\n"
    patience = time.monotonic() + 60
    while list(temporary.iterdir()) and time.monotonic() < patience:
        time.sleep(0.02)
    assert list(temporary.iterdir()) == []


@LINUX
def test_program_with_a_forked_child_does_not_wait_for_its_processes(temporary: Path) -> None:
    """The child holds their pipes open: they are told that it is over."""
    script = (
        "import os, sys, time, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "from cxrscribe.films import decoder_process, isolation\n"
        "from cxrscribe.films.preprocess import Preprocessing\n"
        "decoder_process._FAREWELL_SECONDS = 600\n"
        "Preprocessing(24, 32).read(sys.stdin.buffer.read())\n"
        "reading, writing = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.close(writing)\n"
        "    os.read(reading, 1)\n"
        "    os._exit(0)\n"
        "isolation.end_processes()\n"
        "print('over', flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=CONTENT, capture_output=True, check=True, timeout=300
    )
    assert done.stdout == b"over\n"


@LINUX
def test_closed_stream_gives_up_what_it_decodes(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoders that hang would hold it up until their time is over."""
    stopped: list[int] = []
    started = decoder_process.DecoderProcess._started

    def hanging(self: decoder_process.DecoderProcess) -> subprocess.Popen[bytes]:
        process = started(self)
        os.kill(process.pid, signal.SIGSTOP)
        stopped.append(process.pid)
        return process

    monkeypatch.setattr(decoder_process.DecoderProcess, "_started", hanging)
    films = [str(demo_films()[0])] + [CONTENT] * 4
    with (
        cxrscribe.load(small_bundle, device="cpu", isolation=Isolation(wall_seconds=1e6)) as reporter,
        closing(iter(reporter.report_stream(films, batch_size=1))) as stream,  # type: ignore[type-var]
    ):
        next(stream)
        while not stopped:
            time.sleep(0.01)
    assert not [pid for pid in stopped if Path(f"/proc/{pid}").exists()]


def test_bytes_that_wait_for_a_reader_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxrscribe.films.read_ahead.MOST_HELD_BYTES", 1000)
    taken: list[int] = []
    may_read = threading.Event()

    def films() -> Iterator[tuple[bytes, int]]:
        for number in range(20):
            taken.append(number)
            yield bytes(600), number

    def read(_: object) -> int:
        may_read.wait(60)
        return 1

    with film_feed(films(), read, 4, 20) as feed:
        time.sleep(0.2)
        assert len(taken) <= 2  # one is being read, one waits for room
        may_read.set()
        assert [tag for _, tag in feed.take(20, 20)] == list(range(20))
    assert taken == list(range(20))


def test_feed_that_waits_for_room_ends_when_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxrscribe.films.read_ahead.MOST_HELD_BYTES", 10)
    may_read = threading.Event()
    with film_feed(((bytes(600), 0) for _ in range(9)), lambda _: may_read.wait(60), 1, 9):
        time.sleep(0.05)
        may_read.set()


def test_deadlines_outlive_a_thread_that_could_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    watched, called = Deadlines(), threading.Event()

    class Refused(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with monkeypatch.context() as short:
        short.setattr(watching, "Thread", Refused)
        with pytest.raises(RuntimeError), watched.within(600, called.set):
            pass
        monkeypatch.setattr(watching, "_shared", watched)
        with pytest.raises(FilmError, match="can't start new thread") as caught:
            PREPROCESSING.read(CONTENT)
        assert caught.value.reason == Reason.OUT_OF_RESOURCES
    with watched.within(0.01, called.set):
        assert called.wait(600)


def test_deadlines_outlive_what_a_call_raises() -> None:
    watched, called = Deadlines(), threading.Event()

    def refused() -> None:
        called.set()
        raise PermissionError

    with watched.within(0.01, refused):
        assert called.wait(600)
    called.clear()
    with watched.within(0.01, called.set):
        assert called.wait(600)


@LINUX
def test_number_of_an_open_file_is_read_in_the_process_that_has_it(tmp_path: Path) -> None:
    film = tmp_path / "film.dcm"
    film.write_bytes(CONTENT)
    script = (
        "from cxrscribe.films.isolation import Isolation\n"
        "from cxrscribe.films.preprocess import Preprocessing\n"
        "read = Preprocessing(24, 32).read\n"
        "for name in ('/dev/stdin', '/dev/fd/0', '/proc/self/fd/0'):\n"
        "    for which in ('compressed', 'all'):\n"
        "        assert read(name, Isolation(which)).shape == (24, 32)\n"
    )
    with film.open("rb") as stdin:
        subprocess.run([sys.executable, "-c", script], stdin=stdin, check=True)


def test_path_that_raises_costs_itself(small_bundle: Path) -> None:
    class Bad(os.PathLike[str]):
        def __fspath__(self) -> str:
            raise OSError("no path today")

    assert film_name(Bad()) == "film of type Bad"
    film = str(demo_films()[0])
    with cxrscribe.load(small_bundle, device="cpu") as reporter:
        outcomes = reporter.report_batch([film, Bad(), film])
    assert [isinstance(outcome, FilmError) for outcome in outcomes] == [False, True, False]


@POSIX
def test_second_interruption_ends_the_program_at_once(tmp_path: Path) -> None:
    """Also where the first one can't: here a library holds the main thread up, and lets nothing through."""
    (tmp_path / "sitecustomize.py").write_text(
        "import cxrscribe.loader, sys, time\n"
        "def load(*_, **__):\n"
        "    while True:\n"
        "        try:\n"
        "            print('held up', file=sys.stderr, flush=True)\n"
        "            time.sleep(600)\n"
        "        except BaseException: print('not now', file=sys.stderr, flush=True)\n"
        "cxrscribe.loader.load = load\n"
        "import cxrscribe\n"
        "cxrscribe.load = load\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", "cxrscribe", "report", demo_films()[0]],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "held up" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    while "not now" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)  # at once, as `timeout` sends it twice: this one is not heard
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == -signal.SIGINT
    process.stderr.close()


@LINUX
def test_report_goes_on_with_names_of_another_locale(tmp_path: Path) -> None:
    film = tmp_path / "ü.png"
    film.write_bytes(demo_films()[0].read_bytes())
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    out = tmp_path / "reports.jsonl"
    for environment in (ascii_only, {"PYTHONUTF8": "1"}):
        subprocess.run(
            [sys.executable, "-m", "cxrscribe", "report", tmp_path, "--out", out, "--resume"],
            env={**os.environ, **environment},
            capture_output=True,
            check=True,
        )
    assert len([json.loads(line) for line in out.read_text().splitlines()]) == 1

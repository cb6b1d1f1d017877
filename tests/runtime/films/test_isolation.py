"""Films that bring their decoder down: each costs itself, and nothing else."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

import cxrscribe
from cxrscribe.errors import FilmError, InputError, Reason
from cxrscribe.films import decoder_process
from cxrscribe.films import isolation as module
from cxrscribe.films.dicom import is_dicom, transfer_syntax
from cxrscribe.films.frames import NATIVE_SYNTAXES
from cxrscribe.films.isolation import Isolation
from cxrscribe.films.preprocess import Preprocessing
from support.compressed import jpeg
from support.dicom_file import RAMP, dicom, encapsulated, written

PREPROCESSING = Preprocessing(24, 32)
FILM = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)


def compressed(frame: bytes | None = None) -> bytes:
    return encapsulated(jpeg(FILM) if frame is None else frame, FILM, JPEGBaseline8Bit)


@pytest.fixture(autouse=True)
def no_worker_is_left() -> Iterator[None]:
    module.end_processes()
    yield
    module.end_processes()


def crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str) -> None:
    """Let pydicom's decoding be this statement in every worker that starts from now on."""
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, signal\nimport cxrscribe.films.dicom as d\nd.stored_values = lambda *_: {how}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_film_is_the_same_in_a_process_of_its_own_and_here() -> None:
    content = compressed()
    here = PREPROCESSING.read(content, Isolation("none"))
    assert module._idle == module.deque()
    assert PREPROCESSING.read(content).tobytes() == here.tobytes()
    assert len(module._idle) == 1
    assert PREPROCESSING.read(written(dicom(FILM)), Isolation("all")).shape == (24, 32)


def test_file_is_read_where_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = compressed()
    expected = PREPROCESSING.read(content).tobytes()
    monkeypatch.chdir(tmp_path)
    names = ["film.dcm", "Müller, 肺.dcm", "\udcff.dcm" if sys.platform == "linux" else "f.dcm"]
    for name in names:
        (tmp_path / name).write_bytes(content)
        assert PREPROCESSING.read(name).tobytes() == expected  # from wherever the other process was started
    later = tmp_path / "later"
    later.mkdir()
    monkeypatch.chdir(later)
    with pytest.raises(FilmError, match=r"film.dcm: file does not exist"):
        PREPROCESSING.read("film.dcm")
    (later / "film.dcm").write_bytes(compressed(jpeg(FILM[:40])))
    with pytest.raises(FilmError, match=r"^film.dcm: .*another size"):
        PREPROCESSING.read(Path("film.dcm"))


def test_file_that_goes_between_its_first_bytes_and_the_rest_is_that_films_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = tmp_path / "film.dcm"
    film.write_bytes(compressed())
    reads = decoder_process.DecoderProcess.read

    def late(self: decoder_process.DecoderProcess, film: bytes | Path, *more: object) -> object:
        assert isinstance(film, Path)
        film.unlink()
        return reads(self, film, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(decoder_process.DecoderProcess, "read", late)
    with pytest.raises(FilmError, match=r"film.dcm: file does not exist"):
        PREPROCESSING.read(film)


@pytest.mark.parametrize(
    ("content", "which", "isolated"),
    [
        (compressed(), "compressed", True),
        (compressed(), "none", False),
        (written(dicom(RAMP)), "compressed", False),
        (written(dicom(RAMP)), "all", True),
        (bytes(128) + b"DICM" + b"\2\0\x10\0UI" + b"\xff\xff", "compressed", True),
        (bytes(128) + b"DICM", "compressed", True),
        (b"\xff\xd8\xff", "compressed", False),
        (b"", "all", True),
    ],
)
def test_what_may_crash_is_isolated(content: bytes, which: str, isolated: bool) -> None:
    assert Isolation(which).concerns(content) is isolated


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEG2000, RLELossless, ExplicitVRBigEndian])
def test_transfer_syntax_is_found_behind_whatever_stands_before_it(syntax: str) -> None:
    dataset = dicom(RAMP, syntax=JPEG2000 if syntax != ExplicitVRLittleEndian else syntax)
    dataset.file_meta.FileMetaInformationVersion = bytes(6000)
    if syntax != ExplicitVRLittleEndian:
        dataset.PixelData = encapsulate([b"12"])
    content = written(dataset)
    assert transfer_syntax(content) == dataset.file_meta.TransferSyntaxUID
    assert (transfer_syntax(content) in NATIVE_SYNTAXES) is (syntax == ExplicitVRLittleEndian)


@pytest.mark.skipif("os.name != 'posix'", reason="other systems have no such signals")
@pytest.mark.parametrize(
    ("how", "said", "reason"),
    [
        ("os.abort()", r"crash \(SIGABRT\)", Reason.KILLED_THE_READER),
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"crash \(SIGSEGV\)", Reason.KILLED_THE_READER),
        ("os._exit(3)", r"crash \(exit code 3\)", Reason.KILLED_THE_READER),
        (
            "os.write(1, b'noise') and os.write(2, b'noise') and (_ for _ in ()).throw(KeyError())",
            "KeyError",
            Reason.UNREADABLE,
        ),
        ("(_ for _ in ()).throw(MemoryError())", "more than 2.1 GB of memory", Reason.TOO_LARGE),
        (
            "(_ for _ in ()).throw(d.MissingExtraError('DICOM', 'dicom'))",
            "needs the extra 'dicom'",
            Reason.UNSUPPORTED,
        ),
    ],
)
def test_crash_is_that_films_error_and_the_next_film_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str, said: str, reason: Reason
) -> None:
    with monkeypatch.context() as broken:
        crash(broken, tmp_path, how)
        with pytest.raises(FilmError, match=rf"film of \d+ bytes: .*{said}") as caught:
            PREPROCESSING.read(compressed())
        assert caught.value.reason == reason
        assert pickle.loads(pickle.dumps(caught.value)).reason == reason
    module.end_processes()
    assert PREPROCESSING.read(compressed()).shape == (24, 32)


@pytest.mark.skipif("not sys.platform.startswith('linux')", reason="the limits are Linux'")
def test_film_that_takes_more_processor_time_than_it_may_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    crash(monkeypatch, tmp_path, "any(iter(int, 1))")
    with pytest.raises(FilmError, match=r"takes more than 1 s of processor time to decode") as caught:
        PREPROCESSING.read(compressed(), Isolation(cpu_seconds=1))
    assert caught.value.reason == Reason.TIMED_OUT
    (tmp_path / "sitecustomize.py").write_text("")
    assert PREPROCESSING.read(compressed()).shape == (24, 32)


def test_film_that_takes_longer_than_it_may_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    crash(monkeypatch, tmp_path, "__import__('time').sleep(600)")
    with pytest.raises(FilmError, match=r"takes more than 0.5 s to decode") as caught:
        PREPROCESSING.read(compressed(), Isolation(wall_seconds=0.5))
    assert caught.value.reason == Reason.TIMED_OUT


@pytest.mark.skipif("not sys.platform.startswith('linux')", reason="the limits are Linux'")
def test_memory_is_limited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crash(monkeypatch, tmp_path, "bytearray(1 << 29)")
    with pytest.raises(FilmError, match=r"more than 0.1 GB of memory"):
        PREPROCESSING.read(compressed(), Isolation(memory_bytes=100_000_000))


@pytest.mark.skipif("not sys.platform.startswith('linux')", reason="the test asks /proc")
def test_worker_of_a_program_that_was_killed_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crash(monkeypatch, tmp_path, "__import__('time').sleep(600)")
    (tmp_path / "film.dcm").write_bytes(compressed())
    script = (
        "import os, signal, threading, time\n"
        "from cxrscribe.films import decoder_process, isolation\n"
        "from cxrscribe.films.preprocess import Preprocessing\n"
        "started, found = decoder_process.subprocess.Popen, []\n"
        "decoder_process.subprocess.Popen = lambda *a, **o: found.append(started(*a, **o)) or found[0]\n"
        "limits = isolation.Isolation(wall_seconds=1.0)\n"
        "read = Preprocessing(24, 32).read\n"
        "threading.Thread(target=read, args=('film.dcm', limits), daemon=True).start()\n"
        "while not found: time.sleep(0.01)\n"
        "time.sleep(0.5)\n"
        "print(found[0].pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    killed = subprocess.run(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert killed.returncode == -signal.SIGKILL
    worker = Path("/proc") / killed.stdout.decode().strip()
    patience = time.monotonic() + 60
    while worker.exists() and "zombie" not in (worker / "status").read_text() and time.monotonic() < patience:
        time.sleep(0.05)
    assert time.monotonic() < patience


def test_worker_serves_film_after_film_and_ends_with_its_input() -> None:
    PREPROCESSING.read(compressed())
    (worker,) = module._idle
    for _ in range(3):
        PREPROCESSING.read(compressed())
        with pytest.raises(FilmError, match="another size"):
            PREPROCESSING.read(compressed(jpeg(FILM[:40])))
    assert list(module._idle) == [worker]
    worker.end()
    assert worker._process.returncode == 0
    module._idle.clear()


def test_threads_have_workers_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE_KEPT", 4)
    contents = [compressed(jpeg(np.roll(FILM, turn, axis=0))) for turn in range(8)]
    expected = [PREPROCESSING.read(content, Isolation("none")).tobytes() for content in contents]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda content: PREPROCESSING.read(content).tobytes(), contents * 3))
    assert found == expected * 3
    assert 1 <= len(module._idle) <= 4


@pytest.mark.skipif("not hasattr(os, 'fork')", reason="there is no fork")
def test_worker_of_before_a_fork_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    PREPROCESSING.read(compressed())
    (worker,) = module._idle
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", os.getppid)
        assert module._idle_process() is None
    worker.end()


def test_numpy_in_the_current_folder_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert PREPROCESSING.read(compressed()).shape == (24, 32)


@pytest.mark.skipif("os.name != 'posix'", reason="other systems have no such signals")
def test_stream_goes_on_in_order_past_films_that_crash(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, cxrscribe.films.dicom as d\nread = d.stored_values\n"
        "d.stored_values = lambda head, *more: os.abort() if head.Rows == 40 else read(head, *more)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    bad = encapsulated(jpeg(FILM[:40]), FILM[:40], JPEGBaseline8Bit)
    films = [bad if place % 3 == 1 else compressed() for place in range(12)]
    with cxrscribe.load(small_bundle, device="cpu") as reporter:
        outcomes = list(reporter.report_stream(films))
    assert [isinstance(outcome, FilmError) for outcome in outcomes] == [place % 3 == 1 for place in range(12)]
    assert all("SIGABRT" in str(outcome) for outcome in outcomes if isinstance(outcome, FilmError))


def test_errors_as_values_hold_no_frames(small_bundle: Path) -> None:
    """Frames hold the film's bytes and pixels: 100 failed films would hold a gigabyte."""
    with cxrscribe.load(small_bundle, device="cpu") as reporter:
        (error,) = reporter.report_batch([compressed(jpeg(FILM[:40]))])
    assert isinstance(error, FilmError)
    assert error.__traceback__ is error.__cause__ is error.__context__ is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"which": "some"}, "'some'; there are none, compressed, all"),
        ({"cpu_seconds": 0}, "cpu_seconds is 0"),
        ({"cpu_seconds": float("inf")}, "cpu_seconds is inf; give more than 0 and at most 1,000,000"),
        ({"wall_seconds": float("nan")}, "wall_seconds is nan"),
        ({"memory_bytes": 1 << 60}, "memory_bytes is"),
    ],
)
def test_impossible_isolation_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Isolation(**given)  # type: ignore[arg-type]


def test_worker_that_was_killed_costs_no_film() -> None:
    PREPROCESSING.read(compressed())
    (worker,) = module._idle
    worker._process.kill()
    assert PREPROCESSING.read(compressed()).shape == (24, 32)
    (worker,) = module._idle
    worker._process.kill()
    worker._process.wait()
    assert PREPROCESSING.read(compressed()).shape == (24, 32)


def test_folder_of_a_worker_goes_with_it() -> None:
    PREPROCESSING.read(compressed())
    (worker,) = module._idle
    folder = Path(str(worker._folder))
    assert folder.is_dir()
    module.end_processes()
    assert not folder.exists()


def test_system_without_room_for_files_decodes_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(**_: object) -> str:
        raise OSError(28, "No space left on device")

    module.end_processes()
    monkeypatch.setattr(decoder_process, "mkdtemp", no_room)
    assert PREPROCESSING.read(compressed()).shape == (24, 32)
    module.end_processes()


def test_program_that_is_no_python_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    module.end_processes()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(FilmError, match=r"decode it here, with Isolation\('none'\)"):
        PREPROCESSING.read(compressed())
    assert PREPROCESSING.read(compressed(), Isolation("none")).shape == (24, 32)


def test_program_that_runs_modules_as_python_does_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    module.end_processes()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, decoder_process.RUNS_MODULES, True, raising=False)
    assert PREPROCESSING.read(compressed()).shape == (24, 32)
    module.end_processes()


def test_what_may_stand_in_the_path_of_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    module.end_processes()
    monkeypatch.setattr(sys, "path", [*sys.path, Path("notebooks")])
    assert PREPROCESSING.read(compressed()).shape == (24, 32)


def test_limits_of_memory_may_be_fractions() -> None:
    assert PREPROCESSING.read(compressed(), Isolation(memory_bytes=2e9)).shape == (24, 32)  # type: ignore[arg-type]


def test_file_with_two_transfer_syntaxes_is_isolated() -> None:
    content = compressed()
    place = content.index(b"\x02\x00\x10\x00UI")
    native = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
    assert Isolation().concerns(content[:place] + native + content[place:])
    assert not Isolation().concerns(content[:place] + native + content[content.index(b"\x08\x00\x16") :])


def test_process_that_can_not_be_started_is_that_films_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(FilmError, match="no process could be started for it") as caught:
        PREPROCESSING.read(compressed())
    assert caught.value.reason is Reason.OUT_OF_RESOURCES


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.EMFILE, "limit of open files"), (errno.EAGAIN, "limit of processes"), (errno.ENOMEM, "memory")],
)
def test_what_the_machine_lacks_is_no_fault_of_the_film(
    monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, "_idle_process", lambda: None)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(FilmError, match=remedy) as caught:
        PREPROCESSING.read(compressed())
    assert caught.value.reason is Reason.OUT_OF_RESOURCES


@pytest.mark.parametrize("cut", [*range(128, 420, 7), 512])
def test_beginning_of_a_file_isolates_whatever_all_of_it_would(cut: int) -> None:
    content = compressed()
    place = content.index(b"\x02\x00\x10\x00UI")
    native = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
    for whole in (content, content[:place] + native + content[place:]):
        assert transfer_syntax(whole) not in NATIVE_SYNTAXES
        assert not is_dicom(whole[:cut]) or Isolation().concerns(whole[:cut])


def test_film_of_a_picture_or_an_array_stays_here() -> None:
    assert PREPROCESSING.read(Image.fromarray(FILM), Isolation("all")).shape == (24, 32)
    assert PREPROCESSING.read(FILM, Isolation("all")).shape == (24, 32)

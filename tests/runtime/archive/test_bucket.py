"""Runs and films in buckets: the same promises, from a server that speaks S3."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, Lock
from typing import Any

import pytest

import cxrscribe
from cxrscribe.archive import Run, begin_run, open_run, score_shards
from cxrscribe.archive.comparison import newest_rows
from cxrscribe.archive.indications import open_table
from cxrscribe.archive.quarantine import BrokenCircuitError
from cxrscribe.archive.sources.reading import FilmReader
from cxrscribe.archive.verify import drop_broken, verify
from cxrscribe.errors import InputError, MissingExtraError, Reason
from cxrscribe.reporter import Reporter
from support.archive_films import small_film, write_films
from support.moto import make_bucket, moto_server

obstore = pytest.importorskip("obstore", reason="the extra store isn't installed")

from cxrscribe.archive.places.bucket import Bucket, open_store  # noqa: E402
from cxrscribe.archive.sources.objects import ObjectSources  # noqa: E402

Begin = Callable[..., Run]


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with moto_server() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        make_bucket(environment, "films")
        yield environment


@pytest.fixture
def url(server: dict[str, str], tmp_path: Path) -> str:
    """An empty prefix."""
    return f"s3://films/{tmp_path.name}-{os.urandom(4).hex()}"


@pytest.fixture
def films(url: str) -> str:
    """A prefix with 12 films, a text, an archive, and a DICOM file without suffix."""
    store = open_store(f"{url}/films")
    for number in range(12):
        obstore.put(store, f"{number // 6}/{number:02}.png", small_film(number))
    obstore.put(store, "1/notes.txt", b"words")
    obstore.put(store, "1/more.tar", b"an archive")
    obstore.put(store, "2/IM0001", bytes(128) + b"DICM")
    obstore.put(store, "2/README", b"words")
    return f"{url}/films"


def test_file_is_made_once(url: str) -> None:
    place = Bucket.open(url)
    assert [place.create("parts/a", b"first"), place.create("parts/a", b"second")] == [True, False]
    assert place.read("parts/a") == b"first"
    assert place.head("parts/a", 2) == b"fi"
    assert (place.has("parts/a"), place.has("parts/b")) == (True, False)
    assert place.names("parts") == place.names(".") == ["parts/a"]
    assert abs(place.modified("parts/a") - time.time()) < 3600
    place.remove("parts/b")
    with pytest.raises(InputError, match=f"{url}/parts/b is not there"):
        place.read("parts/b")


def test_of_eight_at_once_one_makes_the_file(url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(5):
            contents = [bytes([racer]) * 1000 for racer in range(8)]
            made = list(pool.map(lambda content: Bucket.open(url).create(f"{number}", content), contents))  # noqa: B023
            assert sum(made) == 1
            assert Bucket.open(url).read(f"{number}") == contents[made.index(True)]


def test_store_that_ignores_the_condition_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put = obstore.put
    monkeypatch.setattr(obstore, "put", lambda store, name, content, mode: put(store, name, content))
    with pytest.raises(InputError, match="lets two writers make the same object"):
        Bucket.open(url).probe()


def test_files_that_grow_and_that_are_written_again(url: str) -> None:
    place = Bucket.open(url)
    place.append("events/a", b"1\n")
    place.append("events/a", b"2\n")
    place.replace("progress.prom", b"old")
    place.replace("progress.prom", b"new")
    assert (place.read("events/a"), place.read("progress.prom")) == (b"1\n2\n", b"new")


def test_run_in_a_bucket_is_the_same_run(
    begin: Begin, archive: Path, url: str, scored: Run, reporter: Reporter
) -> None:
    run = begin(archive, path=f"{url}/run")
    list(score_shards(f"{url}/run", [2, 0, 1], reporter))
    verdict = verify(open_run(f"{url}/run"))
    assert (verdict.ok, verdict.missing, verdict.problems) == (25, 0, [])
    assert verdict.fingerprint == verify(scored).fingerprint
    part = run.generation().part(1)
    run.place.replace(part, run.place.read(part)[:-30])
    drop_broken(run, verify(run))
    list(score_shards(run, run.generation().missing(), reporter))
    assert verify(run).fingerprint == verdict.fingerprint


def test_objects_are_films_by_name_or_content(films: str) -> None:
    listed = list(ObjectSources([films]).films())
    names = [film.film for film in listed]
    assert names == [f"0/{number:02}.png" for number in range(6)] + [
        *(f"1/{number:02}.png" for number in range(6, 12)),
        "1/more.tar",
        "2/IM0001",
    ]
    several = ObjectSources([f"{films}/1", f"{films}/0/03.png", f"{films}/1/"])
    assert several.root == films
    assert [film.film for film in several.films()] == [*names[6:13], "0/03.png"]


def test_table_in_a_bucket_is_fetched_and_left_nowhere(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    rows = "".join(f"{number}.png,{'long ' * 300}{number}\n" for number in range(5000))
    store = open_store(url)
    obstore.put(store, "told/table.csv", b"film,indication\n" + rows.encode())
    table = open_table(f"{url}/told/table.csv")
    assert (len(table), table.source) == (5000, f"{url}/told/table.csv")
    obstore.put(store, "told/table.csv", b"film,indication\n0.png,other\n")
    assert table.text("4999.png") == f"{'long ' * 300}4999"
    if os.name != "nt":
        assert list((tmp_path / "tmp").iterdir()) == []
    with pytest.raises(InputError, match=r"told/none\.csv is not there"):
        open_table(f"{url}/told/none.csv")


def test_films_in_a_bucket_have_texts_of_a_table_in_it(films: str, url: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
    from support.small_bundle import SmallBundle

    bundle = SmallBundle(seed=4, words=30, patient=4, fused=True).write(tmp_path / "bundle")
    rows = f"0/01.png,Cough\n{films}/1/07.png,Chest pain\n"
    obstore.put(open_store(url), "table.csv", b"film,indication\n" + rows.encode())
    with cxrscribe.load(bundle, device="cpu") as reporter:
        place = f"{url}/run"
        begin_run(place, [films], reporter, reporter.settings, indications=f"{url}/table.csv")
        list(score_shards(place, [0], reporter))
        told = {film.film: row for film, row in newest_rows(open_run(place)) if row.indication}
        assert list(told) == ["0/01.png", "1/07.png"]
        report = told["1/07.png"].report
        assert report is not None
        assert report.log_prob == reporter.report(small_film(7), indication="Chest pain").log_prob


def test_films_in_a_bucket_have_their_reports(begin: Begin, films: str, reporter: Reporter) -> None:
    run = begin(films, shard_films=5)
    store = open_store(films)
    obstore.put(store, "0/04.png", small_film(99))
    obstore.delete(store, "0/05.png")
    list(score_shards(run, run.generation().missing(), reporter))
    rows = {film.film: row for film, row in newest_rows(run)}
    assert {name: row.reason for name, row in rows.items() if row.reason} == {
        "0/04.png": Reason.CHANGED,
        "0/05.png": Reason.MISSING,
        "1/more.tar": Reason.UNSUPPORTED,
        "2/IM0001": rows["2/IM0001"].reason,
    }
    assert rows["0/03.png"].report is not None
    assert rows["0/03.png"].report.text == reporter.report(small_film(3)).text


def test_films_are_fetched_ahead_and_come_in_order(
    begin: Begin, films: str, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(films, shard_films=20)
    get = obstore.get
    lock, waiting = Lock(), Barrier(4)
    fetched: list[str] = []

    def slow(store: Any, path: str) -> Any:
        with lock:
            fetched.append(path)
            place = len(fetched)
        if place <= 4:
            waiting.wait(60)  # the first four are on their way together, or this breaks
        return get(store, path)

    monkeypatch.setattr(obstore, "get", slow)
    (receipt,) = score_shards(run, [0], reporter)
    monkeypatch.undo()
    assert sorted(fetched) == [f"{number // 6}/{number:02}.png" for number in range(12)] + ["2/IM0001"]
    assert receipt.films == 14
    for film, row in newest_rows(run):
        if row.report is not None:
            assert row.report.text == reporter.report(small_film(int(film.film[2:4]))).text


def test_bucket_that_is_gone_quarantines_nothing(
    begin: Begin, films: str, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(films, shard_films=1)
    store = open_store(films)
    obstore.delete(store, [each["path"] for some in obstore.list(store) for each in some])
    monkeypatch.setattr(FilmReader.__init__, "__defaults__", (lambda _: None,))
    with pytest.raises(BrokenCircuitError, match="10 shards in a row"):
        list(score_shards(run, run.generation().missing(), reporter))
    assert run.generation().done() == {}


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["s3://films/a", "/data"], "in several places"),
        (["s3://films/a", "s3://others/a"], "in several places"),
    ],
)
def test_sources_in_several_places_are_refused(server: object, sources: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ObjectSources(sources)


def test_prefix_without_objects_is_named(url: str) -> None:
    with pytest.raises(InputError, match="there is no such object or prefix"):
        list(ObjectSources([f"{url}/a", f"{url}/b"]).films())


def test_store_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxrscribe.archive.places.bucket._RETRIES", {"max_retries": 0})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    with pytest.raises(InputError, match=r"s3://films/run/run\.json can't be read or written"):
        open_run("s3://films/run")


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingExtraError, match=r"cxrscribe\[store\]"):
        open_run("s3://films/run")


@pytest.mark.slow
@pytest.mark.skipif("sys.platform == 'win32'", reason="Windows has no process groups to kill")
def test_command_that_is_killed_goes_on_in_the_bucket(url: str, tmp_path: Path) -> None:
    archive = write_films(tmp_path / "archive", 40)
    command: list[Any] = [sys.executable, "-m", "cxrscribe", "score", archive, "--run", f"{url}/run"]
    command += ["--shard-films", 2, "--workers", 2, "--device", "cpu"]
    words = [str(word) for word in command]
    chance = random.Random(0)
    for _ in range(3):
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL, start_new_session=True)
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.5, 2.5))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, "40 films = 40 ok + 0 quarantined + 0 missing\n"), (
        done.stderr
    )
    verdict = verify(open_run(f"{url}/run"))
    assert (verdict.missing, verdict.repeated, verdict.problems) == (0, 0, [])

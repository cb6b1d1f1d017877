"""Shards through the reporter's stream: every film once, whatever becomes of it and whoever else is at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from cxrscribe import Report
from cxrscribe.archive import Receipt, Run, score_shards
from cxrscribe.archive.comparison import newest_rows
from cxrscribe.archive.plan import PlannedFilm
from cxrscribe.archive.quarantine import Breaker, BrokenCircuitError, StorageFaultError
from cxrscribe.archive.rows.part import read_part
from cxrscribe.archive.rows.row import Row
from cxrscribe.archive.sources.reading import FilmReader
from cxrscribe.archive.verify import verify
from cxrscribe.errors import FilmError, InputError, Reason
from cxrscribe.reporter import Reporter
from support.archive_films import small_film, write_tar, write_zip

Begin = Callable[..., Run]


def score(
    run: Run, reporter: Reporter, shards: Iterable[int] | None = None, **options: object
) -> list[Receipt]:
    return list(
        score_shards(run, run.generation().missing() if shards is None else shards, reporter, **options)
    )


def rows(run: Run) -> dict[str, Row]:
    return {film.film: row for film, row in newest_rows(run)}


def test_rows_have_the_reports_of_their_films(scored: Run, archive: Path, reporter: Reporter) -> None:
    found = rows(scored)
    assert list(found) == [f"{number // 10:03}/{number:05}.png" for number in range(25)]
    for name, row in found.items():
        report = reporter.report(archive / name)
        assert row.report is not None
        assert (row.report.text, row.report.tokens, row.report.log_prob) == (
            report.text,
            report.tokens,
            report.log_prob,
        )
        assert row.disclaimer == reporter.disclaimer


def test_receipts_say_what_was_done(begin: Begin, archive: Path, reporter: Reporter) -> None:
    run = begin(archive)
    receipts = score(run, reporter)
    assert [(each.shard, each.films, each.attempt, each.committed) for each in receipts] == [
        (0, 10, 1, True),
        (1, 10, 1, True),
        (2, 5, 1, True),
    ]
    assert sum(each.bytes for each in receipts) == sum(path.stat().st_size for path in archive.rglob("*.png"))
    assert Receipt.from_json(_json(receipts[0])) == receipts[0]


def test_shard_that_has_its_part_is_passed_over(scored: Run, reporter: Reporter) -> None:
    (again,) = score(scored, reporter, [1])
    assert (again.shard, again.films, again.attempt, again.committed) == (1, 10, 0, False)


def test_shard_that_is_asked_for_twice_has_one_part(begin: Begin, archive: Path, reporter: Reporter) -> None:
    run = begin(archive)
    assert sum(each.committed for each in score(run, reporter, [0, 0, 1, 0])) == 2
    assert run.generation().missing() == [2]


def test_shard_that_the_plan_lacks_is_named(begin: Begin, archive: Path, reporter: Reporter) -> None:
    with pytest.raises(InputError, match="no shard 3"):
        score(begin(archive), reporter, [3])


def test_eight_at_once_on_one_shard_make_one_part(begin: Begin, archive: Path, reporter: Reporter) -> None:
    run = begin(archive)
    barrier = Barrier(8)

    def race(_: int) -> Receipt:
        barrier.wait()
        (receipt,) = score(run, reporter, [0])
        return receipt

    with ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(race, range(8)))
    assert sum(receipt.committed for receipt in receipts) == 1
    assert all(receipt.agrees for receipt in receipts)
    assert (verify(run).missing, verify(run).repeated, verify(run).problems) == (15, 0, [])


def test_loser_of_a_race_says_where_the_rows_differ(
    begin: Begin, archive: Path, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(archive)
    streams = [score_shards(run, [0], reporter) for _ in range(2)]
    original = reporter.report_stream

    def altered(*arguments: object, **options: object) -> object:
        for outcome in original(*arguments, **options):  # type: ignore[arg-type]
            yield Report(outcome.text + ".", *list(vars(outcome).values())[1:])

    monkeypatch.setattr(reporter, "report_stream", altered)
    monkeypatch.setattr(type(run.generation()), "is_done", lambda *_: False)
    (other,) = streams[0]
    monkeypatch.undo()
    monkeypatch.setattr(type(run.generation()), "is_done", lambda *_: False)
    (own,) = streams[1]
    assert (other.committed, own.committed, own.agrees) == (True, False, False)


def test_one_stream_goes_on_over_all_shards(begin: Begin, archive: Path, reporter: Reporter) -> None:
    whole = rows_of(begin, archive, reporter, shard_films=25)
    parts = rows_of(begin, archive, reporter, shard_films=1)
    assert [row.report for row in whole.values()] == [row.report for row in parts.values()]


def rows_of(begin: Begin, archive: Path, reporter: Reporter, shard_films: int) -> dict[str, Row]:
    run = begin(
        archive, path=archive.parent / f"run-{shard_films}-{os.urandom(4).hex()}", shard_films=shard_films
    )
    score(run, reporter)
    return rows(run)


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.zip"])
def test_members_of_archives_have_the_reports_of_their_files(
    begin: Begin, tmp_path: Path, reporter: Reporter, name: str
) -> None:
    members = {f"d/{number}.png": small_film(number) for number in range(7)}
    if name == "a.zip":
        write_zip(tmp_path / name, members)
    else:
        write_tar(tmp_path / name, members, "w:gz" if name.endswith("gz") else "w")
    run = begin(tmp_path / name, shard_films=3)
    score(run, reporter, [2, 0, 1])
    for number, (film, row) in enumerate(rows(run).items()):
        assert film == f"{name}!/d/{number}.png"
        assert row.report is not None
        assert row.report.text == reporter.report(small_film(number)).text


def test_film_that_can_not_be_done_costs_one_row(begin: Begin, own_archive: Path, reporter: Reporter) -> None:
    (own_archive / "000" / "00003.png").write_bytes(small_film(3)[:100])
    (own_archive / "000" / "00004.png").write_bytes(b"words")
    run = begin(own_archive)
    (own_archive / "001" / "00012.png").unlink()
    (own_archive / "001" / "00013.png").write_bytes(small_film(99))
    (own_archive / "001" / "00014.png").write_bytes(small_film(14))
    os.utime(own_archive / "001" / "00014.png", (0, 0))
    score(run, reporter)
    found = rows(run)
    reasons = {name[4:9]: row.reason for name, row in found.items() if row.reason}
    assert reasons == {
        "00003": Reason.TRUNCATED,
        "00004": Reason.NOT_A_RADIOGRAPH,
        "00012": Reason.MISSING,
        "00013": Reason.CHANGED,
        "00014": Reason.CHANGED,
    }
    assert not any(str(own_archive) in (row.message or "") for row in found.values())
    verdict = verify(run)
    assert (verdict.planned, verdict.ok, verdict.quarantined, verdict.missing) == (25, 20, 5, 0)


def test_same_bytes_are_scored_once_and_written_twice(
    begin: Begin, own_archive: Path, reporter: Reporter
) -> None:
    for number in (2, 7, 15):
        shutil.copy(
            own_archive / "000" / "00001.png", own_archive / f"{number // 10:03}" / f"{number:05}.png"
        )
    asked: list[int] = []
    original = type(reporter).report_stream

    def counted(self: Reporter, films: Iterable[bytes], *rest: object, **options: object) -> object:
        return original(self, (asked.append(len(film)) or film for film in films), *rest, **options)  # type: ignore[arg-type,func-returns-value]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(reporter), "report_stream", counted)
        run = begin(own_archive)
        receipts = score(run, reporter)
    assert [each.duplicates for each in receipts] == [2, 0, 0]  # within a shard
    assert asked.count(0) == 2
    found = rows(run)
    assert found["000/00007.png"].report == found["000/00001.png"].report
    anew = begin(own_archive, path=own_archive.parent / "anew")
    score(anew, reporter, score_duplicates=True)
    assert rows(anew) == found


def test_storage_that_fails_leaves_the_shard_open_and_goes_on(
    begin: Begin, archive: Path, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = FilmReader.read

    def read(self: FilmReader, film: PlannedFilm, others: tuple[PlannedFilm, ...] = ()) -> bytes:
        if 13 <= film.row < 20:
            raise StorageFaultError("Input/output error")
        return original(self, film, others)

    run = begin(archive)
    with monkeypatch.context() as patch:
        patch.setattr(FilmReader, "read", read)
        receipts = score(run, reporter)
    assert [(each.shard, each.left) for each in receipts] == [(0, False), (1, True), (2, False)]
    assert run.generation().missing() == [1]
    (again,) = score(run, reporter)
    assert (again.attempt, again.committed) == (1, True)  # nobody died over it
    assert verify(run).missing == 0


def test_ten_shards_in_a_row_without_storage_stop_the_run(
    begin: Begin, archive: Path, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> bytes:
        raise StorageFaultError("Stale file handle")

    run = begin(archive, shard_films=1)
    monkeypatch.setattr(FilmReader, "read", read)
    with pytest.raises(BrokenCircuitError, match=r"10 shards in a row \(Stale file handle\)"):
        score(run, reporter)
    assert run.generation().done() == {}
    assert run.place.names("attempts") == []


@pytest.fixture
def no_room(reporter: Reporter, monkeypatch: pytest.MonkeyPatch) -> Callable[[Container[int]], None]:
    """Let there be no process for these films, by their places in the stream."""
    original = type(reporter).report_stream

    def lacking(places: Container[int]) -> None:
        def stream(self: Reporter, films: Iterable[bytes], *rest: object, **options: object) -> object:
            lack = FilmError("film of 9 bytes: can't be decoded: no process", Reason.OUT_OF_RESOURCES)
            outcomes = original(self, films, *rest, **options)  # type: ignore[arg-type]
            return (lack if place in places else outcome for place, outcome in enumerate(outcomes))

        monkeypatch.setattr(type(reporter), "report_stream", stream)

    return lacking


@pytest.mark.parametrize("batch_size", [1, 32])
def test_what_the_machine_lacks_makes_no_row(
    begin: Begin,
    own_archive: Path,
    reporter: Reporter,
    no_room: Callable[[Container[int]], None],
    batch_size: int,
) -> None:
    shutil.copy(own_archive / "001" / "00013.png", own_archive / "001" / "00018.png")
    run = begin(own_archive)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(reporter), "report_stream", type(reporter).report_stream)
        no_room({13})
        receipts = list(score_shards(run, range(3), reporter, batch_size=batch_size))
    first, second, third = receipts
    assert [(each.shard, each.left) for each in receipts] == [(0, False), (1, True), (2, False)]
    assert second.fault == (
        "this machine lacked processes, open files or memory (can't be decoded: no process); let it have more"
    )
    assert (first.fault, third.fault) == ("", "")
    assert run.generation().missing() == [1]
    (again,) = score(run, reporter)
    assert (again.attempt, again.committed) == (1, True)
    verdict = verify(run)
    assert (verdict.ok, verdict.missing, verdict.is_whole) == (25, 0, True)


def test_ten_shards_in_a_row_without_processes_stop_the_run(
    begin: Begin, archive: Path, reporter: Reporter, no_room: Callable[[Container[int]], None]
) -> None:
    run = begin(archive, shard_films=1)
    no_room(range(25))
    with pytest.raises(BrokenCircuitError, match=r"open files or memory in 10 shards in a row .*no process"):
        score(run, reporter)
    assert run.generation().done() == {}
    assert run.place.names("attempts") == []


def test_archive_that_is_gone_quarantines_nothing(
    begin: Begin, own_archive: Path, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(FilmReader.__init__, "__defaults__", (lambda _: None,))
    run = begin(own_archive, shard_films=2)
    shutil.rmtree(own_archive)
    own_archive.mkdir()  # an empty mount point
    with pytest.raises(BrokenCircuitError, match="all folders are gone"):
        score(run, reporter)
    assert run.generation().done() == {}


def test_too_many_films_without_a_report_stop_the_run() -> None:
    breaker = Breaker()
    for _ in range(900):
        breaker.film(None)
    for _ in range(224):
        breaker.film(Reason.UNSUPPORTED)
    breaker.film(Reason.TRUNCATED)
    with pytest.raises(
        BrokenCircuitError, match=r"226 of the first 1126 films .*225 unsupported, 1 truncated"
    ):
        breaker.film(Reason.UNSUPPORTED)


def test_a_disk_that_is_lost_late_stops_the_run() -> None:
    breaker = Breaker()
    for _ in range(50_000):
        breaker.film(None)
    for number in range(199):
        breaker.film((Reason.MISSING, Reason.CHANGED, Reason.UNREADABLE)[number % 3])
    breaker.film(None)
    for _ in range(199):
        breaker.film(Reason.MISSING)
    with pytest.raises(BrokenCircuitError, match="200 films in a row are missing, changed or unreadable"):
        breaker.film(Reason.UNREADABLE)
    for _ in range(5000):
        Breaker(share=1.0).film(Reason.MISSING)


def test_breaker_is_as_patient_as_it_is_told_and_not_for_ever() -> None:
    allowed = Breaker(share=0.5)
    for number in range(4000):
        allowed.film(Reason.MISSING if number % 2 else None)
    late = Breaker()
    for _ in range(2000):
        late.film(None)
    for _ in range(5000):
        late.film(Reason.UNSUPPORTED)
    assert late.reasons.total() == 5000


def test_interruption_takes_back_what_was_begun(begin: Begin, archive: Path, reporter: Reporter) -> None:
    run = begin(archive, shard_films=1)
    receipts = score_shards(run, range(25), reporter)
    next(receipts)
    receipts.close()  # type: ignore[attr-defined]
    done = run.generation().done()
    begun = {name.rpartition("/")[2] for name in run.place.names("attempts")}
    assert begun == {f"{shard:06}.1" for shard in done}
    score(run, reporter)
    assert verify(run).missing == 0


def test_five_in_a_hundred_broken_films_are_all_counted(
    begin: Begin, tmp_path: Path, reporter: Reporter
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    for number in range(200):
        content = small_film(number)
        (archive / f"{number:03}.png").write_bytes(content[:60] if number % 20 == 0 else content)
    run = begin(archive, shard_films=30)
    receipts = score(run, reporter)
    assert sum(each.quarantined for each in receipts) == 10
    verdict = verify(run)
    assert (verdict.ok, dict(verdict.reasons), verdict.missing) == (190, {"truncated": 10}, 0)


def test_part_names_its_run_and_its_makers(scored: Run) -> None:
    for shard, name in scored.generation().done().items():
        header = read_part(scored.place.read(name), name).header
        assert (header.run, header.shard, header.environment) == (
            scored.run_id,
            shard,
            scored.identity.environment,
        )
        assert header.processor


def _json(receipt: Receipt) -> object:
    from cxrscribe.json_object import JsonObject

    return JsonObject(receipt.to_json(), "receipt")

"""A further pass over films without a report: their new rows count, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cxrscribe.archive import Run, score_shards
from cxrscribe.archive.comparison import newest_rows
from cxrscribe.archive.retry import begin_retry
from cxrscribe.archive.status import Watch
from cxrscribe.archive.verify import verify
from cxrscribe.errors import InputError, Reason
from cxrscribe.reporter import Reporter
from support.archive_films import small_film

Begin = Callable[..., Run]
GONE = ("000/00003.png", "000/00004.png", "002/00021.png")


@pytest.fixture
def run(begin: Begin, own_archive: Path, reporter: Reporter) -> Run:
    """A run in which three films were away, and one is damaged."""
    (own_archive / "001" / "00012.png").write_bytes(small_film(12)[:70])
    begun = begin(own_archive)
    for name in GONE:
        (own_archive / name).rename(own_archive / f"{name}.away")
    list(score_shards(begun, range(3), reporter))
    return begun


def come_back(archive: Path, *names: str) -> None:
    for name in names:
        (archive / f"{name}.away").rename(archive / name)


def retried(run: Run, reporter: Reporter, *reasons: Reason) -> int:
    generation = begin_retry(run, reasons)
    assert generation is not None
    list(score_shards(run, generation.missing(), reporter, generation=generation.number))
    return generation.film_count


def test_films_that_came_back_have_their_reports(run: Run, own_archive: Path, reporter: Reporter) -> None:
    before = verify(run)
    assert dict(before.reasons) == {"missing": 3, "truncated": 1}
    come_back(own_archive, *GONE[:2])
    assert retried(run, reporter, Reason.MISSING) == 3
    verdict = verify(run)
    assert (verdict.ok, dict(verdict.reasons), verdict.missing) == (23, {"missing": 1, "truncated": 1}, 0)
    assert (verdict.repeated, verdict.problems) == (0, [])
    rows = {film.film: row for film, row in newest_rows(run)}
    assert [name for name in GONE if rows[name].report is None] == [GONE[2]]
    assert list(rows) == sorted(rows)
    found = Watch(run).look()
    assert (found.done, found.ok, dict(found.reasons), found.retries) == (
        25,
        23,
        {"missing": 1, "truncated": 1},
        1,
    )


def test_parts_of_the_run_stay_as_they_are(run: Run, own_archive: Path, reporter: Reporter) -> None:
    before = {name: run.place.read(name) for name in run.place.names("parts")}
    come_back(own_archive, *GONE)
    retried(run, reporter)
    assert {name: run.place.read(name) for name in run.place.names("parts")} == before


def test_retry_after_retry_has_what_is_left(run: Run, own_archive: Path, reporter: Reporter) -> None:
    assert retried(run, reporter) == 4
    come_back(own_archive, *GONE)
    assert retried(run, reporter, Reason.MISSING) == 3
    assert retried(run, reporter) == 1
    assert begin_retry(run, [Reason.MISSING]) is None
    assert dict(verify(run).reasons) == {"truncated": 1}


def test_retry_that_was_interrupted_is_gone_on_with(run: Run, own_archive: Path, reporter: Reporter) -> None:
    come_back(own_archive, *GONE)
    first = begin_retry(run, [Reason.MISSING])
    assert first is not None
    assert first.missing() == [0, 2]
    list(score_shards(run, [0], reporter, generation=1))
    again = begin_retry(run)
    assert again is not None
    assert (again.number, again.missing()) == (1, [2])
    assert verify(run).ok == 23


def test_run_that_is_not_done_is_not_retried(begin: Begin, archive: Path, reporter: Reporter) -> None:
    run = begin(archive)
    list(score_shards(run, [0], reporter))
    with pytest.raises(InputError, match="2 shards left to score"):
        begin_retry(run)


def test_retry_that_is_not_done_is_about_what_it_was_begun_for(
    run: Run, own_archive: Path, reporter: Reporter
) -> None:
    generation = begin_retry(run)
    assert generation is not None
    assert begin_retry(run) == generation
    with pytest.raises(InputError, match="retry 1 isn't done, and is about"):
        begin_retry(run, [Reason.TIMED_OUT])

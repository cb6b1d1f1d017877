"""How far a run is, and how long it will take, as its parts say."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from cxrscribe.archive import Run, score_shards
from cxrscribe.archive.progress import EventLog, Progress, metrics, write_metrics
from cxrscribe.archive.status import Status, Watch, pace
from cxrscribe.reporter import Reporter

Begin = Callable[..., Run]


def test_status_is_what_the_parts_say(begin: Begin, archive: Path, reporter: Reporter) -> None:
    run = begin(archive)
    watch = Watch(run)
    assert (watch.look().done, watch.look().pace) == (0, None)
    list(score_shards(run, [0, 2], reporter))
    found = watch.look()
    assert (found.films, found.done, found.ok, found.quarantined) == (25, 15, 15, 0)
    assert (found.shards, found.shards_done, found.shards_redone) == (3, 2, 0)
    list(score_shards(run, [1], reporter))
    assert watch.look() == Watch(run).look()
    assert watch.look().done == 25


def test_shards_that_were_begun_are_counted(begin: Begin, archive: Path) -> None:
    run = begin(archive)
    for name in ("attempts/000001.1", "attempts/000001.2", "attempts/000002.1"):
        run.place.create(name, b"")
    found = Watch(run).look()
    assert (found.open_attempts, found.shards_redone) == (2, 1)


def test_steady_pace_is_that_pace() -> None:
    found = pace([(100.0 + 10 * number, 50) for number in range(1, 41)], 100.0, 1000)
    assert found is not None
    for value in (found.overall, found.recent):
        assert math.isclose(value, 5.0)
    for value in (found.seconds_left, found.earliest, found.latest):
        assert math.isclose(value, 200.0)


def test_pace_follows_what_is_recent_and_its_range_holds_it() -> None:
    slow = [(100.0 * number, 100) for number in range(1, 31)]
    fast = [(3000.0 + 20 * number, 100) for number in range(1, 61)]
    found = pace([*slow, *fast], 0.0, 5000)
    assert found is not None
    assert found.overall < 2.5 < 4.5 < found.recent < 5.1
    assert found.earliest <= found.seconds_left <= found.latest


def test_two_parts_at_the_same_moment_give_a_finite_pace() -> None:
    found = pace([(5.0, 10), (5.0, 10), (5.0, 10), (5.0, 10)], 4.0, 10)
    assert found is not None
    assert all(math.isfinite(value) for value in vars(found).values())


def test_metrics_are_a_prometheus_text_file(scored: Run) -> None:
    status = Watch(scored).look()
    lines = list(metrics(status))
    assert "cxrscribe_score_films_done 25" in lines
    for line in lines:
        assert line.startswith(("# HELP cxrscribe_score_", "# TYPE cxrscribe_score_")) or (
            math.isfinite(float(line.rpartition(" ")[2]))
        )
    with_reasons = Status(**{**vars(status), "reasons": {"missing": 3}})
    assert 'cxrscribe_score_films_quarantined{reason="missing"} 3' in list(metrics(with_reasons))


def test_progress_looks_at_the_beginning_and_at_the_end(
    begin: Begin, archive: Path, reporter: Reporter
) -> None:
    run = begin(archive)
    seen: list[Status] = []
    with Progress(run, seen.append):
        list(score_shards(run, range(3), reporter))
    assert seen[-1].done == 25
    assert b"cxrscribe_score_films_done 25\n" in run.place.read("progress.prom")


def test_what_people_are_told_may_fail(
    scored: Run, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    (receipt,) = score_shards(scored, [0], reporter)
    monkeypatch.setattr("os.write", full)
    EventLog(scored.place).write(receipt)
    write_metrics(scored.place, Watch(scored).look())
    monkeypatch.undo()
    assert scored.place.names("events") == [] or scored.place.read(scored.place.names("events")[0]) == b""

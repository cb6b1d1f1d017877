"""Films that bring down whoever scores them: found by the third attempt, whatever scores the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cxrscribe.archive import Run, open_run, score_shards
from cxrscribe.archive.attempts import begin_attempt
from cxrscribe.archive.bisection import isolated_rows
from cxrscribe.archive.comparison import newest_rows
from cxrscribe.archive.stream import Made
from cxrscribe.archive.verify import verify
from cxrscribe.engine import Engine
from cxrscribe.errors import InputError, Reason
from cxrscribe.reporter import Reporter
from support.archive_films import write_films
from support.armed_film import KILLER, arm

Begin = Callable[..., Run]
NOTING = """
import os
if "CXRSCRIBE_WORKER_FOLDER" in os.environ:
    with open({made!r}, "a") as file:
        print(os.environ["CXRSCRIBE_WORKER_FOLDER"], file=file)
"""


@pytest.fixture
def armed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    folder = tmp_path / "armed"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return lambda how: arm(folder, how)


def test_one_film_that_kills_costs_itself_only(
    begin: Begin, archive: Path, reporter: Reporter, armed: Callable[[str], None]
) -> None:
    armed("os.abort()")
    run = begin(archive)
    found = list(isolated_rows(run, 0, run.generation().films_of(0), Engine.of(reporter)))
    rows = [made.row for made in found if isinstance(made, Made)]
    assert [row.row for row in rows] == list(range(10))
    assert [row.row for row in rows if row.reason is Reason.KILLED_THE_READER] == [KILLER]
    assert [row.row for row in rows if row.report is None] == [KILLER]


@pytest.mark.slow
def test_film_that_hangs_is_given_up_after_its_time(
    begin: Begin, archive: Path, reporter: Reporter, armed: Callable[[str], None]
) -> None:
    armed("time.sleep(1000)")
    run = begin(archive)
    films = run.generation().films_of(0)[KILLER - 1 : KILLER + 1]
    first, second = isolated_rows(run, 0, films, Engine.of(reporter), film_seconds=8)
    assert isinstance(first, Made)
    assert isinstance(second, Made)
    assert (first.row.reason, second.row.reason) == (None, Reason.TIMED_OUT)


def test_third_attempt_is_made_in_processes_of_their_own(
    begin: Begin, archive: Path, reporter: Reporter, armed: Callable[[str], None]
) -> None:
    armed("os.abort()")
    run = begin(archive)
    for _ in range(2):
        begin_attempt(run.generation(), 0)
    (receipt,) = score_shards(run, [0], reporter)
    assert (receipt.attempt, dict(receipt.reasons)) == (3, {"killed_the_reader": 1})


def test_isolated_rows_are_those_of_the_stream(begin: Begin, archive: Path, reporter: Reporter) -> None:
    run, other = begin(archive), begin(archive, path=archive.parent / "isolated")
    list(score_shards(run, range(3), reporter))
    for shard in range(3):
        for _ in range(2):
            begin_attempt(other.generation(), shard)
    list(score_shards(other, range(3), reporter))
    assert verify(other).fingerprint == verify(run).fingerprint


@pytest.mark.parametrize("stopped", [False, True])
def test_processes_that_score_films_by_themselves_leave_no_folder(
    begin: Begin,
    archive: Path,
    reporter: Reporter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stopped: bool,
) -> None:
    folders = tmp_path / "temporary"
    folders.mkdir()
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(folders))
    made, begun = tmp_path / "made", tmp_path / "begun"
    begun.mkdir()
    (begun / "sitecustomize.py").write_text(NOTING.format(made=str(made)))
    monkeypatch.syspath_prepend(begun)
    run = begin(archive)
    engine = replace(Engine.of(reporter), isolate="all")
    found = isolated_rows(run, 0, run.generation().films_of(0), engine)
    assert isinstance(next(found), Made)
    decoders = made.read_text().split()
    assert decoders
    assert {Path(each).parent for each in decoders} == {folders}
    if stopped:
        found.close()  # type: ignore[attr-defined]
    else:
        assert len(list(found)) == 9
    assert list(folders.iterdir()) == []


def test_bundle_that_is_gone_is_no_fault_of_the_films(begin: Begin, archive: Path, tmp_path: Path) -> None:
    run = begin(archive)
    with pytest.raises(InputError, match=r"doesn't start: .*manifest\.json"):
        list(isolated_rows(run, 0, run.generation().films_of(0), Engine(str(tmp_path / "nothing"))))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_run_gets_over_a_film_that_kills(tmp_path: Path, workers: int) -> None:
    archive = write_films(tmp_path / "archive", 25)
    arm(tmp_path, "os.abort()")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = [
        sys.executable,
        "-m",
        "cxrscribe",
        "score",
        archive,
        "--run",
        tmp_path / "run",
        "--device",
        "cpu",
    ]
    command += ["--shard-films", "5", "--workers", workers]
    ends = []
    while len(ends) < 5:
        done = subprocess.run(
            [str(word) for word in command],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            timeout=300,
            check=False,
        )
        ends.append(done.returncode)
        if done.returncode >= 0:
            break
    assert ends == ([-6, -6, 1] if workers == 1 else [1])
    run = open_run(tmp_path / "run")
    verdict = verify(run)
    assert (verdict.ok, dict(verdict.reasons), verdict.missing) == (24, {"killed_the_reader": 1}, 0)
    assert [row.row for _, row in newest_rows(run) if row.reason] == [KILLER]

"""Runs that are killed at random moments and gone on with: nothing lost, nothing twice, nothing replaced."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cxrscribe.archive import Run, open_run, score_shards
from cxrscribe.archive.layout import sr_file
from cxrscribe.archive.sr_tar import unpack
from cxrscribe.archive.verify import verify
from cxrscribe.reporter import Reporter
from cxrscribe.structured_report.document import read_document
from support.archive_films import small_film
from support.identified_film import identified_film
from support.killed_runs import KilledRun

FILMS = 48
TRIALS = 15


@pytest.fixture(scope="module")
def large_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 films, of which every tenth is damaged."""
    folder = tmp_path_factory.mktemp("large")
    for number in range(FILMS):
        content = small_film(number)
        (folder / f"{number:03}.png").write_bytes(content[:60] if number % 10 == 3 else content)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_two_commands_at_once_make_one_run(large_archive: Path, tmp_path: Path, workers: int) -> None:
    runs = [KilledRun(large_archive, tmp_path / "run", workers, random.Random(0)) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        for ended in [pool.submit(run.run_once) for run in runs]:
            ended.result()
    assert runs[0].parts == runs[1].parts
    verdict = verify(open_run(tmp_path / "run"))
    assert (verdict.planned, verdict.missing, verdict.repeated, verdict.problems) == (FILMS, 0, 0, [])


@pytest.mark.slow
@pytest.mark.skipif("sys.platform == 'win32'", reason="Windows has no process groups to kill")
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_runs_lose_nothing_and_repeat_nothing(
    large_archive: Path,
    tmp_path: Path,
    begin: object,
    reporter: Reporter,
    pytestconfig: pytest.Config,
    workers: int,
) -> None:
    whole: Run = begin(large_archive, shard_films=3)  # type: ignore[operator]
    list(score_shards(whole, whole.generation().missing(), reporter))
    fingerprint = verify(whole).fingerprint
    kills = 0
    for trial in range(pytestconfig.getoption("--archive-trials") or TRIALS):
        run = KilledRun(large_archive, tmp_path / f"killed-{trial}", workers, random.Random(trial))
        verdict = run.score()
        kills += run.kills
        assert (verdict.planned, verdict.missing, verdict.repeated, verdict.problems) == (FILMS, 0, 0, [])
        assert verdict.fingerprint == fingerprint
        assert run.replaced == []
    assert kills > 0


@pytest.mark.slow
@pytest.mark.skipif("sys.platform == 'win32'", reason="Windows has no process groups to kill")
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_runs_have_every_structured_report_once(
    tmp_path: Path, begin: object, reporter: Reporter, workers: int
) -> None:
    folder = tmp_path / "dicoms"
    folder.mkdir()
    for number in range(24):
        content = identified_film(number, SOPInstanceUID=f"1.2.3.{number}")
        (folder / f"{number:03}.dcm").write_bytes(content[:600] if number % 10 == 3 else content)
    whole: Run = begin(folder, shard_films=3, sr=True)  # type: ignore[operator]
    list(score_shards(whole, whole.generation().missing(), reporter))
    kills = 0
    for trial in range(4):
        path = tmp_path / f"killed-{trial}"
        run = KilledRun(folder, path, workers, random.Random(trial), options=("--sr",))
        verdict = run.score()
        kills += run.kills
        assert (verdict.missing, verdict.problems, verdict.sr_documents) == (0, [], 21)
        assert run.replaced == []
        assert _uids(open_run(path)) == _uids(whole)
    assert kills > 0


def _uids(run: Run) -> list[str]:
    """SOPInstanceUIDs of all documents, in order."""
    names = [sr_file(0, shard) for shard in run.generation().shards]
    return [read_document(each).uid for name in names for _, each in unpack(run.place.read(name), name)]

"""Worker processes: they share the shards, and their deaths cost nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cxrscribe.archive import Run, score_shards, supervisor
from cxrscribe.archive.supervisor import Assignment, _environment, supervise
from cxrscribe.archive.verify import verify
from cxrscribe.engine import Engine
from cxrscribe.errors import InputError
from cxrscribe.json_object import JsonObject
from cxrscribe.reporter import Reporter
from support.archive_films import write_films
from support.armed_film import arm

Begin = Callable[..., Run]


def workers_of(supervisor: int) -> set[int]:
    """Processes of the worker's program that this process has started."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if b"cxrscribe.archive.worker" in words and parent == supervisor:
                found.add(int(folder.name))
    return found


@pytest.fixture
def assignment(begin: Begin, archive: Path, reporter: Reporter) -> Assignment:
    return Assignment(begin(archive, shard_films=2), replace(Engine.of(reporter), threads=1))


def test_workers_score_what_one_process_scores(
    assignment: Assignment, begin: Begin, archive: Path, reporter: Reporter
) -> None:
    receipts = list(supervise(assignment, range(13), 2))
    assert sorted(receipt.shard for receipt in receipts) == list(range(13))
    assert all(receipt.committed for receipt in receipts)
    alone = begin(archive, path=archive.parent / f"alone-{os.getpid()}", shard_films=2)
    list(score_shards(alone, range(13), reporter))
    assert verify(assignment.run).fingerprint == verify(alone).fingerprint


def test_no_shards_need_no_workers(assignment: Assignment) -> None:
    assert list(supervise(assignment, [], 2)) == []


@pytest.mark.skipif("sys.platform != 'linux'", reason="finds its children in /proc")
def test_workers_that_are_killed_are_replaced(assignment: Assignment) -> None:
    receipts = []
    killed: set[int] = set()
    for receipt in supervise(assignment, range(13), 2):
        receipts.append(receipt)
        if len(killed) < 3 and (alive := workers_of(os.getpid()) - killed):
            victim = min(alive)
            os.kill(victim, signal.SIGKILL)
            killed.add(victim)
    assert killed
    assert {receipt.shard for receipt in receipts} == set(range(13))
    verdict = verify(assignment.run)
    assert (verdict.ok, verdict.missing, verdict.repeated, verdict.problems) == (25, 0, 0, [])
    assert workers_of(os.getpid()) == set()


def test_workers_that_can_not_start_end_the_run(assignment: Assignment, tmp_path: Path) -> None:
    lost = replace(assignment, engine=replace(assignment.engine, bundle=str(tmp_path / "nothing")))
    with pytest.raises(InputError, match=r"manifest\.json"):
        list(supervise(lost, range(13), 2))


def test_workers_that_die_at_once_end_the_run(
    assignment: Assignment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif 'worker' in ' '.join(sys.orig_argv):\n    import os\n    os._exit(3)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"workers die while they start \(3\)"):
        list(supervise(assignment, range(13), 2))


def test_workers_whose_libraries_print_score_all_the_same(
    assignment: Assignment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('hello from site', flush=True)\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert {receipt.shard for receipt in supervise(assignment, range(13), 1)} == set(range(13))


@pytest.mark.slow
def test_workers_that_die_at_all_shards_end_the_run(
    assignment: Assignment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nfrom cxrscribe.archive.rows import part\npart.PartMaker.make = lambda *_: os._exit(5)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"workers die one after the other \(5\)"):
        list(supervise(assignment, range(13), 1))


@pytest.mark.skipif("sys.platform != 'linux'", reason="finds its children in /proc")
def test_interruption_ends_the_workers_and_takes_back_what_was_begun(assignment: Assignment) -> None:
    receipts = supervise(assignment, range(13), 2)
    next(receipts)
    receipts.close()  # type: ignore[attr-defined]
    assert workers_of(os.getpid()) == set()
    done = assignment.run.generation().done()
    begun = {int(name.rpartition("/")[2][:6]) for name in assignment.run.place.names("attempts")}
    assert begun <= set(done)  # of a shard that was committed just then it may be taken back too


@pytest.mark.slow
def test_worker_that_hangs_is_killed_and_its_film_found(
    begin: Begin, archive: Path, reporter: Reporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm(tmp_path, "time.sleep(1000) if 'worker' in ' '.join(__import__('sys').orig_argv) else os.abort()")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(supervisor, "_PATIENCE_SECONDS", 8.0)
    monkeypatch.setattr(supervisor, "_LOOK_SECONDS", 0.2)
    run = begin(archive, shard_films=5)
    receipts = list(supervise(Assignment(run, replace(Engine.of(reporter), threads=1)), range(5), 2))
    assert {receipt.shard for receipt in receipts} == set(range(5))
    assert dict(verify(run).reasons) == {"killed_the_reader": 1}


def test_each_worker_has_one_of_several_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert [_environment(number) for number in range(3)] == [
        {"CUDA_VISIBLE_DEVICES": "2"},
        {"CUDA_VISIBLE_DEVICES": "3"},
        {"CUDA_VISIBLE_DEVICES": "2"},
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert _environment(0) == {}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert _environment(0) == {}


def test_engine_is_read_as_it_was_written(reporter: Reporter) -> None:
    engine = Engine.of(reporter)
    assert Engine.from_json(JsonObject(engine.to_json(), "engine")) == engine
    with engine.load() as other:
        assert (other.device, other.precision, other.threads) == (
            reporter.device,
            reporter.precision,
            reporter.threads,
        )


@pytest.mark.slow
@pytest.mark.skipif("sys.platform != 'linux'", reason="finds processes in /proc")
def test_workers_do_not_outlive_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    archive = write_films(tmp_path / "archive", 25)
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
    process = subprocess.Popen(
        [*map(str, command), "--workers", "2", "--shard-films", "1"], stderr=subprocess.DEVNULL
    )
    while not list((tmp_path / "run").glob("parts/*/part-*")):
        assert process.poll() is None
    orphans = workers_of(process.pid)
    assert orphans
    process.kill()
    process.wait()
    ends = time.monotonic() + 60
    while any(Path(f"/proc/{orphan}").exists() for orphan in orphans):
        assert time.monotonic() < ends
        time.sleep(0.05)

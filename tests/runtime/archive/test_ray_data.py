"""Ray Data as scheduler: the same rows, whatever of it is killed.

Needs the extra `ray`; most take half a minute.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cxrscribe.archive import Run, open_run, score_shards
from cxrscribe.archive.engine import Engine
from cxrscribe.archive.supervisor import Assignment
from cxrscribe.archive.verify import newest_rows, verify
from cxrscribe.errors import InputError, MissingExtraError
from cxrscribe.reporter import Reporter
from support.archive_films import small_film, write_films

Begin = Callable[..., Run]
FILMS = 60


def test_without_the_extra_it_is_named(
    begin: Begin, archive: Path, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cxrscribe.archive.ray_data import score_on_ray

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"cxrscribe\[ray\]"):
        list(score_on_ray(Assignment(begin(archive), Engine.of(reporter)), [0]))


@pytest.fixture
def scorer() -> None:
    """Ray is there."""
    pytest.importorskip("ray", reason="the extra ray isn't installed")


@pytest.fixture
def large_archive(tmp_path: Path) -> Path:
    return write_films(tmp_path / "large", FILMS)


@pytest.fixture
def assignment(begin: Begin, large_archive: Path, reporter: Reporter) -> Assignment:
    run = begin(large_archive, shard_films=2)
    return Assignment(run, replace(Engine.of(reporter, spinning=False), threads=1))


def check(run: Run, begin: Begin, archive: Path, reporter: Reporter) -> None:
    """Nothing is lost, nothing there twice, and the rows are those of one process."""
    alone = begin(archive, path=archive.parent / "alone", shard_films=2)
    list(score_shards(alone, alone.generation().missing(), reporter))
    verdict = verify(run)
    assert (verdict.ok, verdict.missing, verdict.repeated, verdict.problems) == (FILMS, 0, 0, [])
    assert verdict.fingerprint == verify(alone).fingerprint


def actors() -> list[int]:
    """The processes of Ray's actors on this machine."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if words.startswith(b"ray::MapWorker"):
                found.append(int(folder.name))
    return sorted(found)


def test_one_actor_gives_receipts_and_its_first_error_for_ever(
    begin: Begin, archive: Path, reporter: Reporter, tmp_path: Path
) -> None:
    from cxrscribe.archive.ray_data import RayScorer

    run = begin(archive)
    assignment = Assignment(run, Engine.of(reporter))
    said = RayScorer(assignment.request())({"shard": [0, 2]})["receipt"]
    assert [json.loads(each)["shard"] for each in said] == [0, 2]
    assert run.generation().missing() == [1]
    lost = RayScorer(Assignment(run, replace(assignment.engine, bundle=str(tmp_path / "no"))).request())
    for _ in range(2):
        (error,) = lost({"shard": [1]})["receipt"]
        assert "manifest.json" in json.loads(error)["error"]


@pytest.mark.slow
@pytest.mark.usefixtures("scorer")
@pytest.mark.filterwarnings("ignore")  # Ray's own, of its own
class TestOnRay:
    """With a cluster."""

    def test_actor_that_is_killed_costs_nothing(
        self, assignment: Assignment, begin: Begin, large_archive: Path, reporter: Reporter
    ) -> None:
        from cxrscribe.archive.ray_data import score_on_ray

        killed = 0
        for _ in score_on_ray(assignment, range(FILMS // 2), most_actors=2):
            if not killed and (alive := actors()):
                os.kill(alive[0], signal.SIGKILL)
                killed += 1
        assert killed
        check(assignment.run, begin, large_archive, reporter)

    def test_actor_without_the_bundle_ends_the_run_and_names_its_machine(
        self, assignment: Assignment, tmp_path: Path
    ) -> None:
        from cxrscribe.archive.ray_data import score_on_ray

        lost = replace(assignment, engine=replace(assignment.engine, bundle=str(tmp_path / "nothing")))
        with pytest.raises(InputError, match=rf"{platform.node()}: .*manifest\.json"):
            list(score_on_ray(lost, range(4)))

    def test_node_that_dies_costs_nothing(
        self, assignment: Assignment, begin: Begin, large_archive: Path, reporter: Reporter
    ) -> None:
        import ray
        from ray.cluster_utils import Cluster

        from cxrscribe.archive.ray_data import score_on_ray

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        node = cluster.add_node(num_cpus=1)
        try:
            dead = False
            for _ in score_on_ray(assignment, range(FILMS // 2), address=cluster.address, most_actors=2):
                if not dead:
                    cluster.remove_node(node, allow_graceful=False)
                    dead = True
            assert dead
        finally:
            ray.shutdown()
            cluster.shutdown()
        check(assignment.run, begin, large_archive, reporter)

    def test_driver_that_is_killed_is_gone_on_with(
        self, large_archive: Path, tmp_path: Path, begin: Begin, reporter: Reporter
    ) -> None:
        path = tmp_path / "run-by-ray"
        words = [sys.executable, "-m", "cxrscribe", "score", large_archive, "--run", path, "--device", "cpu"]
        words += ["--shard-films", 2, "--scheduler", "ray", "--threads", 1, "--no-spinning"]
        command = [str(word) for word in words]
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not list(path.glob("parts/*/part-*")):
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert (done.returncode, done.stdout) == (
            0,
            f"{FILMS} films = {FILMS} ok + 0 quarantined + 0 missing\n",
        )
        check(open_run(path), begin, large_archive, reporter)

    def test_names_of_films_are_not_in_rays_logs(self, tmp_path: Path) -> None:
        folder = tmp_path / "films" / "Doe_Jane"
        folder.mkdir(parents=True)
        for number in range(6):
            content = small_film(number)
            (folder / f"ID-4711-{number}.png").write_bytes(content[:70] if number % 2 else content)
        logs = Path(f"/tmp/ray-{os.getpid()}")  # the paths of its sockets must be short
        words = [sys.executable, "-m", "cxrscribe", "score", folder.parent, "--run", tmp_path / "run"]
        words += ["--device", "cpu", "--shard-films", 2, "--scheduler", "ray", "--threads", 1]
        done = subprocess.run(
            [str(word) for word in words],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={**os.environ, "RAY_TMPDIR": str(logs)},
        )
        try:
            assert done.returncode == 1, done.stderr
            assert sum(row.reason is not None for _, row in newest_rows(open_run(tmp_path / "run"))) == 3
            texts = {"output": done.stdout + done.stderr} | dict(texts_below(logs))
            assert len(texts) > 5
            assert [name for name, text in texts.items() if "Doe_Jane" in text or "ID-4711" in text] == []
        finally:
            shutil.rmtree(logs, ignore_errors=True)


def texts_below(folder: Path) -> Iterator[tuple[str, str]]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield str(path), path.read_text(encoding="utf-8", errors="replace")

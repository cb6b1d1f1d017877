"""Ray Data as scheduler: the same rows, whatever of it is killed.

Needs the extra `ray`; most take half a minute.
"""

from __future__ import annotations

import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest

import cxrscribe
from cxrscribe.archive import Run, begin_run, open_run, score_shards
from cxrscribe.archive.comparison import newest_rows
from cxrscribe.archive.supervisor import Assignment
from cxrscribe.archive.verify import verify
from cxrscribe.engine import Engine
from cxrscribe.errors import InputError, MissingExtraError
from cxrscribe.reporter import Reporter
from support.archive_films import small_film, write_films

Begin = Callable[..., Run]
Kill = Callable[[random.Random], object]
Parts = dict[str, tuple[int, bytes]]
FILMS = 120
MOST_PARTS = 40
"""Of 60, after which a run is broken off."""
TRIALS = 2


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
    return assigned(begin(large_archive, shard_films=2), reporter)


def assigned(run: Run, reporter: Reporter) -> Assignment:
    return Assignment(run, replace(Engine.of(reporter, spinning=False), threads=1))


@pytest.fixture
def trials(pytestconfig: pytest.Config) -> list[random.Random]:
    """The chance of each trial of a test that kills."""
    return [random.Random(trial) for trial in range(pytestconfig.getoption("--archive-trials") or TRIALS)]


@pytest.fixture
def whole(begin: Begin, large_archive: Path, reporter: Reporter) -> str:
    """The fingerprint of the rows that one process makes."""
    run = begin(large_archive, path=large_archive.parent / "alone", shard_films=2)
    list(score_shards(run, run.generation().missing(), reporter))
    return verify(run).fingerprint


def check(path: Path, whole: str, before: Parts) -> None:
    """Nothing is lost, twice, or in another part than before, and the rows are those of one process."""
    verdict = verify(open_run(path))
    assert (verdict.ok, verdict.missing, verdict.repeated, verdict.problems) == (FILMS, 0, 0, [])
    assert verdict.fingerprint == whole
    assert before.items() <= parts(path).items()


def parts(path: Path) -> Parts:
    """Inode and content of each part that is there."""
    there = [part for part in path.glob("parts/*/part-*") if part.is_file()]
    return {part.name: (part.stat().st_ino, part.read_bytes()) for part in there}


def wait_for_parts(path: Path, chance: random.Random, goes_on: Callable[[], bool]) -> Parts:
    """Wait until a random number of parts is there, or nothing goes on any more; gives them."""
    wanted = chance.randint(1, MOST_PARTS)
    while goes_on() and len(list(path.glob("parts/*/part-*"))) < wanted:
        time.sleep(0.002)
    return parts(path)


def score_and_break(assignment: Assignment, chance: random.Random, kill: Kill, **options: object) -> Parts:
    """Score by Ray, and meanwhile kill, once a random number of parts is there; gives those."""
    from cxrscribe.archive.ray_data import score_on_ray

    path = Path(assignment.run.place.url)
    found: Parts = {}
    ended = Event()

    def break_off() -> None:
        found.update(wait_for_parts(path, chance, lambda: not ended.is_set()))
        kill(chance)

    breaker = Thread(target=break_off)
    breaker.start()
    try:
        for _ in score_on_ray(assignment, range(FILMS // 2), most_actors=2, **options):  # type: ignore[arg-type]
            pass
    finally:
        ended.set()
        breaker.join()
    return found


def run_and_kill(command: list[str], path: Path, chance: random.Random) -> bool:
    """Kill a command and its group, once a random number of parts is there; whether it was still at work."""
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for_parts(path, chance, lambda: process.poll() is None)
    at_work = process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return at_work


def actors() -> list[int]:
    """The processes of our own Ray's actors: children of children of this process."""
    return [
        actor
        for child in children(os.getpid())
        for actor in children(child)
        if Path(f"/proc/{actor}/cmdline").read_bytes().startswith(b"ray::MapWorker")
    ]


def children(process: int) -> list[int]:
    """The processes that this one has started, on any of its threads."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    return sorted(int(child) for each in lists for child in each.read_text(encoding="ascii").split())


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


@pytest.fixture
def told(large_archive: Path, tmp_path: Path) -> Iterator[Assignment]:
    """A run whose films have texts of a table, by a model that reads them."""
    pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
    from support.small_bundle import SmallBundle

    bundle = SmallBundle(seed=4, words=30, patient=4, fused=True).write(tmp_path / "bundle")
    rows = [f"{number // 10:03}/{number:05}.png,Chest pain Geheimnis\n" for number in range(0, FILMS, 3)]
    (tmp_path / "told.csv").write_text("film,indication\n" + "".join(rows), encoding="utf-8")
    with cxrscribe.load(bundle, device="cpu", threads=1, spinning=False) as reporter:
        for name in ("told", "told-alone"):
            run = begin_run(
                *(tmp_path / name, [str(large_archive)], reporter, reporter.settings),
                shard_films=20,
                indications=tmp_path / "told.csv",
            )
        list(score_shards(run, run.generation().missing(), reporter))
        yield assigned(open_run(tmp_path / "told"), reporter)


def test_one_actor_gives_films_their_texts_and_refuses_another_table(
    told: Assignment, tmp_path: Path
) -> None:
    from cxrscribe.archive.ray_data import RayScorer

    scorer = RayScorer(told.request())
    for shard in range(FILMS // 20):
        scorer({"shard": [shard]})
    assert verify(told.run).fingerprint == verify(open_run(tmp_path / "told-alone")).fingerprint
    (tmp_path / "told.csv").write_text("film,indication\na,Geheimnis\n", encoding="utf-8")
    (error,) = RayScorer(told.request())({"shard": [0]})["receipt"]
    assert "isn't the table of indications" in json.loads(error)["error"]
    assert "Geheimnis" not in error


@pytest.mark.slow
@pytest.mark.usefixtures("scorer")
@pytest.mark.filterwarnings("ignore")  # Ray's own, of its own
class TestOnRay:
    """With a cluster."""

    def test_actor_that_is_killed_costs_nothing(
        self,
        begin: Begin,
        large_archive: Path,
        reporter: Reporter,
        tmp_path: Path,
        trials: list[random.Random],
        whole: str,
    ) -> None:
        killed: list[int] = []

        def kill(chance: random.Random) -> None:
            for actor in chance.sample(found := actors(), min(1, len(found))):
                os.kill(actor, signal.SIGKILL)
                killed.append(actor)

        for trial, chance in enumerate(trials):
            path = tmp_path / f"run-{trial}"
            run = begin(large_archive, path=path, shard_films=2)
            before = score_and_break(assigned(run, reporter), chance, kill)
            check(path, whole, before)
        assert len(killed) == len(trials)

    def test_actor_without_the_bundle_ends_the_run_and_names_its_machine(
        self, assignment: Assignment, tmp_path: Path
    ) -> None:
        from cxrscribe.archive.ray_data import score_on_ray

        lost = replace(assignment, engine=replace(assignment.engine, bundle=str(tmp_path / "nothing")))
        with pytest.raises(InputError, match=rf"{platform.node()}: .*manifest\.json"):
            list(score_on_ray(lost, range(4)))

    def test_node_that_dies_costs_nothing(
        self,
        begin: Begin,
        large_archive: Path,
        reporter: Reporter,
        tmp_path: Path,
        trials: list[random.Random],
        whole: str,
    ) -> None:
        import ray
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        nodes = [cluster.add_node(num_cpus=1)]

        def kill(chance: random.Random) -> None:
            cluster.remove_node(nodes.pop(chance.randrange(2)), allow_graceful=False)

        try:
            for trial, chance in enumerate(trials):
                nodes.append(cluster.add_node(num_cpus=1))
                path = tmp_path / f"run-{trial}"
                run = begin(large_archive, path=path, shard_films=2)
                before = score_and_break(assigned(run, reporter), chance, kill, address=cluster.address)
                check(path, whole, before)
        finally:
            ray.shutdown()
            cluster.shutdown()

    def test_driver_that_is_killed_is_gone_on_with(
        self, large_archive: Path, tmp_path: Path, trials: list[random.Random], whole: str
    ) -> None:
        killed = 0
        for trial, chance in enumerate(trials):
            path = tmp_path / f"run-{trial}"
            words = [sys.executable, "-m", "cxrscribe", "score", large_archive, "--run", path]
            words += ["--device", "cpu", "--shard-films", 2, "--scheduler", "ray", "--threads", 1]
            command = [str(word) for word in [*words, "--no-spinning"]]
            killed += run_and_kill(command, path, chance)
            before = parts(path)
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            assert (done.returncode, done.stdout) == (
                0,
                f"{FILMS} films = {FILMS} ok + 0 quarantined + 0 missing\n",
            )
            check(path, whole, before)
        assert killed > 0

    def test_films_have_their_texts(self, told: Assignment, tmp_path: Path) -> None:
        from cxrscribe.archive.ray_data import score_on_ray

        assert len(list(score_on_ray(told, range(FILMS // 20), most_actors=2))) == FILMS // 20
        alone = open_run(tmp_path / "told-alone")
        assert verify(told.run).fingerprint == verify(alone).fingerprint
        assert sum(row.indication is True for _, row in newest_rows(told.run)) == FILMS // 3

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

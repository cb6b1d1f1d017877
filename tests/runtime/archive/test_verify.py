"""Verification finds whatever is wrong with a run, and says what."""

from __future__ import annotations

import gzip
import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from cxrscribe.archive import Run, open_run, score_shards
from cxrscribe.archive.comparison import newest_rows, verify_contents, verify_sample
from cxrscribe.archive.places.folder import Folder
from cxrscribe.archive.retry import begin_retry
from cxrscribe.archive.rows.part import PartMaker, read_header, read_part
from cxrscribe.archive.sources import members
from cxrscribe.archive.verify import drop_broken, verify
from cxrscribe.errors import InputError
from cxrscribe.reporter import Reporter
from support.archive_films import small_film, write_tar
from support.archive_parts import bomb

Begin = Callable[..., Run]


def part(run: Run, shard: int) -> Path:
    return run.place.path / run.generation().part(shard)


def test_whole_run_adds_up(scored: Run) -> None:
    verdict = verify(scored)
    assert (verdict.planned, verdict.ok, verdict.quarantined, verdict.missing) == (25, 25, 0, 0)
    assert (verdict.repeated, verdict.problems, verdict.is_whole) == (0, [], True)


def test_fingerprint_is_that_of_the_rows(
    scored: Run, begin: Begin, archive: Path, reporter: Reporter
) -> None:
    other = begin(archive, path=scored.place.path.parent / "other")
    list(score_shards(other, [2, 1, 0], reporter, batch_size=1))
    assert verify(other).fingerprint == verify(scored).fingerprint
    part(other, 2).unlink()
    assert verify(other).fingerprint != verify(scored).fingerprint


def test_missing_part_is_missing_films(scored: Run) -> None:
    part(scored, 1).unlink()
    verdict = verify(scored)
    assert (verdict.missing, verdict.missing_shards, verdict.problems) == (10, 1, [])


@pytest.mark.parametrize("place", [3, 400, -100, -5])
def test_flipped_byte_is_found_and_its_shard_scored_anew(scored: Run, reporter: Reporter, place: int) -> None:
    before = verify(scored).fingerprint
    content = bytearray(part(scored, 1).read_bytes())
    content[place] ^= 1
    part(scored, 1).write_bytes(content)
    verdict = verify(scored)
    assert verdict.damaged == ["parts/000/part-000001.jsonl.gz"]
    assert not verdict.is_whole
    drop_broken(scored, verdict)
    assert scored.place.names("broken")
    assert (verify(scored).missing, verify(scored).problems) == (10, [])
    list(score_shards(scored, scored.generation().missing(), reporter))
    assert verify(scored).fingerprint == before


def test_part_that_can_not_be_read_now_is_named_and_not_put_aside(
    scored: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Folder.read

    def read(self: Folder, name: str) -> bytes:
        if name.endswith("part-000001.jsonl.gz"):
            raise InputError(f"{name} can't be read (Input/output error)")
        return real(self, name)

    monkeypatch.setattr(Folder, "read", read)
    verdict = verify(scored)
    assert (verdict.is_whole, verdict.damaged) == (False, [])
    assert "Input/output error" in verdict.problems[0]


def test_what_is_damaged_beside_a_part_costs_no_part(scored: Run) -> None:
    plan = scored.place.path / scored.plan.shards[1].file
    plan.write_bytes(plan.read_bytes()[:-1] + b"?")
    verdict = verify(scored)
    assert (verdict.is_whole, verdict.damaged) == (False, [])
    assert "the plan is damaged" in verdict.problems[0]


@pytest.mark.parametrize("changed", [b'"films":10', b'"processor":"', b'"duplicates":0'])
def test_header_that_was_changed_is_found(scored: Run, changed: bytes) -> None:
    content = bytearray(part(scored, 1).read_bytes())
    content[content.index(changed) + len(changed) - 1] ^= 1
    part(scored, 1).write_bytes(content)
    assert verify(scored).damaged == ["parts/000/part-000001.jsonl.gz"]


@pytest.mark.parametrize("place", range(10))
def test_every_byte_before_the_header_is_compared(scored: Run, place: int) -> None:
    content = bytearray(part(scored, 1).read_bytes())
    content[place] ^= 1
    part(scored, 1).write_bytes(content)
    assert verify(scored).damaged == ["parts/000/part-000001.jsonl.gz"]


def test_part_of_another_run_is_found(scored: Run, begin: Begin, archive: Path, reporter: Reporter) -> None:
    other = begin(archive, path=scored.place.path.parent / "other", shard_films=5)
    list(score_shards(other, [1], reporter))
    shutil.copy(part(other, 1), part(scored, 1))
    (problem,) = verify(scored).problems
    assert "another run or shard" in problem


def test_part_under_another_shards_name_is_found(scored: Run) -> None:
    shutil.copy(part(scored, 0), part(scored, 1))
    (problem,) = verify(scored).problems
    assert "another run or shard" in problem


def test_rows_that_stand_twice_are_counted(scored: Run) -> None:
    folder = scored.place.path / "parts" / "007"
    folder.mkdir()
    shutil.copy(part(scored, 0), folder / "part-000000.jsonl.gz")
    verdict = verify(scored)
    assert verdict.repeated == 10
    assert not verdict.is_whole


def test_films_of_one_name_in_a_run_begun_before_are_scored_and_counted(
    begin: Begin, own_archive: Path, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_archive / "a.tar!").mkdir()
    (own_archive / "a.tar!" / "b.png").write_bytes(small_film(101))
    write_tar(own_archive / "a.tar", {"b.png": small_film(102)})
    with monkeypatch.context() as before:
        before.setattr(members, "called", lambda path: path)  # as earlier versions called films
        run = begin(own_archive)
    list(score_shards(run, range(3), reporter))
    verdict = verify(open_run(run.place.path))
    assert (verdict.planned, verdict.ok, verdict.repeated, verdict.is_whole) == (27, 27, 1, False)
    assert "1 films have the name of another one" in verdict.problems[0]
    assert verdict.damaged == []
    twins = [row.content_sha256 for _, row in newest_rows(run) if row.film == "a.tar!/b.png"]
    assert len(set(twins)) == 2


def test_run_over_such_films_now_is_whole(begin: Begin, own_archive: Path, reporter: Reporter) -> None:
    (own_archive / "a.tar!").mkdir()
    (own_archive / "a.tar!" / "b.png").write_bytes(small_film(101))
    write_tar(own_archive / "a.tar", {"b.png": small_film(102)})
    run = begin(own_archive)
    list(score_shards(run, range(3), reporter))
    verdict = verify(run)
    assert (verdict.planned, verdict.ok, verdict.repeated, verdict.is_whole) == (27, 27, 0, True)
    assert verify_contents(run).problems == ()
    assert {"a.tar!/b.png", "a.tar!!/b.png"} <= {row.film for _, row in newest_rows(run)}


def test_file_among_the_parts_that_unpacks_without_end_is_not_unpacked(scored: Run) -> None:
    name = scored.generation().part(0)
    header = read_header(scored.place.read(name), name)
    content = bomb(header, 64 << 20)
    folder = scored.place.path / "parts" / "007"
    folder.mkdir()
    (folder / "part-000000.jsonl.gz").write_bytes(content)
    part(scored, 1).write_bytes(content)
    tracemalloc.start()
    try:
        verdict = verify(scored)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert verdict.damaged == ["parts/000/part-000001.jsonl.gz"]
    assert "parts/007/part-000000.jsonl.gz isn't a file of this run" in "".join(verdict.problems)
    assert peak < 16 << 20


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such pipes")
def test_pipe_that_bears_a_parts_name_is_not_waited_for(scored: Run) -> None:
    part(scored, 1).unlink()
    os.mkfifo(part(scored, 1))
    (scored.place.path / "parts" / "007").mkdir()
    os.mkfifo(scored.place.path / "parts" / "007" / "part-000000.jsonl.gz")
    problems = "".join(verify(scored).problems)
    assert "part-000001.jsonl.gz can't be read (it is not a regular file)" in problems
    assert "parts/007/part-000000.jsonl.gz isn't a file of this run" in problems


def test_part_with_another_film_in_a_row_is_found(scored: Run) -> None:
    name = scored.generation().part(0)
    rows = {row.row: row for row in read_part(scored.place.read(name), name).rows()}
    rows[3], rows[4] = (
        type(rows[3])(**{**vars(rows[3]), "film_id": rows[4].film_id}),
        type(rows[4])(**{**vars(rows[4]), "film_id": rows[3].film_id}),
    )
    identity = scored.identity
    maker = PartMaker(scored.run_id, 0, 0, identity.environment, "", identity.disclaimer)
    part(scored, 0).write_bytes(maker.make(rows, range(10), "jsonl")[1])
    (problem,) = verify(scored).problems
    assert "another row where that of film 3 should be" in problem


def test_damaged_plan_is_an_error(scored: Run) -> None:
    (scored.place.path / scored.plan.shards[0].file).write_bytes(gzip.compress(b"{}"))
    assert not verify(scored).is_whole
    (scored.place.path / "plan.json").write_text("{}")
    with pytest.raises(InputError):
        open_run(scored.place.path)


def test_what_killed_processes_leave_is_counted_and_harmless(scored: Run) -> None:
    (scored.place.path / "parts" / "000" / ".tmp-abc").write_bytes(b"half a part")
    verdict = verify(scored)
    assert (verdict.unfinished_files, verdict.is_whole) == (1, True)


def test_films_are_compared_with_what_was_scored(begin: Begin, own_archive: Path, reporter: Reporter) -> None:
    run = begin(own_archive)
    list(score_shards(run, range(3), reporter))
    assert (verify_contents(run).compared, verify_contents(run).problems) == (25, ())
    path = own_archive / "000" / "00004.png"
    before = path.stat()
    content = small_film(4)[:-4] + b"\0\0\0\0"
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    (problem,) = verify_contents(run).problems
    assert problem == "row 4: its film has another content than the one that was scored"


def test_sample_is_scored_anew_to_the_bit(scored: Run, reporter: Reporter) -> None:
    comparison = verify_sample(scored, reporter, 12)
    assert (comparison.compared, comparison.problems) == (12, ())
    assert verify_sample(scored, reporter, 100).compared == 25


def test_sample_finds_a_report_that_is_not_the_films(scored: Run, reporter: Reporter) -> None:
    name = scored.generation().part(0)
    rows = {row.row: row for row in read_part(scored.place.read(name), name).rows()}
    report = rows[3].report
    altered = type(report)(**{**vars(report), "log_prob": report.log_prob + 1e-7})  # type: ignore[arg-type,union-attr]
    rows[3] = type(rows[3])(**{**vars(rows[3]), "report": altered})
    identity = scored.identity
    header = read_part(scored.place.read(name), name).header
    maker = PartMaker(scored.run_id, 0, 0, identity.environment, header.processor, identity.disclaimer)
    part(scored, 0).write_bytes(maker.make(rows, range(10), "jsonl")[1])
    assert verify(scored).is_whole
    assert verify_sample(scored, reporter, 25).problems == (
        "row 3: scored anew, its film has another report",
    )
    maker = PartMaker(scored.run_id, 0, 0, identity.environment, "another processor", identity.disclaimer)
    part(scored, 0).write_bytes(maker.make(rows, range(10), "jsonl")[1])
    assert verify_sample(scored, reporter, 25).problems == ()


def test_film_that_came_back_twice_is_counted_once(
    begin: Begin, own_archive: Path, reporter: Reporter
) -> None:
    film = own_archive / "000" / "00003.png"
    run = begin(own_archive)
    film.rename(own_archive / "away")
    list(score_shards(run, range(3), reporter))
    (own_archive / "away").rename(film)
    retry = begin_retry(run)
    assert retry is not None
    list(score_shards(run, retry.missing(), reporter, generation=1))
    content = bytearray(part(run, 0).read_bytes())
    content[-5] ^= 1
    part(run, 0).write_bytes(content)
    drop_broken(run, verify(run))
    assert verify(run).missing == 9  # the retry has one of them
    assert [row.row for _, row in newest_rows(run)] == [3, *range(10, 25)]
    with pytest.raises(InputError, match="has 1 shards left to score"):
        begin_retry(run)
    list(score_shards(run, [0], reporter))
    verdict = verify(run)
    assert (verdict.planned, verdict.ok, verdict.quarantined, verdict.missing) == (25, 25, 0, 0)


def test_environment_that_the_run_does_not_know_is_found(scored: Run) -> None:
    name = scored.generation().part(0)
    rows = {row.row: row for row in read_part(scored.place.read(name), name).rows()}
    maker = PartMaker(scored.run_id, 0, 0, "0123456789abcdef", "", scored.identity.disclaimer)
    part(scored, 0).write_bytes(maker.make(rows, range(10), "jsonl")[1])
    (problem,) = verify(scored).problems
    assert "software that the run doesn't know" in problem

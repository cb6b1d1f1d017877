"""Structured reports of a run: one for each report that can have one, the same bytes whatever happens."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

import cxrscribe
from cxrscribe.archive import Run, open_run, score_shards
from cxrscribe.archive.attempts import begin_attempt
from cxrscribe.archive.comparison import newest_rows
from cxrscribe.archive.layout import sr_file
from cxrscribe.archive.progress import metrics
from cxrscribe.archive.retry import begin_retry
from cxrscribe.archive.scoring import Receipt
from cxrscribe.archive.sr_tar import pack, unpack
from cxrscribe.archive.status import Watch
from cxrscribe.archive.supervisor import Assignment, supervise
from cxrscribe.archive.verify import drop_broken, verify
from cxrscribe.engine import Engine
from cxrscribe.errors import InputError, MissingExtraError
from cxrscribe.json_object import JsonObject
from cxrscribe.reporter import Reporter
from cxrscribe.structured_report.document import PREFIX, read_document
from support.archive_films import small_film
from support.dicom_file import NAME
from support.identified_film import INSTANCE, identified_film

Begin = Callable[..., Run]

JAPANESE = {"PatientName": "山田^太郎", "SpecificCharacterSet": "ISO_IR 192"}
FILMS = {
    "0.dcm": identified_film(0, SOPInstanceUID="1.2.3.0"),
    "1.png": small_film(1),
    "2.dcm": identified_film(2),
    "3-twin.dcm": identified_film(3),  # of the same SOPInstanceUID
    "4-copy.dcm": identified_film(2),
    "5-nothing.dcm": identified_film(5, StudyInstanceUID=None),
    "6-damaged.dcm": identified_film(6)[:-50],
    "7-empty-series.dcm": identified_film(7, SeriesInstanceUID=""),
    "8-odd.dcm": identified_film(8, SOPInstanceUID="1.2.3.8", PatientName="a^b^c^d^e^f^g"),
    "9.dcm": identified_film(9, SOPInstanceUID="1.2.3.9", **JAPANESE),
}
NOT_POSSIBLE = {"no_series_instance_uid": 1, "no_study_instance_uid": 1, "not_dicom": 1}
ROWS = [0, 2, 3, 4, 8, 9]
"""Of films that have a structured report."""


@pytest.fixture
def dicoms(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    for name, content in FILMS.items():
        (folder / name).write_bytes(content)
    return folder


def score(run: Run, reporter: Reporter, shards: list[int] | None = None) -> list[Receipt]:
    return list(score_shards(run, run.generation().missing() if shards is None else shards, reporter))


def tars(run: Run, generation: int = 0) -> dict[int, bytes]:
    """The documents of a run, by row."""
    found: dict[int, bytes] = {}
    for shard in run.generation(generation).shards:
        name = sr_file(generation, shard)
        found |= dict(unpack(run.place.read(name), name))
    return found


def test_each_report_that_can_has_one_with_its_words(begin: Begin, dicoms: Path, reporter: Reporter) -> None:
    run = begin(dicoms, sr=True, shard_films=4)
    receipts = score(run, reporter)
    documents = tars(run)
    assert list(documents) == ROWS
    texts = {row.row: row.report.text for _, row in newest_rows(run) if row.report is not None}
    for row, content in documents.items():
        assert read_document(content).finding == PREFIX + texts[row]
    assert sum(receipt.sr_documents for receipt in receipts) == len(ROWS)
    found = pydicom.dcmread(BytesIO(documents[9]))
    assert str(found.PatientName) == "山田^太郎"
    made = found.ContentDate + found.ContentTime
    assert made == "".join(each for each in run.started[:19] if each.isdigit())


def test_twins_have_documents_of_their_own_and_copies_the_same(
    begin: Begin, dicoms: Path, reporter: Reporter
) -> None:
    run = begin(dicoms, sr=True)
    score(run, reporter)
    documents = {row: content for row, content in tars(run).items() if row in (2, 3, 4)}
    found = {row: read_document(content) for row, content in documents.items()}
    assert {each.films for each in found.values()} == {(INSTANCE,)}
    assert found[2].uid != found[3].uid
    assert documents[2] == documents[4]


def test_what_is_not_possible_is_counted_everywhere(begin: Begin, dicoms: Path, reporter: Reporter) -> None:
    run = begin(dicoms, sr=True)
    (receipt,) = score(run, reporter)
    assert dict(receipt.sr_not_possible) == NOT_POSSIBLE
    assert receipt.sr_left_out == 1
    assert Receipt.from_json(JsonObject(receipt.to_json(), "a receipt")) == receipt
    status = Watch(run).look()
    assert (status.sr_documents, status.sr_not_possible, status.sr_left_out) == (6, NOT_POSSIBLE, 1)
    verdict = verify(run)
    assert (verdict.problems, verdict.sr_documents, verdict.sr_not_possible) == ([], 6, NOT_POSSIBLE)
    lines = list(metrics(status))
    assert "cxrscribe_score_sr_documents 6" in lines
    assert 'cxrscribe_score_sr_not_possible{reason="not_dicom"} 1' in lines
    again = score(run, reporter, [0])
    assert (again[0].sr_documents, dict(again[0].sr_not_possible)) == (6, NOT_POSSIBLE)


def test_shard_without_any_has_an_empty_tar(begin: Begin, archive: Path, reporter: Reporter) -> None:
    run = begin(archive, sr=True)
    score(run, reporter)
    assert [unpack(run.place.read(sr_file(0, shard)), "") for shard in range(3)] == [[], [], []]
    assert verify(run).problems == []
    assert verify(run).sr_not_possible == {"not_dicom": 25}


def test_rows_are_those_of_a_run_without(
    begin: Begin, dicoms: Path, reporter: Reporter, tmp_path: Path
) -> None:
    with_them, without = begin(dicoms, sr=True), begin(dicoms, path=tmp_path / "without")
    score(with_them, reporter)
    score(without, reporter)
    assert [row for _, row in newest_rows(with_them)] == [row for _, row in newest_rows(without)]
    assert with_them.run_id != without.run_id
    assert not (tmp_path / "without" / "sr").exists()
    assert Watch(without).look().sr_documents is verify(without).sr_documents is None


def test_choice_is_part_of_the_run(begin: Begin, dicoms: Path, tmp_path: Path) -> None:
    begin(dicoms, sr=True)
    assert begin(dicoms).identity.sr
    with pytest.raises(InputError, match=r"sr was true and is null"):
        begin(dicoms, sr=False)
    other = tmp_path / "other"
    assert "sr" not in begin(dicoms, path=other).identity.to_json()
    with pytest.raises(InputError, match=r"sr was null and is true"):
        begin(dicoms, path=other, sr=True)


def test_without_the_extra_no_such_run_begins(
    begin: Begin, dicoms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxrscribe.archive.beginning.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="dicom"):
        begin(dicoms, sr=True)


def test_two_runs_of_one_identity_have_the_same_uids(
    begin: Begin, dicoms: Path, reporter: Reporter, tmp_path: Path
) -> None:
    one, other = begin(dicoms, sr=True), begin(dicoms, sr=True, path=tmp_path / "other")
    for run in (one, other):
        score(run, reporter)
    uids = [[read_document(each).uid for each in tars(run).values()] for run in (one, other)]
    assert uids[0] == uids[1]
    settings = replace(reporter.settings, beam_width=1)
    wide = begin(dicoms, sr=True, settings=settings, path=tmp_path / "wide")
    score(wide, reporter)
    assert set(uids[0]).isdisjoint(read_document(each).uid for each in tars(wide).values())


def test_who_dies_between_tar_and_part_costs_nothing(begin: Begin, dicoms: Path, reporter: Reporter) -> None:
    run = begin(dicoms, sr=True, shard_films=4)
    score(run, reporter)
    before = {shard: run.place.read(sr_file(0, shard)) for shard in range(3)}
    run.place.remove(run.generation().part(1))
    run.place.remove(run.generation().part(2))
    run.place.remove(sr_file(0, 2))
    assert verify(run).problems == []  # a tar without its part is no problem
    receipts = score(run, reporter)
    assert [receipt.committed for receipt in receipts] == [True, True]
    assert {shard: run.place.read(sr_file(0, shard)) for shard in range(3)} == before
    assert verify(run).problems == []


def test_other_documents_without_their_part_leave_the_shard_open_and_say_what_to_do(
    begin: Begin, dicoms: Path, reporter: Reporter
) -> None:
    run = begin(dicoms, sr=True, shard_films=5)
    run.place.create(sr_file(0, 0), pack([(0, b"something else")]))
    left, done = score(run, reporter)
    assert (left.shard, left.left, done.committed) == (0, True, True)
    assert "sr/000/sr-000000.tar" in left.fault
    assert "remove that file" in left.fault
    assert run.generation().missing() == [0]
    assert not run.place.names("attempts/000000")
    run.place.remove(sr_file(0, 0))
    assert [receipt.committed for receipt in score(run, reporter)] == [True]
    assert verify(run).problems == []


def test_loser_of_a_race_leaves_the_winners_documents(
    begin: Begin, dicoms: Path, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(dicoms, sr=True)
    winner = pack([(0, b"the winner's")])
    create = type(run.place).create
    part = run.generation().part(0)

    def create_late(place: object, name: str, content: bytes) -> bool:
        if name == sr_file(0, 0):
            create(place, name, winner)
            create(place, part, _part_of(run, reporter))
        return bool(create(place, name, content))

    monkeypatch.setattr(type(run.place), "create", create_late)
    (receipt,) = score(run, reporter)
    assert (receipt.committed, receipt.agrees, receipt.left) == (False, False, False)
    assert run.place.read(sr_file(0, 0)) == winner


def _part_of(run: Run, reporter: Reporter) -> bytes:
    """A part of the same shard that someone else has made, with other documents."""
    from cxrscribe.archive.rows.document_counts import DocumentCounts
    from cxrscribe.archive.rows.part import PartMaker
    from cxrscribe.archive.run import environment_here
    from cxrscribe.archive.stream import Group, RowStream

    group = Group(0, run.generation().films_of(0))
    list(RowStream(run, reporter).rows([group], 8))
    maker = PartMaker(run.run_id, 0, 0, environment_here(run), "", run.identity.disclaimer)
    return maker.make(group.rows, list(group.rows), "jsonl", DocumentCounts(1))[1]


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "empty", "swapped"])
def test_damaged_tars_are_named_put_aside_and_made_anew(
    begin: Begin, dicoms: Path, reporter: Reporter, damage: str
) -> None:
    run = begin(dicoms, sr=True)
    score(run, reporter)
    name = sr_file(0, 0)
    path = Path(run.place.url) / name
    whole = path.read_bytes()
    rows, contents = zip(*unpack(whole, name), strict=True)
    flipped = bytearray(whole)
    flipped[1500] ^= 1
    damaged = {
        "cut": whole[:-1],
        "flipped": bytes(flipped),
        "empty": pack([]),
        "swapped": pack(list(zip(rows, [contents[-1], *contents[:-1]], strict=True))),
    }
    path.unlink()
    if damage in damaged:
        path.write_bytes(damaged[damage])
    verdict = verify(run)
    assert [name in problem for problem in verdict.problems] == [True]
    drop_broken(run, verdict)
    assert not path.exists()
    score(run, reporter)
    assert path.read_bytes() == whole
    assert verify(run).problems == []


def test_tar_that_cannot_be_read_costs_no_part(begin: Begin, dicoms: Path, reporter: Reporter) -> None:
    run = begin(dicoms, sr=True)
    score(run, reporter)
    path = Path(run.place.url) / sr_file(0, 0)
    whole = path.read_bytes()
    path.unlink()
    path.mkdir()  # for whom no rights forbid to read, as on a disk that fails
    verdict = verify(run)
    assert ["can't be read" in problem for problem in verdict.problems] == [True]
    drop_broken(run, verdict)
    assert run.place.has(run.generation().part(0))
    path.rmdir()
    path.write_bytes(whole)
    assert verify(run).problems == []


def test_putting_aside_may_be_interrupted(begin: Begin, dicoms: Path, reporter: Reporter) -> None:
    run = begin(dicoms, sr=True)
    score(run, reporter)
    path = Path(run.place.url) / sr_file(0, 0)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    verdict = verify(run)
    drop_broken(run, replace(verdict, damaged=verdict.damaged[:1]))  # killed behind the first
    drop_broken(run, verify(run))
    (receipt,) = score(run, reporter)
    assert receipt.committed
    assert path.read_bytes() == whole


def test_documents_of_other_films_are_found_without_their_digest(
    begin: Begin, dicoms: Path, reporter: Reporter
) -> None:
    from cxrscribe.archive.rows.document_counts import DocumentCounts
    from cxrscribe.archive.structured_reports import Reported, check_documents

    run = begin(dicoms, sr=True)
    score(run, reporter)
    rows = {
        row.row: Reported((row.content_sha256 or b"").hex(), row.report.text)
        for _, row in newest_rows(run)
        if row.report is not None
    }
    documents = dict(unpack(run.place.read(sr_file(0, 0)), ""))
    own = documents.pop(2)
    for row, other in ((2, documents[3]), (2, own.replace(b"DRAFT", b"FINAL")), (2, b"nothing"), (6, own)):
        content = pack(sorted({**documents, row: other}.items()))
        counts = DocumentCounts(6, NOT_POSSIBLE, 1, hashlib.sha256(content).hexdigest())
        with pytest.raises(InputError, match="another structured report"):
            check_documents(run.run_id, content, sr_file(0, 0), counts, rows)


def test_foreign_files_are_named(begin: Begin, dicoms: Path, reporter: Reporter, tmp_path: Path) -> None:
    run = begin(dicoms, sr=True)
    score(run, reporter)
    (tmp_path / "run" / "sr" / "000" / "sr-000099.tar").write_bytes(pack([]))
    assert ["sr-000099.tar isn't a file of this run" in each for each in verify(run).problems] == [True]
    without = begin(dicoms, path=tmp_path / "without")
    score(without, reporter)
    without.place.create(sr_file(0, 0), pack([]))
    assert ["sr-000000.tar isn't a file of this run" in each for each in verify(without).problems] == [True]


def test_retried_films_have_theirs_in_the_retry(begin: Begin, dicoms: Path, reporter: Reporter) -> None:
    missing = dicoms / "9.dcm"
    run = begin(dicoms, sr=True)
    aside = missing.rename(dicoms.parent / "aside")
    score(run, reporter)
    assert 9 not in tars(run)
    aside.rename(missing)
    generation = begin_retry(run)
    assert generation is not None
    list(score_shards(run, generation.missing(), reporter, generation=1))
    assert list(tars(run, 1)) == [9]
    verdict = verify(run)
    assert (verdict.problems, verdict.sr_documents) == ([], 6)
    assert Watch(run).look().sr_documents == 6
    (Path(run.place.url) / sr_file(1, 0)).unlink()
    assert len(verify(run).problems) == 1


def test_isolated_films_have_the_same(begin: Begin, dicoms: Path, reporter: Reporter) -> None:
    run = begin(dicoms, sr=True)
    score(run, reporter)
    known = run.place.read(sr_file(0, 0))
    run.place.remove(run.generation().part(0))
    run.place.remove(sr_file(0, 0))
    for _ in range(2):
        begin_attempt(run.generation(), 0)
    (receipt,) = score(run, reporter)
    assert receipt.attempt >= 3
    assert run.place.read(sr_file(0, 0)) == known
    assert dict(receipt.sr_not_possible) == NOT_POSSIBLE


@pytest.mark.slow
def test_workers_make_the_same(begin: Begin, dicoms: Path, reporter: Reporter) -> None:
    run = begin(dicoms, sr=True, shard_films=3)
    score(run, reporter)
    known = {shard: run.place.read(sr_file(0, shard)) for shard in range(4)}
    for shard in range(4):
        run.place.remove(run.generation().part(shard))
        run.place.remove(sr_file(0, shard))
    receipts = list(supervise(Assignment(run, Engine.of(reporter)), range(4), 2))
    assert sum(receipt.sr_documents for receipt in receipts) == len(ROWS)
    assert {shard: run.place.read(sr_file(0, shard)) for shard in range(4)} == known


def test_headers_read_in_a_process_of_their_own_give_the_same(
    begin: Begin, dicoms: Path, reporter: Reporter, tmp_path: Path
) -> None:
    run = begin(dicoms, sr=True)
    score(run, reporter)
    known = run.place.read(sr_file(0, 0))
    run.place.remove(run.generation().part(0))
    run.place.remove(sr_file(0, 0))
    isolation = cxrscribe.Isolation("all")
    options = {"device": "cpu", "threads": 1, "spinning": False, "isolation": isolation}
    with cxrscribe.load(cxrscribe.demo_bundle(), **options) as apart:
        score(run, apart)
    assert run.place.read(sr_file(0, 0)) == known


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX modes")
def test_only_the_owner_may_read_them(begin: Begin, dicoms: Path, reporter: Reporter) -> None:
    run = begin(dicoms, sr=True)
    score(run, reporter)
    path = Path(run.place.url) / sr_file(0, 0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)} == {0o700}


def test_command_makes_them_and_names_nobody(dicoms: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = ""

    def command(*words: object, code: int = 1) -> str:  # one film is damaged
        nonlocal said
        arguments = [sys.executable, "-m", "cxrscribe", "score", *map(str, words)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        said += done.stdout + done.stderr
        return done.stdout + done.stderr

    options = ["--device", "cpu", "--threads", "1", "--no-spinning"]
    printed = command(dicoms, "--run", run, "--sr", *options)
    why = "1 no_series_instance_uid, 1 no_study_instance_uid, 1 not_dicom"
    line = f"6 structured reports; not possible for {why}"
    assert line in printed
    assert "1 values of patient or study weren't valid" in printed
    for name, code in (("status", 0), ("verify", 1)):
        assert line in command(name, run, code=code)
        found = json.loads(command(name, run, "--json", code=code))
        assert (found["sr_documents"], found["sr_not_possible"]) == (6, NOT_POSSIBLE)
        assert found["reasons"] == {"truncated": 1}
    assert NAME not in said
    for path in run.rglob("*"):
        if path.is_file() and path.suffix != ".tar":
            assert NAME.encode() not in path.read_bytes()
    assert open_run(run).identity.sr

"""Runs whose films have a text each, from a table or from themselves: the same to whoever scores them."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cxrscribe
from cxrscribe.archive import Run, begin_run, open_run, score_shards
from cxrscribe.archive.bisection import isolated_rows
from cxrscribe.archive.comparison import newest_rows, verify_contents, verify_sample
from cxrscribe.archive.export import compact, export
from cxrscribe.archive.film_names import FilmNames
from cxrscribe.archive.retry import begin_retry
from cxrscribe.archive.rows.row import Row
from cxrscribe.archive.status import Watch
from cxrscribe.archive.stream import Made
from cxrscribe.archive.supervisor import Assignment, supervise
from cxrscribe.archive.verify import verify
from cxrscribe.engine import Engine
from cxrscribe.errors import InputError, SettingsError
from cxrscribe.reporter import Reporter

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
pytest.importorskip("pydicom", reason="needs the extra dicom")

from support.archive_films import small_film, write_films, write_tar
from support.dicom_file import dicom, written
from support.killed_runs import KilledRun
from support.small_bundle import SmallBundle

Begin = Callable[..., Run]

REASON = "ReasonForTheRequestedProcedure"
SECRETS = ("Zweitname", "Geheimnis", "Verborgenes")
"""Words of texts that must be nowhere but where they came from."""
TEXTS = (
    "Chest pain, Zweitname",
    "Cough, fever. Geheimnis",
    "Shortness of breath",
    "Preoperative, Verborgenes",
)
FILMS = 30


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = SmallBundle(seed=4, words=30, patient=4, fused=True)
    return small.write(tmp_path_factory.mktemp("context") / "bundle")


@pytest.fixture(scope="module")
def reporter(bundle: Path) -> Iterator[Reporter]:
    """A model with a context."""
    with cxrscribe.load(bundle, device="cpu", threads=1, spinning=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def asking(bundle: Path) -> Iterator[Reporter]:
    """The same, told by the films."""
    with cxrscribe.load(
        bundle, device="cpu", threads=1, spinning=False, indication_from_dicom=REASON
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 films in a tree, of which every fifth is DICOM with a text, one is damaged, and two in a tar."""
    folder = write_films(tmp_path_factory.mktemp("archive") / "films", FILMS)
    random_values = np.random.default_rng(0)
    for number in range(0, FILMS, 5):
        grey = random_values.integers(0, 4000, (40, 48)).astype(np.uint16)
        told = {REASON: TEXTS[number // 5 % 4]} if number % 10 == 0 else {}
        path = folder / f"{number // 10:03}" / f"{number:05}.png"
        path.unlink()
        path.with_suffix(".dcm").write_bytes(
            written(dicom(grey, bits=12, SpecificCharacterSet="ISO_IR 192", **told))
        )
    (folder / "002" / "00023.png").write_bytes(small_film(23)[:70])
    write_tar(folder / "more.tar", {"a.png": small_film(77), "b.png": small_film(78)})
    return folder


def write_table(path: Path, archive: Path, rows: dict[str, str] | None = None) -> Path:
    """Texts of two films in three, in several ways of naming a film; two rows name none."""
    if rows is None:
        rows = {"gone/x.png": TEXTS[0], "./gone/y.png": TEXTS[1], "more.tar!/b.png": TEXTS[2]}
        for number, film in enumerate(sorted(archive.rglob("*.[pd][nc][gm]"))):
            name = film.relative_to(archive).as_posix()
            if number % 3:
                rows[(name, f"./{name}", str(film))[number % 2 + number % 7 // 6]] = (
                    TEXTS[number % 4] if number % 11 else "  "
                )
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("film", "indication"), *rows.items()])
    return path


@pytest.fixture
def table(archive: Path, tmp_path: Path) -> Path:
    return write_table(tmp_path / "table.csv", archive)


def expected_texts(table: Path, archive: Path) -> dict[str, str]:
    """By film's name in the run."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return {film.removeprefix("./").removeprefix(f"{archive}/"): text for film, text in rows if text.strip()}


def score(run: Run, reporter: Reporter, **options: object) -> Run:
    list(score_shards(run, run.generation().missing(), reporter, **options))  # type: ignore[arg-type]
    return run


@pytest.fixture
def scored(begin: Begin, archive: Path, table: Path, reporter: Reporter) -> Run:
    return score(begin(archive, indications=table), reporter)


def content_of(archive: Path, name: str) -> bytes:
    if name.startswith("more.tar!/"):
        return small_film(77 if name.endswith("a.png") else 78)
    return (archive / name).read_bytes()


def test_every_film_has_the_text_of_the_table(
    scored: Run, archive: Path, table: Path, reporter: Reporter
) -> None:
    texts = expected_texts(table, archive)
    told = 0
    for film, row in newest_rows(scored):
        text = texts.get(film.film)
        if row.report is None:
            assert (film.film, row.indication) == ("002/00023.png", False)
            continue
        report = reporter.report(content_of(archive, film.film), indication=text)
        assert (row.report.tokens, row.report.log_prob) == (report.tokens, report.log_prob)
        assert row.indication == (text is not None)
        told += bool(row.indication)
    assert 15 < told < FILMS
    verdict = verify(scored)
    assert (verdict.planned, verdict.quarantined, verdict.problems) == (FILMS + 2, 1, [])
    assert Watch(scored).look().told == told


def test_the_run_that_begins_says_how_many_films_are_named(
    begin: Begin, archive: Path, table: Path, reporter: Reporter
) -> None:
    found = begin(archive, indications=table).coverage
    assert found is not None
    texts = expected_texts(table, archive)
    named = {film for film in texts if not film.startswith("gone/")}
    assert (found.films, found.told) == (FILMS + 2, len(named))
    assert found.rows - found.named == 2
    assert begin(archive, indications=table).coverage is None  # it has begun


def test_texts_come_from_the_films(begin: Begin, archive: Path, asking: Reporter, bundle: Path) -> None:
    run = begin_run(begin_path(begin, archive), [str(archive)], asking, asking.settings, shard_films=10)
    score(run, asking)
    found = {film.film: row.indication for film, row in newest_rows(run)}
    assert {name for name, told in found.items() if told} == {
        f"{number // 10:03}/{number:05}.dcm" for number in range(0, FILMS, 10)
    }
    with (
        cxrscribe.load(bundle, device="cpu") as plain,
        pytest.raises(InputError, match=f'indications.dicom was "{REASON}" and is null'),
    ):
        list(score_shards(run, [0], plain))
    assert verify_sample(run, asking, 40).problems == ()


def begin_path(begin: Begin, archive: Path) -> Path:
    """A folder for a run of a test's own."""
    run = begin(archive, path=None)
    return Path(run.place.url).with_name("other")


def test_a_table_counts_before_what_films_say(
    begin: Begin, archive: Path, tmp_path: Path, asking: Reporter
) -> None:
    table = write_table(
        tmp_path / "own.csv",
        archive,
        {"000/00000.dcm": "Cough", "001/00010.dcm": " ", "001/00011.png": "Fever"},
    )
    run = begin_run(
        tmp_path / "both", [str(archive)], asking, asking.settings, shard_films=10, indications=table
    )
    score(run, asking)
    rows = {film.film: row for film, row in newest_rows(run)}
    assert {name for name, row in rows.items() if row.indication} == {
        *("000/00000.dcm", "001/00010.dcm", "001/00011.png", "002/00020.dcm")
    }
    for name, text in (("000/00000.dcm", "Cough"), ("001/00010.dcm", None)):
        report, found = asking.report(archive / name, indication=text), rows[name].report
        assert found is not None
        assert found.log_prob == report.log_prob


def test_runs_without_indications_are_as_they_were(
    begin: Begin, archive: Path, reporter: Reporter, tmp_path: Path
) -> None:
    run = score(begin(archive), reporter)
    document = json.loads((Path(run.place.url) / "run.json").read_text(encoding="ascii"))
    assert "indications" not in document
    assert "indications" not in document["identity"]
    for part in Path(run.place.url).glob("parts/*/*.jsonl.gz"):
        for line in gzip.decompress(part.read_bytes()).splitlines():
            assert "indication" not in json.loads(line)
    assert Watch(run).look().told is None
    export(run, tmp_path / "rows.csv")
    assert b"indication" not in (tmp_path / "rows.csv").read_bytes().split(b"\r\n")[0]
    with pytest.raises(InputError, match="was begun without a table of indications"):
        open_run(run.place.url, indications=tmp_path / "table.csv")


def test_other_tables_are_refused(begin: Begin, archive: Path, table: Path, reporter: Reporter) -> None:
    run = begin(archive, indications=table)
    list(score_shards(run, [0], reporter))
    other = write_table(table.with_name("other.csv"), archive, {"000/00001.png": "Geheimnis"})
    with pytest.raises(InputError, match=r'indications\.table was "[0-9a-f]{64}" and is "') as refused:
        begin(archive, indications=other)
    assert "Geheimnis" not in str(refused.value)
    with pytest.raises(InputError, match="isn't the table of indications that"):
        list(score_shards(open_run(run.place.url, indications=other), [1], reporter))
    other.replace(table)
    with pytest.raises(InputError, match="isn't the table of indications that"):
        list(score_shards(run.place.url, [1], reporter))
    table.unlink()
    with pytest.raises(InputError, match=r"table\.csv can't be read \(No such file"):
        list(score_shards(run.place.url, [1], reporter))
    assert verify(open_run(run.place.url)).problems == []  # which needs none


def test_a_table_may_move_and_need_not_be_given_again(
    begin: Begin, archive: Path, table: Path, reporter: Reporter, scored: Run
) -> None:
    run = begin(archive, path=table.with_name("moved"), indications=table)
    list(score_shards(run.place.url, [0], reporter))
    list(score_shards(begin(path=table.with_name("moved")), [1], reporter))
    moved = table.rename(table.with_name("there.csv"))
    score(open_run(run.place.url, indications=moved), reporter)
    score(begin(archive, path=table.with_name("moved"), indications=moved), reporter)
    assert open_run(run.place.url).run_id == run.run_id == scored.run_id
    assert verify(run).fingerprint == verify(scored).fingerprint


def test_a_model_that_reads_none_begins_no_run(
    archive: Path, table: Path, tmp_path: Path, fused_bundle: Path
) -> None:
    with (
        cxrscribe.load(fused_bundle, device="cpu") as blind,
        pytest.raises(SettingsError, match="reads none"),
    ):
        begin_run(tmp_path / "none", [str(archive)], blind, blind.settings, indications=table)
    assert not (tmp_path / "none").exists()


def test_a_table_that_names_no_film_begins_no_run(begin: Begin, archive: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "far.csv", archive, {"elsewhere/a.png": "Geheimnis"})
    with pytest.raises(InputError, match="names no film of the run; write in the column film") as refused:
        begin(archive, path=tmp_path / "far", indications=table)
    assert "elsewhere" not in str(refused.value)
    assert not (tmp_path / "far" / "run.json").exists()


def test_a_film_that_is_named_in_two_ways_is_refused(
    begin: Begin, archive: Path, tmp_path: Path, reporter: Reporter
) -> None:
    name = "000/00001.png"
    table = write_table(tmp_path / "twice.csv", archive, {name: "Geheimnis", str(archive / name): "Cough"})
    with pytest.raises(InputError, match=r"row 3 names a film that a row before names otherwise") as refused:
        score(begin(archive, path=tmp_path / "twice", indications=table), reporter)
    assert "Geheimnis" not in str(refused.value)


def test_films_of_equal_bytes_have_their_own_texts(begin: Begin, tmp_path: Path, reporter: Reporter) -> None:
    folder = tmp_path / "twins"
    folder.mkdir()
    for name in "abcd":
        (folder / f"{name}.png").write_bytes(small_film(5))
    table = write_table(
        tmp_path / "t.csv", folder, {"b.png": "Cough", "c.png": "Chest pain", "d.png": "Cough"}
    )
    run = score(begin(folder, indications=table), reporter)
    found = [row for _, row in newest_rows(run)]
    expected = [
        reporter.report(small_film(5), indication=text) for text in (None, "Cough", "Chest pain", "Cough")
    ]
    assert [row.report.log_prob for row in found if row.report] == [report.log_prob for report in expected]
    assert [row.indication for row in found] == [False, True, True, True]
    assert len({report.log_prob for report in expected}) == 3


@pytest.mark.parametrize("format_name", ["jsonl", "parquet"])
def test_rows_say_whether_there_was_a_text_in_every_format(
    begin: Begin,
    archive: Path,
    table: Path,
    reporter: Reporter,
    scored: Run,
    tmp_path: Path,
    format_name: str,
) -> None:
    if format_name == "parquet":
        pytest.importorskip("pyarrow", reason="the extra parquet isn't installed")
    run = begin(archive, path=tmp_path / format_name, indications=table, format_name=format_name)
    score(run, reporter)
    assert [row for _, row in newest_rows(run)] == [row for _, row in newest_rows(scored)]
    assert verify(run).fingerprint != ""
    assert verify(run).problems == []
    told = [row.indication for _, row in newest_rows(run)]
    export(run, tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        assert [row["indication"] == "true" for row in csv.DictReader(file)] == told
    export(run, tmp_path / "rows.jsonl")
    lines = (tmp_path / "rows.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["indication"] for line in lines] == told
    assert compact(run, tmp_path / f"compact-{format_name}")


def test_workers_trials_retries_and_samples_give_the_same_texts(
    begin: Begin, archive: Path, table: Path, reporter: Reporter, scored: Run, tmp_path: Path
) -> None:
    whole = verify(scored).fingerprint
    run = begin(archive, path=tmp_path / "workers", indications=table)
    engine = replace(Engine.of(reporter, spinning=False), threads=1)
    assert len(list(supervise(Assignment(run, engine), run.generation().missing(), 2))) == 4
    assert verify(run).fingerprint == whole
    films = run.generation().films_of(1)
    made = isolated_rows(run, 1, films, engine)
    rows = [row for _, row in newest_rows(run)][10:20]
    assert [each.row for each in made if isinstance(each, Made)] == rows
    assert verify_sample(run, reporter, 40).problems == ()
    assert verify_contents(run).problems == ()


def test_a_retried_film_has_its_text(
    begin: Begin, archive: Path, table: Path, reporter: Reporter, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    for film in archive.rglob("*.*"):
        (own / film.relative_to(archive)).parent.mkdir(parents=True, exist_ok=True)
        (own / film.relative_to(archive)).write_bytes(film.read_bytes())
    table = write_table(tmp_path / "t.csv", own, {"000/00001.png": "Cough"})
    run = begin(own, path=tmp_path / "retried", indications=table)
    (own / "000" / "00001.png").rename(own / "away")
    score(run, reporter)
    assert Watch(run).look().told == 0
    (own / "away").rename(own / "000" / "00001.png")
    generation = begin_retry(run)
    assert generation is not None
    list(score_shards(run.place.url, generation.missing(), reporter, generation=generation.number))
    row = next(row for film, row in newest_rows(run) if film.film == "000/00001.png")
    assert row.indication is True
    assert row.report is not None
    assert row.report.log_prob == reporter.report(small_film(1), indication="Cough").log_prob
    assert (Watch(run).look().told, verify(run).problems) == (1, [])


def test_names_that_are_hashed_find_their_texts(
    begin: Begin, archive: Path, table: Path, reporter: Reporter, scored: Run, tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(b"k" * 32)
    run = begin(archive, path=tmp_path / "hashed", indications=table, key_file=tmp_path / "key")
    score(run, reporter)
    names = FilmNames(b"k" * 32)
    for (film, row), (_, plain) in zip(newest_rows(run), newest_rows(scored), strict=True):
        assert isinstance(row, Row)
        assert replace(row, film=plain.film, film_id=plain.film_id) == plain
        assert row.film_id == names.film_id(film)


def test_part_that_says_otherwise_is_found(scored: Run, reporter: Reporter) -> None:
    part = scored.generation().part(0)
    path = Path(scored.place.url) / part
    path.write_bytes(path.read_bytes().replace(b'"told":', b'"tOld":', 1))
    assert verify(scored).damaged == [part]


@pytest.mark.parametrize("workers", [1, 2])
def test_no_text_is_anywhere_but_in_the_table(
    archive: Path, table: Path, tmp_path: Path, bundle: Path, workers: int
) -> None:
    """Neither in the run's files nor in what is printed, logged and refused."""
    run = tmp_path / "run"
    said = b""

    def command(*arguments: object, codes: tuple[int, ...] = (0, 1)) -> None:
        nonlocal said
        words = [sys.executable, "-X", "dev", "-m", "cxrscribe", "score", *arguments]
        done = subprocess.run([str(word) for word in words], capture_output=True, timeout=300, check=False)
        assert done.returncode in codes, done.stderr
        said += done.stdout + done.stderr

    engine = ("--bundle", bundle, "--device", "cpu", "--no-cache", "--indication-from-dicom", REASON)
    way = (*engine, "--workers", workers, "--max-quarantined", 1)
    command(archive, "--run", run, "--shard-films", 6, "--indications", table, "--part", "1/2", *way)
    command("--run", run, *way)
    command("retry", run, *way)
    command("status", run)
    command("verify", run, "--deep", "--sample", 8, *engine)
    command("export", run, "--out", tmp_path / "rows.jsonl")
    broken = write_table(tmp_path / "broken.csv", archive, {"a.png": SECRETS[0], "./a.png": SECRETS[1]})
    command("--run", run, "--indications", broken, *way, codes=(2,))
    broken.write_text(f"film,indication\n{SECRETS[0]},{SECRETS[1]},{SECRETS[2]}\n", encoding="utf-8")
    command("--run", run, "--indications", broken, *way, codes=(2,))
    command("--run", run, "--bundle", bundle, codes=(2,))
    assert b"films have an indication in the table; 2 rows of it name no film of the run" in said
    assert b"reports were written with an indication" in said
    texts = {"output": said, "export": (tmp_path / "rows.jsonl").read_bytes()}
    for path in run.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            texts[str(path)] = gzip.decompress(content) if path.suffix == ".gz" else content
    assert sum("parts" in name for name in texts) == 6
    assert verify(open_run(run)).missing == 0
    found = {name for name, content in texts.items() for word in SECRETS if word.encode() in content}
    assert found == set()
    assert os.fsencode(table) in texts[str(run / "run.json")]


@pytest.mark.slow
@pytest.mark.skipif("sys.platform == 'win32'", reason="Windows has no process groups to kill")
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_runs_have_the_same_rows(
    archive: Path, table: Path, tmp_path: Path, bundle: Path, begin: Begin, asking: Reporter, workers: int
) -> None:
    whole = begin_run(
        tmp_path / "whole", [str(archive)], asking, asking.settings, shard_films=3, indications=table
    )
    fingerprint = verify(score(whole, asking)).fingerprint
    options = ("--bundle", bundle, "--indications", table, "--indication-from-dicom", REASON)
    for trial in range(3):
        path = tmp_path / f"killed-{trial}"
        run = KilledRun(archive, path, workers, random.Random(trial), options=options)
        verdict = run.score()
        assert (verdict.missing, verdict.repeated, verdict.problems) == (0, 0, [])
        assert verdict.fingerprint == fingerprint
        assert run.replaced == []

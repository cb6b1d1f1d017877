"""Part files: what is written is what is read, and no damage goes unseen."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from cxrscribe.archive.film_names import FilmNames
from cxrscribe.archive.plan import PlannedFilm
from cxrscribe.archive.quarantine import QuarantinedError
from cxrscribe.archive.rows import part as parts
from cxrscribe.archive.rows.part import JSONL, PARQUET, SUFFIXES, PartMaker, read_header, read_part
from cxrscribe.archive.rows.row import Content, Row, RowChoice, film_row
from cxrscribe.errors import InputError, Reason
from cxrscribe.json_object import JsonObject
from cxrscribe.report import Report
from support.archive_parts import bomb

REPORT = Report(
    text='The "heart" is\nnormal. é',
    tokens=(5, 6, 7),
    log_prob=-1.0000000149011612,
    score=-0.1,
    token_log_probs=(-0.25, -0.3, -0.4),
    finished=True,
    alternatives=(Report("Other.", (5,), -2.5, -2.5, (-1.0,), False),),
)
CHOICE = RowChoice(token_log_probs=True, dicom_uids=True)
FORMATS = [JSONL, pytest.param(PARQUET, id=PARQUET)]


def rows() -> dict[int, Row]:
    content = Content(bytes(range(32)), "1.2.3")
    ends = [REPORT, QuarantinedError(Reason.MISSING, "is gone"), REPORT]
    films = [PlannedFilm(row, f"a\udcff/{row}.png", 100 + row, "7") for row in range(20, 23)]
    return {
        film.row: film_row(2, film, None if film.row == 21 else content, end, "A draft.", CHOICE, FilmNames())
        for film, end in zip(films, ends, strict=True)
    }


def made(format_name: str) -> bytes:
    if format_name == PARQUET:
        pytest.importorskip("pyarrow", reason="the extra parquet isn't installed")
    maker = PartMaker("run", 0, 2, "environment", "processor", "A draft.")
    return maker.make(rows(), [20, 21, 22], format_name)[1]


@pytest.mark.parametrize("format_name", FORMATS)
def test_part_is_read_as_it_was_written(format_name: str) -> None:
    content = made(format_name)
    name = f"part-000002{SUFFIXES[format_name]}"
    part = read_part(content, name)
    assert part.rows() == list(rows().values())
    assert part.header == read_header(content, name)
    assert (part.header.films, part.header.reasons, part.header.duplicates) == (3, {"missing": 1}, 1)


def test_both_formats_have_the_same_rows_and_digest() -> None:
    lines, parquet = read_part(made(JSONL), "a.jsonl.gz"), read_part(made(PARQUET), "a.parquet")
    assert list(parquet.lines) == list(lines.lines)
    assert parquet.header == lines.header


def test_json_lines_are_read_by_any_program() -> None:
    lines = gzip.decompress(made(JSONL)).decode("ascii").splitlines()
    read = [json.loads(line) for line in lines]
    assert [row["row"] for row in read] == [20, 21, 22]
    assert read[0]["film"] == "a\\xff/20.png"
    assert read[0]["disclaimer"] == "A draft."
    assert read[1]["text"] is None
    assert made(JSONL) == made(JSONL)


def test_parquet_is_read_by_any_program() -> None:
    content = made(PARQUET)
    import pyarrow
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content))
    assert file.num_row_groups == 1
    statistics = file.metadata.row_group(0).column(1).statistics
    assert (statistics.min, statistics.max) == (20, 22)
    table = file.read().to_pylist()
    assert [row["status"] for row in table] == ["ok", "quarantined", "ok"]
    assert table[0]["alternatives"][0]["text"] == "Other."


@pytest.mark.parametrize("format_name", FORMATS)
def test_byte_that_flips_is_seen(format_name: str) -> None:
    content = made(format_name)
    name = f"part-000002{SUFFIXES[format_name]}"
    known = read_part(content, name)
    unseen = []
    for place in range(0, len(content), 3):
        flipped = bytearray(content)
        flipped[place] ^= 0x10
        try:
            part = read_part(bytes(flipped), name)
        except InputError:
            continue
        # What is left are places that mean nothing, and words of the header, which `verify` compares.
        if list(part.lines) != list(known.lines):
            unseen.append(place)
    assert unseen == []


@pytest.mark.parametrize("format_name", FORMATS)
def test_part_that_is_cut_off_is_named(format_name: str) -> None:
    content = made(format_name)
    name = f"part-000002{SUFFIXES[format_name]}"
    for size in range(0, len(content), 7):
        with pytest.raises(InputError, match=f"{name} is damaged"):
            read_part(content[:size], name)


@pytest.mark.parametrize("planned", [[20, 21], [20, 21, 22, 23], [20, 21, 24]])
def test_rows_that_are_not_those_of_the_plan_make_no_part(planned: list[int]) -> None:
    with pytest.raises(ValueError, match="not the"):
        PartMaker("run", 0, 2, "", "", "").make(rows(), planned, JSONL)


def test_row_is_read_as_it_was_written() -> None:
    for row in rows().values():
        assert Row.from_json(JsonObject(json.loads(row.to_json_line()), "row")) == row


def test_row_keeps_what_was_chosen_only(tmp_path: Path) -> None:
    film = PlannedFilm(0, "a.png", 1, "7")
    row = film_row(0, film, Content(bytes(32)), REPORT, "A draft.", RowChoice(), FilmNames())
    assert row.report is not None
    assert row.report.token_log_probs == ()
    assert row.to_json()["token_log_probs"] is None
    with pytest.raises(InputError, match="a report and a reason"):
        Row(**{**vars(row), "reason": Reason.MISSING})


@pytest.mark.parametrize(
    ("content", "message"), [(b"0", "longer than any row"), (b"{}\n", "more rows than its header says")]
)
def test_part_that_unpacks_to_more_than_its_rows_is_given_up_early(
    monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.setattr(parts, "LONGEST_ROW", 4 << 20)
    header = read_header(made(JSONL), "a.jsonl.gz")
    packed = bomb(header, 64 << 20, content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message):
            read_part(packed, "a.jsonl.gz")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20


@pytest.mark.parametrize("at_once", [1, 7, 1000, 1 << 20])
def test_rows_are_the_same_however_little_is_unpacked_at_once(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    expected = read_part(made(JSONL), "a.jsonl.gz")
    monkeypatch.setattr(parts, "_UNPACKED_AT_ONCE", at_once)
    assert read_part(made(JSONL), "a.jsonl.gz") == expected

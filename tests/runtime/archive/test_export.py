"""All rows of a run in one file, or in a few."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cxrscribe.archive import Run, score_shards
from cxrscribe.archive.comparison import newest_rows
from cxrscribe.archive.export import CSV_COLUMNS, compact, export
from cxrscribe.archive.retry import begin_retry
from cxrscribe.archive.verify import verify
from cxrscribe.errors import InputError
from cxrscribe.reporter import Reporter
from support.archive_films import small_film

Begin = Callable[..., Run]


@pytest.fixture
def run(begin: Begin, own_archive: Path, reporter: Reporter) -> Run:
    """A run with a damaged film, and one that came back for the retry."""
    (own_archive / "000" / "00005.png").write_bytes(small_film(5)[:70])
    begun = begin(own_archive)
    (own_archive / "001" / "00011.png").rename(own_archive / "away")
    list(score_shards(begun, range(3), reporter))
    (own_archive / "away").rename(own_archive / "001" / "00011.png")
    generation = begin_retry(begun)
    assert generation is not None
    list(score_shards(begun, generation.missing(), reporter, generation=1))
    return begun


def lines(content: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in content.splitlines()]


def test_csv_has_one_line_a_film(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "new" / "reports.csv"
    assert export(run, out) == 25
    with out.open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert tuple(read[0]) == CSV_COLUMNS
    for line, (_, row) in zip(read, newest_rows(run), strict=True):
        assert (line["film"], line["status"], line["reason"]) == (row.film, row.status, row.reason or "")
        assert line["text"] == (row.report.text if row.report else "")
        assert line["log_prob"] == (repr(row.report.log_prob) if row.report else "")
        assert line["disclaimer"] == run.identity.disclaimer
    assert [line["film"] for line in read if line["status"] == "quarantined"] == ["000/00005.png"]
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_json_lines_are_the_newest_rows(run: Run, tmp_path: Path, name: str) -> None:
    export(run, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    read = lines(gzip.decompress(content) if name.endswith("gz") else content)
    assert read == [row.to_json() for _, row in newest_rows(run)]


def test_parquet_has_the_newest_rows(run: Run, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet isn't installed")
    export(run, tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.column("film").to_pylist() == [row.film for _, row in newest_rows(run)]
    assert json.loads(table.schema.metadata[b"cxrscribe"])["disclaimer"] == run.identity.disclaimer


def test_file_that_is_there_is_kept_unless_told_otherwise(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    out.write_text("mine")
    with pytest.raises(InputError, match="--overwrite"):
        export(run, out)
    assert out.read_text() == "mine"
    export(run, out, overwrite=True)
    assert len(lines(out.read_bytes())) == 25
    with pytest.raises(InputError, match=r"unknown suffix; give a name in \.csv"):
        export(run, tmp_path / "a.xlsx")


def test_export_that_fails_leaves_no_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match="No space left"):
        export(run, tmp_path / "a.csv")
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_compaction_has_all_rows_in_few_files(run: Run, tmp_path: Path) -> None:
    written = compact(run, tmp_path / "large", rows=12)
    assert [path.name for path in written] == [f"rows-{number:06}.jsonl.gz" for number in range(3)]
    read = [line for path in written for line in lines(gzip.decompress(path.read_bytes()))]
    assert read == [row.to_json() for _, row in newest_rows(run)]
    before = verify(run)
    written[1].unlink()
    first = written[0].stat().st_ino
    assert compact(run, tmp_path / "large", rows=12) == written
    assert written[0].stat().st_ino == first
    assert len(lines(gzip.decompress(written[1].read_bytes()))) == 12
    assert verify(run) == before


def test_compaction_is_not_mixed_with_another_one(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "few"
    compact(run, out, 10)
    (out / "rows-000001.jsonl.gz").unlink()
    assert len(compact(run, out, 10)) == 3
    with pytest.raises(InputError, match="has the files of another run, of other --rows"):
        compact(run, out, 5)
    (out / "compact.json").unlink()
    with pytest.raises(InputError, match="has the files of another run"):
        compact(run, out, 10)


def test_run_that_is_not_done_is_not_compacted(begin: Begin, archive: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="isn't done"):
        compact(begin(archive), tmp_path / "large")


def test_compaction_does_not_go_into_the_run(run: Run) -> None:
    with pytest.raises(InputError, match="give another one"):
        compact(run, run.place.path / "parts")


def test_parquet_run_is_the_same_run(begin: Begin, archive: Path, tmp_path: Path, reporter: Reporter) -> None:
    pytest.importorskip("pyarrow", reason="the extra parquet isn't installed")
    runs = [begin(archive, path=tmp_path / kind, format_name=kind) for kind in ("jsonl", "parquet")]
    for each in runs:
        list(score_shards(each, range(3), reporter))
    first, second = map(verify, runs)
    assert (first.ok, first.problems) == (second.ok, second.problems) == (25, [])
    assert first.fingerprint == second.fingerprint
    assert all(name.endswith(".parquet") for name in runs[1].place.names("parts"))
    assert compact(runs[1], tmp_path / "large")[0].suffix == ".parquet"

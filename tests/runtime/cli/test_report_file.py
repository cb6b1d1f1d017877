"""The file of `cxrscribe report --out`: refused, overwritten, resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BufferedRandom, FileIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe.cli.report_file import EarlierRow, Existing, ReportFile, open_report_file
from cxrscribe.cli.report_row import ReportRow
from cxrscribe.errors import FilmError, InputError
from cxrscribe.report import Report

Run = Callable[..., Result]

SUFFIXES = pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
REPORT = Report('Heart, "normal".', (4, 5), -1.5, -0.5, (-1.0, -0.5), True)


def row(film: str) -> ReportRow:
    return ReportRow(film, REPORT, "Draft.")


def films_of(file: ReportFile) -> set[str]:
    return {row.film for row in file.earlier}


def fill(path: Path, films: list[str]) -> None:
    with open_report_file(path, Existing.REFUSE) as file:
        for film in films:
            file.write(row(film))


@SUFFIXES
def test_existing_file_is_refused_and_left_alone(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"reports{suffix}"
    path.write_text("precious")
    with pytest.raises(InputError, match="exists; give --resume to go on with it, --overwrite to replace it"):
        open_report_file(path, Existing.REFUSE)
    assert path.read_text() == "precious"


@SUFFIXES
def test_overwrite_replaces(tmp_path: Path, suffix: str) -> None:
    path, other = tmp_path / f"reports{suffix}", tmp_path / f"other{suffix}"
    path.write_text("old" * 1000)
    fill(other, ["a"])
    with open_report_file(path, Existing.OVERWRITE) as file:
        file.write(row("a"))
    assert path.read_bytes() == other.read_bytes()


@SUFFIXES
def test_row_is_on_disk_once_it_is_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"reports{suffix}"
    with open_report_file(path, Existing.REFUSE) as file:
        file.write(row("a"))
        copy = tmp_path / f"copy{suffix}"
        copy.write_bytes(path.read_bytes())
        with open_report_file(copy, Existing.RESUME) as reader:
            assert films_of(reader) == {"a"}


@SUFFIXES
def test_interrupted_file_goes_on_as_if_nothing_had_happened(tmp_path: Path, suffix: str) -> None:
    films = ["a.png", 'b, "c".png', 'line\nline\r\n"feed".png', "d\xe9.png"]
    whole = tmp_path / f"whole{suffix}"
    fill(whole, films)
    content = whole.read_bytes()
    for cut in range(len(content) + 1):
        path = tmp_path / f"cut{suffix}"
        path.write_bytes(content[:cut])
        with open_report_file(path, Existing.RESUME) as file:
            for film in films:
                if film not in films_of(file):
                    file.write(row(film))
        assert path.read_bytes() == content, cut


@SUFFIXES
def test_rows_that_failed_are_known_as_such(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"reports{suffix}"
    fill(path, ["a"])
    with open_report_file(path, Existing.RESUME) as file:
        file.write(ReportRow("b", FilmError("b: is broken"), "Draft."))
    with open_report_file(path, Existing.RESUME) as file:
        assert file.earlier == (EarlierRow("a", failed=False), EarlierRow("b", failed=True))


class Watched(BufferedRandom):
    """A file that notes what is written to it."""

    def __init__(self, raw: FileIO) -> None:
        super().__init__(raw)
        self.written: list[bytes] = []

    def write(self, content: Any) -> int:
        self.written.append(bytes(content))
        return super().write(content)


@SUFFIXES
def test_rows_that_are_there_are_not_written_anew(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full by now must not cost them."""
    path = tmp_path / f"reports{suffix}"
    fill(path, ["a", "b"])
    content = path.read_bytes()
    path.write_bytes(content + b'"cut')
    with monkeypatch.context() as patched:
        opened = Path.open
        patched.setattr(
            Path,
            "open",
            lambda path, mode: Watched(FileIO(path, mode)) if mode == "r+b" else opened(path, mode),
        )
        file = open_report_file(path, Existing.RESUME)
    with file:
        assert path.read_bytes() == content
        file.write(row("c"))
        assert file._file._file.written == [file.encoded(row("c"))]  # type: ignore[attr-defined]


@SUFFIXES
def test_resuming_a_file_that_is_not_there_starts_it(tmp_path: Path, suffix: str) -> None:
    with open_report_file(tmp_path / f"reports{suffix}", Existing.RESUME) as file:
        assert file.earlier == ()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b"precious\n"),
        ("a.jsonl", b"[1]\n"),
        ("a.jsonl", b'{"text": ""}\n'),
        ("a.csv", b"precious\n"),
        ("a.csv", b"film,text\r\na.png,b\r\n"),
        ("a.csv", b"film,error,text,log_prob,score,finished,alternatives,disclaimer\r\na.png,b\r\n"),
    ],
)
def test_another_file_is_not_resumed_and_left_alone(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match="can't be resumed"):
        open_report_file(path, Existing.RESUME)
    assert path.read_bytes() == content


@settings(deadline=None)  # a busy machine is no failure
@given(
    film=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    suffix=st.sampled_from([".jsonl", ".csv"]),
)
def test_any_film_name_is_found_again(
    tmp_path_factory: pytest.TempPathFactory, film: str, suffix: str
) -> None:
    path = tmp_path_factory.mktemp("names") / f"reports{suffix}"
    fill(path, [film, "last"])
    with open_report_file(path, Existing.RESUME) as file:
        assert films_of(file) == {film, "last"}


def test_error_is_one_line() -> None:
    failed = ReportRow("a", FilmError("a: broken\n  badly"), "Draft.")
    assert failed.error == r"a: broken\x0a  badly"
    assert json.loads(failed.to_json_line())["error"] == r"a: broken\x0a  badly"


def test_resume_reports_only_what_is_missing(run: Run, small_bundle: Path, films: Path) -> None:
    arguments = ["report", films, "none.png", "*.dcm", "--bundle", small_bundle, "--out", "reports.jsonl"]
    assert run(*arguments).exit_code == 1
    path = Path("reports.jsonl")
    whole = path.read_bytes()
    assert run(*arguments).exit_code == 2  # exists
    lines = whole.splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1] + lines[2][:20])
    result = run(*arguments, "--resume")
    assert result.exit_code == 1
    assert "3 reports in reports.jsonl; 2 films failed" in result.stderr
    assert path.read_bytes() == whole
    result = run(*arguments, "--resume")
    assert result.exit_code == 1  # as before: what failed is still not done
    assert "3 reports in reports.jsonl; 2 films failed" in result.stderr
    assert "2 of them failed in an earlier run and were not tried again" in result.stderr
    assert path.read_bytes() == whole
    assert run(*arguments, "--overwrite").exit_code == 1
    assert path.read_bytes() == whole

"""Names of films and words of bundles that attack who looks at output: a terminal, a log, a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cxrscribe.cli.main import main
from cxrscribe.cli.report_file import Existing, open_report_file
from cxrscribe.cli.report_row import ReportRow
from cxrscribe.cli.terminal import say_json_text
from cxrscribe.csv_cells import csv_cell, csv_line, csv_rows, csv_text
from cxrscribe.embedded import demo_films
from cxrscribe.errors import FilmError, InputError, MissingExtraError
from cxrscribe.printable import printable
from cxrscribe.report import Report

STEERING = ["\x1b[2J", "\x1b]0;owned\x07", "\x9b31m", "\x7f", "\r", "\n", "\t", "\x85", "\u2028", "\u2029"]
INVISIBLE = [
    "\u202e",
    "\u2066",
    "\u200f",
    "\u061c",
    "\u200b",
    "\ufeff",
    "\u00ad",
    "\U000e0041",
    "\udce9",
    "\ud800",
]
FORMULAS = [
    "=1+1",
    "+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    ' "=1',
    "'=1",
    " \u00a0=1",
    "\uff1d1",
    "''+1",
]


def is_harmless(text: str) -> bool:
    """One line that any terminal shows as it is: joiners are the only invisible characters."""
    kinds = {unicodedata.category(each) for each in text if each not in "\u200c\u200d"}
    return not kinds & {"Cc", "Cs", "Zl", "Zp"} and not set(text) & set("".join(INVISIBLE))


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(st.characters(exclude_categories=())))
@example("".join(STEERING + INVISIBLE))
def test_what_is_printed_steers_nothing_and_stays_as_it_is_the_second_time(text: str) -> None:
    shown = printable(text)
    assert is_harmless(shown)
    shown.encode("utf-8")
    assert printable(shown) == shown


@pytest.mark.parametrize(
    "text", ["a.png", "C:\\films\\x1b", "\u5317\u4eac.dcm", "caf\xe9", "\u0645\u06cc\u200c\u062e"]
)
def test_ordinary_names_are_printed_as_they_are(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("kind", [FilmError, InputError, lambda text: MissingExtraError(text, "dicom")])
@pytest.mark.parametrize("attack", STEERING + INVISIBLE)
def test_errors_are_one_harmless_line(kind: type[Exception], attack: str) -> None:
    assert is_harmless(str(kind(f"a{attack}b.png: is damaged")))


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(st.characters(exclude_categories=())))
@example("\\x5c\\x5cx1b\\x1b\x1b\\\x1b")
@example("'=1")
@example("\\udce9\udce9\\u200b\u200b\\U000e0041\U000e0041")
def test_cells_are_read_back_as_they_were(text: str) -> None:
    assert csv_text(csv_cell(text)) == text
    assert is_harmless(csv_cell(text))
    with csv_rows(csv_line([text, text]).decode("utf-8")) as rows:
        assert [[csv_text(cell) for cell in row] for row in rows] == [[text, text]]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text: str) -> None:
    cell = csv_cell(text)
    assert not re.match('[\\s"]*[=+\\-@\uff1d\uff0b\uff0d\uff20]', cell)
    assert csv_text(cell) == text


def test_lists_of_texts_are_json_as_it_is() -> None:
    texts = ["=1", "caf\xe9", "\x1b[2J", "\x7f", "\u202e", "a\\u00e9", '"']
    with csv_rows(csv_line([texts]).decode("ascii")) as rows:
        ((cell,),) = rows
    assert json.loads(cell) == texts
    assert is_harmless(cell)


def test_numbers_stay_numbers() -> None:
    assert csv_line([-1.5, True, None, "-1.5"]) == b"-1.5,true,,'-1.5\r\n"


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_resuming_knows_the_films_whatever_their_names(tmp_path: Path, suffix: str) -> None:
    report = Report("=cmd|' /C calc'!A0", (4,), -1.0, -1.0, (-1.0,), True)
    films = [*FORMULAS, *STEERING, *INVISIBLE, "x" * 200_000, "a\\x1b", 'a"b,c']
    with open_report_file(path := tmp_path / f"reports{suffix}", Existing.REFUSE) as file:
        for film in films:
            file.write(ReportRow(film, report, "Draft."))
    path.read_bytes().decode("utf-8")
    with open_report_file(path, Existing.RESUME) as file:
        assert [row.film for row in file.earlier] == films
    if suffix == ".csv":  # a program that knows nothing of us has a line a film, and no formula
        rows = list(csv.reader(io.StringIO(path.read_text("utf-8").replace("x" * 200_000, "x"), newline="")))
        assert len(rows) == len(films) + 1 == path.read_bytes().count(b"\n")
        assert not any(row[0].startswith(("=", "+", "-", "@")) or row[2].startswith("=") for row in rows)


def test_files_of_before_cells_were_guarded_are_gone_on_with(tmp_path: Path) -> None:
    header = b"film,error,text,log_prob,score,finished,alternatives,disclaimer\r\n"
    path = tmp_path / "reports.csv"
    path.write_bytes(
        header
        + b'=a.png,,x,-1.0,-1.0,true,[],d\r\n"b\r\nc.png",,x,-1.0,-1.0,true,[],d\r\nd\xe9.png,e,,,,,,d\r\n'
    )
    with open_report_file(path, Existing.RESUME) as file:
        assert [row.film for row in file.earlier] == ["=a.png", "b\r\nc.png", "d\udce9.png"]


@pytest.mark.parametrize("content", [b"[" * 100_000 + b"\n", b'{"film": ' + b"[" * 100_000 + b"\n"])
def test_nested_lines_are_no_file_to_go_on_with(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "reports.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match="can't be resumed"):
        open_report_file(path, Existing.RESUME)
    assert path.read_bytes() == content


def test_json_on_a_terminal_is_ascii_and_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"film": "".join(STEERING + INVISIBLE) + "\U0001f9b4"}
    say_json_text(json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "replace").decode("utf-8"))
    say_json_text(json.dumps(value))
    printed = capsys.readouterr().out
    assert all(each == "\n" or " " <= each <= "~" for each in printed)
    assert json.loads(printed.splitlines()[-1]) == value


@pytest.mark.skipif("os.name != 'posix'", reason="elsewhere names of files can't have these characters")
def test_names_forge_no_line_of_the_output(tmp_path: Path) -> None:
    film, damaged = tmp_path / "a\x1b[31m\nError: all films.png", tmp_path / "b\nc\u202e.png"
    film.write_bytes(demo_films()[0].read_bytes())
    damaged.write_bytes(b"\x89PNG\r\n\x1a\n")
    result = CliRunner().invoke(main, ["report", str(film), str(damaged), str(tmp_path / "none\r*.png")])
    assert result.exit_code == 1
    assert all(is_harmless(line) for line in (result.stdout + result.stderr).split("\n"))
    assert not any(
        line.startswith(("Error: all", "c")) for line in (result.stdout + result.stderr).split("\n")
    )


@pytest.mark.skipif("sys.platform != 'linux'", reason="elsewhere every name of a file is UTF-8")
@pytest.mark.parametrize(
    "variables",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "latin-1"}],
)
def test_output_is_utf8_in_any_locale(tmp_path: Path, variables: dict[str, str]) -> None:
    folder = os.fsencode(tmp_path)
    for name in (b"caf\xe9.png", "\u5317\u4eac.png".encode()):
        with open(os.path.join(folder, name), "wb") as file:  # noqa: PTH118, PTH123 (the names are bytes)
            file.write(demo_films()[0].read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "cxrscribe", "report", tmp_path, "none.png"],
        env={**os.environ, **variables},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "caf\\xe9.png" in done.stdout.decode("utf-8")
    # In an ASCII locale Python takes each byte of a name for one that can't be decoded.
    names = ["\u5317\u4eac.png", "\\xe5\\x8c\\x97\\xe4\\xba\\xac.png"]
    assert any(name in done.stdout.decode("utf-8") for name in names)

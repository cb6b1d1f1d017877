"""A table of texts by film: any CSV file, read once, and then row by row where they are wanted."""

from __future__ import annotations

import csv
import gc
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxrscribe.archive import text_table
from cxrscribe.archive.text_table import ABSENT, TextTable
from cxrscribe.errors import InputError

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


def indications(source: Path, key: Callable[[str], str] = str) -> TextTable:
    return TextTable(source, ["film"], "indication", key)


def write(path: Path, *rows: tuple[str, ...], header: tuple[str, ...] = ("film", "indication")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    texts=st.dictionaries(CELL, CELL, max_size=20),
    end=st.sampled_from(["\r\n", "\n"]),
    bom=st.booleans(),
)
def test_every_film_has_the_text_of_its_row(
    tmp_path: Path, texts: dict[str, str], end: str, bom: bool
) -> None:
    written = io.StringIO(newline="")
    rows = [(number, text, film) for number, (film, text) in enumerate(texts.items())]
    writer = csv.writer(written, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("number", "indication", "film"), *rows])
    content = (b"\xef\xbb\xbf" if bom else b"") + written.getvalue().encode()
    (tmp_path / "table.csv").write_bytes(content)
    table = indications(tmp_path / "table.csv")
    assert (len(table), table.sha256) == (len(texts), hashlib.sha256(content).hexdigest())
    assert table.places(list(texts)).tolist() == list(range(len(texts)))
    for film, text in texts.items():
        assert table.text(film) == (text if text.strip() else None)
    assert table.texts == sum(bool(text.strip()) for text in texts.values())
    assert table.text("another") is None or "another" in texts


def test_places_of_films_that_are_not_there(tmp_path: Path) -> None:
    table = indications(write(tmp_path / "t.csv", ("a", "x"), ("b", "")))
    found = table.places(["b", "nowhere", "a"])
    assert found.tolist() == [1, ABSENT, 0]
    assert table.has_text(found[[0, 2]]).tolist() == [False, True]
    empty = indications(write(tmp_path / "empty.csv"))
    assert (len(empty), empty.text("a"), empty.places(["a"]).tolist()) == (0, None, [ABSENT])


def test_names_as_someone_else_has_them(tmp_path: Path) -> None:
    table = indications(write(tmp_path / "t.csv", ("x/../a", "Cough")), os.path.normpath)
    assert (table.text("a"), table.text("x/../a")) == ("Cough", None)
    with pytest.raises(InputError, match="row 3 names a film that a row before names; keep one"):
        indications(write(tmp_path / "u.csv", ("x/../a", "Cough"), ("./a", "secret")), os.path.normpath)


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"film,indication\n\na,pain\n\r\n\nb,cough\n\n")
    table = indications(tmp_path / "t.csv")
    assert len(table) == 2
    assert (table.text("a"), table.text("b"), table.text("")) == ("pain", "cough", None)
    for content, problem in ((b"a,x\n\nb,y\n\na,z\n", "row 4 names"), (b"a,x\n\nb\n", "row 3 has 1 cells")):
        (tmp_path / "t.csv").write_bytes(b"\nfilm,indication\n\n" + content)
        with pytest.raises(InputError, match=problem):
            indications(tmp_path / "t.csv")


def test_rows_may_name_something_else(tmp_path: Path) -> None:
    for header, column, text in (
        (("study", "indication"), "study", "Cough"),
        (("study", "indication", "film"), "film", None),
        (("study", "indication", "film", "film"), "study", "Cough"),
    ):
        path = write(tmp_path / "t.csv", ("a", "Cough", "b", "b")[: len(header)], header=header)
        table = TextTable(path, ["film", "study"], "indication")
        assert (table.column, table.text("a")) == (column, text)
    write(path, ("a", "secret"), ("a", "x"), header=("study", "note"))
    with pytest.raises(InputError, match="row 3 names a study that a row before names"):
        TextTable(path, ["film", "study"], "note")
    with pytest.raises(InputError, match="has no column 'film'"):
        TextTable(path, ["film"], "note")
    path.write_bytes(b"study,note\na,\xff\n")
    with pytest.raises(InputError, match="is not UTF-8; write the columns study and note"):
        TextTable(path, ["study"], "note")


def test_one_film_is_not_taken_for_another_of_the_same_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_table, "_digest", lambda film: bytes(8))
    table = indications(write(tmp_path / "t.csv", ("a", "Cough")))
    assert (table.text("a"), table.text("b")) == ("Cough", None)


def test_a_table_that_is_replaced_is_the_one_that_was_opened(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ("a", "Cough"))
    table = indications(path)
    write(tmp_path / "other.csv", ("a", "Fever")).replace(path)
    assert table.text("a") == "Cough"


@pytest.mark.parametrize("content", [b"film,indication\r\na,Fever\r\n", b"film", b""])
def test_a_table_that_is_changed_in_its_place_is_not_guessed(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "t.csv", ("a", "Cough"))
    table = indications(path)
    path.write_bytes(content)
    with pytest.raises(InputError, match="has changed since it was opened") as refused:
        table.text("a")
    assert "Fever" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"film,text\na,x\n", "has no column 'indication'"),
        (b"film,film,indication\na,b,x\n", "has no column 'film', or several"),
        (b"", "has no column 'film'"),
        (b"film,indication\na,secret,x\n", "row 2 has 3 cells, not 2"),
        (b"film,indication\na,secret\nb,x\na,y\n", "row 4 names a film that a row before names"),
        (b"film,indication\na,secret\xff\n", "is not UTF-8"),
        (b'film,indication\na,"secret', "is not CSV"),
        (b'film,indication\na,"secret"x\n', "is not CSV"),
        (b"film,indication\na,sec\rret\n", "is not CSV"),
    ],
)
def test_what_is_no_table_is_refused_without_its_texts(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=problem) as refused:
        indications(tmp_path / "t.csv")
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_quote_that_is_not_closed_is_given_up_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_table, "_LONGEST_ROW", 1000)
    (tmp_path / "t.csv").write_text('film,indication\na,x\nb,"' + "secret\n" * 1000, encoding="utf-8")
    with pytest.raises(InputError, match="a row of more than 1,000 bytes, or a quote that isn't closed"):
        indications(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("film,indication\na," + "x" * 5000, encoding="utf-8")
    with pytest.raises(InputError, match="a row of more than 1,000 bytes"):
        indications(tmp_path / "t.csv")


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv can't be read \(No such file"):
        indications(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"can't be read \(it is not a regular file"):
        indications(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InputError, match="it is not a regular file"):
            indications(tmp_path / "pipe")


@pytest.mark.skipif("not __import__('os').path.isdir('/proc/self/fd')", reason="needs Linux' /proc")
def test_its_file_is_closed_with_it(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ("a", "Cough"))

    def open_files() -> int:
        links = (Path(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
        return sum(os.path.realpath(link) == str(path) for link in links)

    table = indications(path)
    assert open_files() == 1
    del table
    gc.collect()
    assert open_files() == 0


def test_rows_take_few_bytes_of_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", *((f"{row:06}.dcm", "word " * 40) for row in range(20_000)))
    table = indications(path)
    held = (table._keys, table._order, table._offsets, table._sizes, table._checks)
    assert sum(np.asarray(each).nbytes for each in held) <= 32 * 20_000
    assert table.text("019999.dcm") == "word " * 40

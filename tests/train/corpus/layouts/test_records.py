from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.layouts.entry import Damaged
from cxrscribe_train.corpus.layouts.records import (
    holds_json,
    literal_list,
    read_csv,
    read_json,
    read_json_lines,
)

FIELDS = st.text(st.characters(exclude_categories=["Cs", "Cc"])) | st.text('a,;"\n ')


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(FIELDS, FIELDS, FIELDS)), st.sampled_from(",;\t"), st.booleans(), st.booleans())
def test_what_was_written_is_read(
    tmp_path: Path, rows: list[tuple[str, ...]], delimiter: str, mark: bool, packed: bool
) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerow(["A ", "b", "c"])
    writer.writerows(rows)
    content = buffer.getvalue().encode("utf-8-sig" if mark else "utf-8")
    path = tmp_path / ("table.csv.gz" if packed else "table.csv")
    path.write_bytes(gzip.compress(content) if packed else content)
    read = [record for record in read_csv(path, ["a", "B"]) if not isinstance(record, Damaged)]
    assert [tuple(record.values.values()) for record in read] == rows


def _read(path: Path, content: str, encoding: str = "utf-8") -> list[str]:
    path.write_bytes(content.encode(encoding))
    return [
        str(record) if isinstance(record, Damaged) else f"{record.place}: {record['a']}|{record['b']}"
        for record in read_csv(path, ["a"], encoding)
    ]


def test_a_damaged_row_costs_itself(tmp_path: Path) -> None:
    lines = [
        "a,b",
        "1,one",
        "2",
        '3,"th"ree',
        "4,four",
        '5,"of',
        'two lines"',
        "",
        "6,six",
        '7,"open',
        "8,eight",
    ]
    read = _read(tmp_path / "t.csv", "\n".join(lines))
    assert [line for line in read if "|" in line] == [
        "t.csv, line 2: 1|one",
        "t.csv, line 5: 4|four",
        "t.csv, line 6: 5|of\ntwo lines",
        "t.csv, line 9: 6|six",
        "t.csv, line 11: 8|eight",
    ]
    assert [line for line in read if "|" not in line] == [
        "t.csv, line 3: has 1 fields instead of 2",
        "t.csv, line 4: is no row of CSV (',' expected after '\"'); correct its quotes",
        "t.csv, line 10: is no row of CSV (unexpected end of data); correct its quotes",
    ]


def test_the_header_may_stand_below_other_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    assert _read(path, "sep=;\r\na;b\r\n1;x, y") == ["t.csv, line 3: 1|x, y"]
    assert _read(path, '\n \n"sep=|"\na|b\n1|x') == ["t.csv, line 5: 1|x"]
    assert _read(path, 'a,"B"\n1,x\n') == ["t.csv, line 2: 1|x"]
    (record,) = read_csv(path, ["A"])
    assert not isinstance(record, Damaged)
    path.write_text('A,"Text of\n the  report"\n1,x\n')
    (record,) = read_csv(path, ["a", "text of the report"])
    assert not isinstance(record, Damaged)
    assert (record.place, record["text of the report"]) == ("t.csv, line 3", "x")


def test_headers_that_cannot_be_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,findings,,,Findings \n1,2,3,4,5\n")
    with pytest.raises(InputError, match=r"t\.csv has more than one column findings; keep or rename one"):
        list(read_csv(path, ["a"]))
    path.write_text("a|b\n1|2\n")
    with pytest.raises(InputError, match=r"no column a; its columns are a\|b\. Columns are parted by .*sep="):
        list(read_csv(path, ["a"]))


def test_encodings(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    assert _read(path, "a;b\n1;肺", "gb18030") == ["t.csv, line 2: 1|肺"]
    assert _read(path, "a\tb\n1\tñ", "latin-1") == ["t.csv, line 2: 1|ñ"]
    path.write_bytes("a,b\n1,ñ".encode("utf-16"))
    assert [record["b"] for record in read_csv(path, []) if not isinstance(record, Damaged)] == ["ñ"]
    path.write_bytes("a,b\n1,ñ".encode("latin-1"))
    with pytest.raises(InputError, match=r"t\.csv is not utf-8 .*--encoding"):
        list(read_csv(path, []))
    with pytest.raises(InputError, match="unknown encoding"):
        list(read_csv(path, [], "klingon"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        list(read_csv(tmp_path / "none.csv", []))
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"a,b\n" * 1000)[:-20])
    with pytest.raises(InputError, match="can't be read"):
        list(read_csv(tmp_path / "cut.csv.gz", []))
    (tmp_path / "other.csv").write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match="no column a; its columns are x, y"):
        list(read_csv(tmp_path / "other.csv", ["a", "x"]))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="no column a; its columns are none"):
        list(read_csv(tmp_path / "empty.csv", ["a"]))
    for content in ("{", "[" * 100_000):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(InputError, match="can't be read as JSON"):
            read_json(tmp_path / "bad.json")


def test_objects_a_line(tmp_path: Path) -> None:
    lines = [json.dumps({"A ": 1, "b": "ñ"}), "", "{", "[1]", json.dumps({"a": None})]
    (tmp_path / "t.jsonl").write_text("\n".join(lines), encoding="utf-8-sig")
    first, wrong, no_object, last = read_json_lines(tmp_path / "t.jsonl")
    assert not isinstance(first, Damaged)
    assert not isinstance(last, Damaged)
    assert (first["a"], first["b"], last["a"]) == (1, "ñ", None)
    assert str(wrong).startswith("t.jsonl, line 3: is no JSON (")
    assert str(no_object) == "t.jsonl, line 4: is no JSON object"


def test_json_lines_of_other_encodings_and_packed(tmp_path: Path) -> None:
    line = json.dumps({"a": "肺"}, ensure_ascii=False)
    (tmp_path / "t.ndjson.gz").write_bytes(gzip.compress(line.encode("gb18030")))
    (record,) = read_json_lines(tmp_path / "t.ndjson.gz", "gb18030")
    assert not isinstance(record, Damaged)
    assert record["a"] == "肺"
    with pytest.raises(InputError, match=r"is not utf-8 .*--encoding"):
        list(read_json_lines(tmp_path / "t.ndjson.gz"))
    (tmp_path / "t.json").write_text('\n[{"a": 1}]')
    with pytest.raises(InputError, match=r"t\.json is a JSON array; write its objects one a line"):
        list(read_json_lines(tmp_path / "t.json"))
    names = ("t.json", "T.JSONL", "t.ndjson.gz", "t.jsonl.gz", "t.csv", "t.csv.gz", "json")
    assert [holds_json(Path(name)) for name in names] == [True] * 4 + [False] * 3


@given(st.lists(st.text(min_size=1).filter(lambda word: word == word.strip() != "")))
def test_lists_that_python_printed(words: list[str]) -> None:
    assert literal_list(repr(words)) == tuple(words)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "[open('x')]",
        "['a', 1]",
        "('a',)",
        "'a'",
        "['a'",
        "nan",
        "[" * 5000,
        "['a'] + ['b']",
        "['" + "a" * 30_000 + "']",
    ],
)
def test_nothing_else_is_a_list_of_words(text: str) -> None:
    with pytest.raises(InputError, match="no list of words"):
        literal_list(text)

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.table import (
    COLUMNS,
    SPLITS,
    VIEWS,
    Corpus,
    CorpusRow,
    read_reports,
    write_reports,
)

ROW = CorpusRow("CXR1", "CXR1_1", "images/CXR1_1.png", "Clear.", "Normal.", "", "", "normal", "train")


def test_columns_are_those_of_the_documentation() -> None:
    assert ",".join(COLUMNS) == (
        "study_id,image_id,image_path,findings,impression,indication,comparison,mesh,split,patient_id,view"
    )


# Texts have their white space collapsed, so a lone carriage return can't occur.
FIELD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(
        st.builds(
            CorpusRow,
            *[FIELD] * 8,
            split=st.sampled_from(["", *SPLITS]),
            patient_id=FIELD,
            view=st.sampled_from(["", *VIEWS]),
        )
    )
)
def test_rows_read_back_as_written(tmp_path: Path, rows: list[CorpusRow]) -> None:
    write_reports(tmp_path, rows)
    assert read_reports(tmp_path).rows == tuple(rows)
    assert [path.name for path in tmp_path.iterdir()] == ["reports.csv"]


def test_split_selects_rows() -> None:
    rows = tuple(replace(ROW, study_id=name, split=name) for name in ("", "train", "val", "test", "train"))
    corpus = Corpus(Path(), rows)
    assert corpus.split("train") == (rows[1], rows[4])
    assert corpus.split("all") == rows[1:]
    with pytest.raises(InputError, match=r"'dev'.*train, val, test"):
        corpus.split("dev")


def test_image_file_is_inside_the_corpus_or_absolute(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path, ())
    assert corpus.image_file(ROW) == tmp_path / "images" / "CXR1_1.png"
    assert corpus.image_file(replace(ROW, image_path="/films/a.png")) == Path("/films/a.png")
    with pytest.raises(InputError, match=r"CXR1_1.*no image file"):
        corpus.image_file(replace(ROW, image_path=""))


HEADER = ",".join(COLUMNS)


def test_a_table_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    before = COLUMNS[: COLUMNS.index("patient_id")]
    row = "CXR1,CXR1_1,images/CXR1_1.png,Clear.,Normal.,,,normal,train"
    (tmp_path / "reports.csv").write_text(f"{','.join(before)}\n{row}\n", encoding="utf-8")
    assert read_reports(tmp_path).rows == (ROW,)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "line 1: columns are none"),
        ("study_id,findings\n", "line 1: columns are study_id, findings instead"),
        (HEADER + "\na,b\n", "line 2: 2 fields instead of 11"),
        (HEADER + "\na,b,,,,,,,dev,,\n", "line 2: split 'dev'"),
        (HEADER + "\na,b,,,,,,,,,oblique\n", "line 2: view 'oblique'"),
        (HEADER + '\n"a', "line 2: .*end of data"),
    ],
)
def test_a_damaged_table_is_refused_with_the_line(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "reports.csv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=reason):
        read_reports(tmp_path)


def test_a_missing_or_binary_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no reports\.csv"):
        read_reports(tmp_path)
    (tmp_path / "reports.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="can't be read"):
        read_reports(tmp_path)


def test_a_table_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "reports.csv").mkdir()
    with pytest.raises(InputError, match=r"can't write .*reports\.csv"):
        write_reports(tmp_path, [ROW])
    assert [path.name for path in tmp_path.iterdir()] == ["reports.csv"]

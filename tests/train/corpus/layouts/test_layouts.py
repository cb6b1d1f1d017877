from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.errors import InputError
from cxrscribe_train.commands.corpus import corpus as command
from cxrscribe_train.corpus.layouts.entry import Entry, image_id_of, paragraph, split_of
from cxrscribe_train.corpus.table import CorpusRow, read_reports
from cxrscribe_train.corpus.views import view_of
from support.layouts import CHINESE, LAYOUTS, SPANISH, STUDIES, TEXTS, write_csv, write_film, write_own_table


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def _table(tmp_path: Path, layout: str, *options: object, exit_code: int = 0) -> tuple[CorpusRow, ...]:
    """The rows that the layout's small collection gives."""
    root = LAYOUTS[layout](tmp_path / "collection")
    result = _run(layout, root, "--out", tmp_path / "out", *options)
    assert result.exit_code == exit_code, (result.output, result.exception)
    return read_reports(tmp_path / "out").rows


def _summary(tmp_path: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_common_table(tmp_path: Path, layout: str) -> None:
    rows = _table(tmp_path, layout)
    summary = _summary(tmp_path)
    assert summary["layout"] == layout
    assert summary["studies"] == STUDIES
    assert summary["damaged_rows"] == summary["image_files_missing"] == 0
    assert summary["rows"] == len(rows)
    assert summary["damaged"] == summary["patients_in_several_splits"] == []
    corpus = read_reports(tmp_path / "out")
    for row in rows:
        assert row.findings
        assert not row.image_id or corpus.image_file(row).is_file()
    assert len({row.image_id for row in rows}) == len(rows)
    patients = {row.patient_id: row.split for row in rows if row.patient_id}
    assert all(row.split == patients[row.patient_id] for row in rows if row.patient_id)
    assert bool(patients) == (layout in {"csv", "mimic-cxr", "chexpert-plus", "padchest"})


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    rows = _table(tmp_path, "csv")
    assert rows[0] == CorpusRow(
        "E0",
        "E0_0",
        str(tmp_path / "collection" / "films" / "0.png"),
        TEXTS[0],
        "",
        "cough",
        "none",
        "",
        rows[0].split,
        "P0",
        "pa",
    )
    assert [row.study_id for row in rows] == [f"E{number}" for number in range(STUDIES)]
    assert _summary(tmp_path)["split_by"] == "hash of the patient"


def test_r2gen(tmp_path: Path) -> None:
    rows = _table(tmp_path, "r2gen")
    assert rows[:2] == tuple(
        CorpusRow(
            "CXR1",
            f"CXR1_IM-0000_{view}",
            str(tmp_path / "collection" / "images" / "CXR1_IM-0000" / f"{view}.png"),
            *(TEXTS[0], "", "", "", "", "train"),
        )
        for view in range(2)
    )
    assert _summary(tmp_path)["split_by"] == "published"
    assert Counter(row.split for row in rows) == {"train": 24, "val": 4, "test": 4}


def test_r2gen_of_mimic_has_the_ids_of_mimic(tmp_path: Path) -> None:
    entry = {
        "id": "02aa804e",
        "study_id": 50414267,
        "subject_id": 10000032,
        "report": "Clear.",
        "image_path": ["p10/p10000032/s50414267/02aa804e.jpg"],
    }
    (tmp_path / "annotation.json").write_text(json.dumps({" train": [entry], "val ": [], "test": []}))
    assert _run("r2gen", tmp_path / "annotation.json", "--out", tmp_path / "out").exit_code == 0
    (row,) = read_reports(tmp_path / "out").rows
    assert (row.study_id, row.patient_id, row.image_id) == ("s50414267", "p10000032", "02aa804e")
    assert (row.image_path, row.split) == ("", "train")


def test_kaggle_gets_the_ids_of_the_collection_again(tmp_path: Path) -> None:
    rows = _table(tmp_path, "kaggle-iu")
    assert [(row.study_id, row.image_id, row.view) for row in rows[:3]] == [
        ("CXR1", "CXR1_IM-0001-3001", "frontal"),
        ("CXR1", "CXR1_IM-0001-4001", "lateral"),
        ("CXR2", "CXR2_IM-0002-3001", "frontal"),
    ]
    assert rows[0].mesh == "Mass/left;normal"
    assert (rows[0].indication, rows[0].comparison, rows[0].impression) == (
        "Positive TB test",
        "None.",
        "Normal.",
    )
    assert rows[-1].image_id == ""
    assert _summary(tmp_path)["studies_without_image"] == 1
    split_file = tmp_path / "split.json"
    split_file.write_text(json.dumps({"train": ["CXR1_IM-0001"], "test": [{"id": "CXR2_IM-0002"}]}))
    rows = _table(tmp_path, "kaggle-iu", "--split-file", split_file)
    assert Counter(row.split for row in rows) == {"train": 2, "test": 2, "": 27}


def test_mimic_cxr(tmp_path: Path) -> None:
    rows = _table(tmp_path, "mimic-cxr")
    folder = tmp_path / "collection" / "files" / "p10" / "p10000032"
    assert rows[0] == CorpusRow(
        "s50414267",
        "00000000-ap",
        str(folder / "s50414267" / "00000000-ap.jpg"),
        f"{TEXTS[0]} The heart is of a size that takes more than one line to describe.",
        "No acute process.",
        "___-year-old with cough and a longer history that goes on here.",
        "___.",
        "",
        "train",
        "p10000032",
        "ap",
    )
    assert [row.view for row in rows[1:3]] == ["ap", "lateral"]
    assert {row.split for row in rows} == {"train", "val", "test"}


def test_mimic_cxr_without_some_texts_or_metadata(tmp_path: Path) -> None:
    root = LAYOUTS["mimic-cxr"](tmp_path / "collection")
    (root / "files" / "p10" / "p10000032" / "s50414267.txt").unlink()
    (root / "mimic-cxr-2.0.0-metadata.csv.gz").unlink()
    result = _run("mimic-cxr", root, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert _summary(tmp_path)["left_out"] == {"images whose report file is missing": 1}
    assert _summary(tmp_path)["rows"] == 24
    assert "left out: images whose report file is missing" in result.stdout
    assert {row.view for row in read_reports(tmp_path / "out").rows} == {""}


def test_chexpert_plus(tmp_path: Path) -> None:
    rows = _table(tmp_path, "chexpert-plus")
    root = tmp_path / "collection" / "PNG" / "train" / "patient00000" / "study1"
    assert rows[0] == CorpusRow(
        "patient00000_study1",
        "patient00000_study1_view1_frontal",
        str(root / "view1_frontal.png"),
        TEXTS[0],
        "Stable.",
        "shortness of breath",
        "None.",
        "",
        rows[0].split,
        "patient00000",
        "ap",
    )
    assert Counter(row.split == "test" for row in rows) == {False: 12, True: 4}


def test_padchest(tmp_path: Path) -> None:
    rows = _table(tmp_path, "padchest")
    assert rows[1].mesh == "nodule;normal"  # by a physician
    assert rows[0].mesh == ""  # by a network
    assert rows[0].findings == SPANISH[0]
    assert (rows[0].patient_id, rows[0].view, rows[1].view) == ("73830", "pa", "lateral")


@pytest.mark.parametrize(
    ("layout", "break_it", "problem"),
    [
        ("csv", lambda text: text.replace("E3,", ",", 1), "line 5: has no study id"),
        ("csv", lambda text: text.replace("E3,", '"E"3,', 1), "line 5: is no row of CSV"),
        ("csv", lambda text: text.replace("E1,", "E0,", 1).replace("films/1.", "films/0."), "line 3: image"),
        ("r2gen", lambda text: text.replace('"CXR5_IM-0004"', "null", 1), "train 3: has no id"),
        ("r2gen", lambda text: text.replace('["CXR5_IM-0004/0.png"', "[7", 1), "train 3: study"),
        ("chexpert-plus", lambda text: text.replace("patient00001/study2/", "", 1), "line 5: path_to_image"),
        ("chexpert-plus", lambda text: text.replace(",train\n", ",hold-out\n", 1), "line 2: split"),
        ("padchest", lambda text: text.replace("['copd']", "['copd'", 1), "line 2: "),
        ("padchest", lambda text: text.replace("['copd']", "exit()", 1), "line 2: 'exit()' is no list"),
        ("kaggle-iu", lambda text: text.replace("\n3,", "\n,", 1), "line 4: has no uid"),
    ],
)
def test_a_damaged_row_is_named_and_skipped(
    tmp_path: Path, layout: str, break_it: Callable[[str], str], problem: str
) -> None:
    root = LAYOUTS[layout](tmp_path / "collection")
    (file,) = [root] if root.is_file() else [*root.glob("*eports.csv"), *root.glob("[adP]*.*")][:1]
    broken = break_it(file.read_text(encoding="utf-8-sig"))
    assert broken != file.read_text(encoding="utf-8-sig")
    file.write_text(broken, encoding="utf-8")
    result = _run(layout, root, "--out", tmp_path / "out")
    assert result.exit_code == 1, result.exception
    assert result.stderr.startswith(f"skipped {file.name}, {problem}")
    assert _summary(tmp_path)["damaged_rows"] == 1
    assert _summary(tmp_path)["studies"] == STUDIES - 1
    rows = read_reports(tmp_path / "out").rows
    whole = _table(tmp_path / "whole", layout)
    lost = {row.study_id for row in whole} - {row.study_id for row in rows}
    assert len(lost) == 1
    kept = [row for row in whole if row.study_id not in lost]
    assert [(row.study_id, row.image_id, row.findings) for row in rows] == [
        (row.study_id, row.image_id, row.findings) for row in kept
    ]


def test_a_table_with_other_names_and_one_text(tmp_path: Path) -> None:
    text = "HALLAZGOS: Sin derrame.\nCardiomegalia\n\nIMPRESIÓN: Normal."
    table = tmp_path / "informes.csv"
    write_csv(table, ("Estudio", "Informe", "Proyección"), [("1", text, "AP"), ("2", "Normal", "")])
    names = ("--column", "study_id=estudio", "--column", "report=INFORME", "--column", "view=Proyección")
    assert _run("csv", table, "--out", tmp_path / "out", *names).exit_code == 0
    first, second = read_reports(tmp_path / "out").rows
    assert (first.findings, first.impression) == ("Sin derrame. Cardiomegalia", "Normal.")
    assert second.findings == "Normal"
    assert (first.view, second.view) == ("ap", "")


def test_the_table_of_a_corpus_is_a_table_of_ones_own(tmp_path: Path) -> None:
    rows = _table(tmp_path, "csv")
    result = _run("csv", tmp_path / "out" / "reports.csv", "--out", tmp_path / "again")
    assert result.exit_code == 0
    assert read_reports(tmp_path / "again").rows == rows
    (tmp_path / "lines.jsonl").write_text(
        "\n".join(json.dumps({"study_id": row.study_id, "findings": row.findings}) for row in rows)
    )
    assert _run("csv", tmp_path / "lines.jsonl", "--out", tmp_path / "third").exit_code == 0
    assert [row.findings for row in read_reports(tmp_path / "third").rows] == [row.findings for row in rows]


def test_json_that_holds_no_text_is_damaged(tmp_path: Path) -> None:
    values = (["No effusion", "Nodule"], {"text": "Clear."}, True, "Clear.", None)
    lines = [json.dumps({"study_id": place, "findings": value}) for place, value in enumerate(values)]
    (tmp_path / "t.json").write_text("\n".join(lines))
    result = _run("csv", tmp_path / "t.json", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.count("holds a list, an object or true/false") == 3
    rows = read_reports(tmp_path / "out").rows
    assert [(row.study_id, row.findings) for row in rows] == [("3", "Clear."), ("4", "")]


def test_what_stands_for_no_text_is_none(tmp_path: Path) -> None:
    texts = ["None", "N/A", "#N/A", "-", "--", "none.", "nan", "Clear."]
    rows = [(str(place), text, text, "None") for place, text in enumerate(texts)]
    write_csv(tmp_path / "t.csv", ("study_id", "findings", "report", "comparison"), rows)
    assert _run("csv", tmp_path / "t.csv", "--out", tmp_path / "out").exit_code == 0
    read = read_reports(tmp_path / "out").rows
    assert [row.findings for row in read] == [""] * 7 + ["Clear."]
    assert {row.comparison for row in read} == {"None"}


def test_a_report_without_headings_is_findings_where_that_column_is_empty(tmp_path: Path) -> None:
    rows = [("1", "", "Lungs clear."), ("2", "Large heart.", "Lungs clear.")]
    write_csv(tmp_path / "t.csv", ("study_id", "findings", "report"), rows)
    assert _run("csv", tmp_path / "t.csv", "--out", tmp_path / "out").exit_code == 0
    assert [row.findings for row in read_reports(tmp_path / "out").rows] == ["Lungs clear.", "Large heart."]


def test_reports_whose_findings_are_not_found_are_counted(tmp_path: Path) -> None:
    rows = [("1", "Impression: Normal."), ("2", "Findings: Clear. Impression: Normal."), ("3", "")]
    write_csv(tmp_path / "t.csv", ("study_id", "report"), rows)
    result = _run("csv", tmp_path / "t.csv", "--out", tmp_path / "out")
    assert "1 reports have no FINDINGS" in result.stderr
    assert _summary(tmp_path)["reports_without_findings"] == 1
    first, second, _ = read_reports(tmp_path / "out").rows
    assert (first.findings, first.impression) == ("", "Normal.")
    assert (second.findings, second.impression) == ("Clear.", "Normal.")


def test_two_files_of_one_name_need_an_id(tmp_path: Path) -> None:
    rows = [("1", "a/x.png", "Clear."), ("1", "b/x.png", "Clear.")]
    write_csv(tmp_path / "t.csv", ("study_id", "image_path", "findings"), rows)
    result = _run("csv", tmp_path / "t.csv", "--out", tmp_path / "out")
    assert "image '1_x' stands at t.csv, line 2 too; keep one, or give each its image_id" in result.stderr


def test_numbers_that_became_floats_are_one_patient(tmp_path: Path) -> None:
    rows = [("1.0", "7.0", "Clear."), ("2", "7", "Clear."), ("3.10", "", "Clear.")]
    write_csv(tmp_path / "t.csv", ("study_id", "patient_id", "findings"), rows)
    assert _run("csv", tmp_path / "t.csv", "--out", tmp_path / "out").exit_code == 0
    assert [(row.study_id, row.patient_id) for row in read_reports(tmp_path / "out").rows] == [
        ("1", "7"),
        ("2", "7"),
        ("3.10", ""),
    ]


def test_other_languages_come_through(tmp_path: Path) -> None:
    table = write_own_table(tmp_path / "own", texts=(*CHINESE, *SPANISH))
    assert _run("csv", table, "--out", tmp_path / "out").exit_code == 0
    assert {row.findings for row in read_reports(tmp_path / "out").rows} == {*CHINESE, *SPANISH}


def test_a_published_split_can_be_overruled(tmp_path: Path) -> None:
    rows = _table(tmp_path, "mimic-cxr", "--train", "1", "--validation", "0")
    assert {row.split for row in rows} == {"train"}
    rows = _table(tmp_path, "mimic-cxr", "--seed", "1")
    assert _summary(tmp_path)["split_by"] == "hash of the patient"


def test_patients_in_several_splits_are_named(tmp_path: Path) -> None:
    rows = [("A", "P1", "Clear.", "train"), ("B", "P1", "Clear.", "test"), ("C", "P2", "Clear.", "val")]
    write_csv(tmp_path / "t.csv", ("study_id", "patient_id", "findings", "split"), rows)
    result = _run("csv", tmp_path / "t.csv", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert result.stderr == "1 patients are in more than one split: P1\n"
    assert _summary(tmp_path)["patients_in_several_splits"] == ["P1"]


def test_a_study_is_in_one_split_and_of_one_patient(tmp_path: Path) -> None:
    header = ("study_id", "image_id", "image_path", "patient_id", "findings", "split")
    rows = [
        ("A", "A1", "a1.png", "P1", "Clear.", "train"),
        ("A", "A2", "a2.png", "P1", "Clear.", "test"),
        ("A", "A3", "a3.png", "P2", "Clear.", "train"),
        ("A", "", "", "P1", "Clear.", "train"),
    ]
    write_csv(tmp_path / "t.csv", header, rows)
    result = _run("csv", tmp_path / "t.csv", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == [
        f"skipped t.csv, line {line}" for line in (3, 4, 5)
    ]
    assert [row.image_id for row in read_reports(tmp_path / "out").rows] == ["A1"]


def test_views_can_be_chosen(tmp_path: Path) -> None:
    rows = _table(tmp_path, "kaggle-iu", "--view", "frontal", "--view", "pa")
    assert {row.view for row in rows} == {"frontal"}
    assert _summary(tmp_path)["left_out"] == {"images with another view": STUDIES}
    assert _summary(tmp_path)["rows"] == 2 * STUDIES - 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("csv", "t.csv", "--column", "text=findings"), "--column 'text=findings'"),
        (("csv", "t.csv", "--column", "study_id=name"), "no column name"),
        (("csv", "t.csv", "--column", "findings=x"), "neither a column x nor report"),
        (("r2gen", "."), r"no annotation\.json in"),
        (("kaggle-iu", "."), r"no indiana_reports\.csv in"),
        (("mimic-cxr", "."), r"no mimic-cxr-2\.0\.0-split\.csv in"),
        (("chexpert-plus", "t.csv"), "no column path_to_image, frontal_lateral"),
        (("padchest", "."), r"no PADCHEST.*\.csv in"),
    ],
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "t.csv", ("study_id", "findings"), [("A", "Clear.")])
    result = _run(*arguments, "--out", "out")
    with pytest.raises(InputError, match=message):
        raise result.exception or AssertionError(result.output)
    assert not (tmp_path / "out").exists()


def test_a_table_without_usable_row_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ("study_id", "findings"), [("", "Clear.")])
    error = _run("csv", tmp_path / "t.csv", "--out", tmp_path / "out").exception
    assert isinstance(error, InputError)
    assert "no usable row among the 1 in " in str(error)
    assert "t.csv; the first problem: t.csv, line 2: has no study id" in str(error)


def test_images_elsewhere_and_absolute(tmp_path: Path) -> None:
    write_film(tmp_path / "far" / "a.png", 0)
    rows = [
        ("A", "a.png", "Clear."),
        ("B", tmp_path / "far" / "a.png", "Clear."),
        ("C", "x\0y" * 99, "Clear."),
    ]
    write_csv(tmp_path / "t.csv", ("study_id", "image_path", "findings"), rows)
    result = _run("csv", tmp_path / "t.csv", "--images", tmp_path / "far", "--out", tmp_path / "far")
    assert result.exit_code == 1  # an image id with a zero
    assert [row.image_path for row in read_reports(tmp_path / "far").rows] == ["a.png", "a.png"]


def test_a_text_that_no_table_holds_is_damaged(tmp_path: Path) -> None:
    rows = [("A", "word " * 25_000), ("B", "Clear.")]
    write_csv(tmp_path / "t.csv", ("study_id", "findings"), rows)
    result = _run("csv", tmp_path / "t.csv", "--out", tmp_path / "out")
    assert "t.csv, line 2: findings has 124,999 characters" in result.stderr
    assert [row.study_id for row in read_reports(tmp_path / "out").rows] == ["B"]


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("PA", "pa"),
        ("AP", "ap"),
        ("AP_horizontal", "ap"),
        ("LATERAL", "lateral"),
        ("LL", "lateral"),
        ("L", "lateral"),
        ("Frontal", "frontal"),
        ("COSTAL", "other"),
        ("LAO", "other"),
        ("UNK", ""),
        ("", ""),
    ],
)
def test_views(name: str, view: str) -> None:
    assert view_of(name) == view


def test_splits() -> None:
    names = ("Train", "valid", "validate", "val", "TEST", "", None)
    assert [split_of(name) for name in names] == ["train", "val", "val", "val", "test", "", ""]
    with pytest.raises(InputError, match="'holdout' is none of train"):
        split_of("holdout")


def test_image_ids() -> None:
    assert image_id_of("S1", "a/b/c.dcm.png") == "S1_c"
    assert image_id_of("S1", r"a\S1_2.jpeg") == "S1_2"
    assert image_id_of("S1", "S1.dcm") == "S1"


@given(st.text())
def test_a_paragraph_is_one_line_that_the_table_gives_back(text: str) -> None:
    once = paragraph(text)
    assert once.split() == once.split(" ") or once == ""
    assert paragraph(once) == once
    entry = Entry("here", "S", findings=once)
    row = next(csv.reader([",".join(f'"{cell}"' for cell in ("S", entry.findings.replace('"', '""')))]))
    assert row == ["S", once]

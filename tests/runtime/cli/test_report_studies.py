"""`cxrscribe report --by study`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

import cxrscribe
from cxrscribe import Reporter, Study
from cxrscribe.cli.report_row import STUDY_CSV_COLUMNS
from cxrscribe.cli.studies import naming_from, studies_of
from cxrscribe.errors import FilmError, InputError
from cxrscribe.study import MOST_FILMS

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")

from support.dicom_file import NAME, NUMBER, dicom, written
from support.small_bundle import SmallBundle

Run = Callable[..., Result]
REASON = "ReasonForTheRequestedProcedure"
UIDS = ("1.2.840.99999.7.1", "1.2.840.99999.7.2")


@pytest.fixture(scope="module")
def told_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = SmallBundle(seed=4, words=30, patient=4, fused=True)
    return small.write(tmp_path_factory.mktemp("context") / "bundle")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films a/1.png, a/2.png, b/1.png and b.png."""
    folder = tmp_path_factory.mktemp("studies")
    random = np.random.default_rng(0)
    for name in ("a/1.png", "a/2.png", "b/1.png", "b.png"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (60, 50), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture(scope="module")
def dicoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films 0.dcm to 2.dcm, of which 0 and 2 are of one study, and none.dcm of no study."""
    folder = tmp_path_factory.mktemp("dicoms")
    random = np.random.default_rng(1)
    for name, uid in (("0", UIDS[0]), ("1", UIDS[1]), ("2", UIDS[0]), ("none", None)):
        pixels = random.integers(0, 256, (60, 50), dtype=np.uint8)
        said = {} if uid is None else {"StudyInstanceUID": uid}
        (folder / f"{name}.dcm").write_bytes(written(dicom(pixels, **said)))
    return folder


def table(path: Path, *rows: tuple[str, ...]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_folder_is_a_study(run: Run, fused_bundle: Path, folders: Path) -> None:
    result = run("report", folders, "--bundle", fused_bundle, "--json", "--by", "study")
    assert (result.exit_code, result.stderr) == (0, "")
    found = lines(result.stdout)
    films = {"a": ["a/1.png", "a/2.png"], ".": ["b.png"], "b": ["b/1.png"]}
    assert [row["study"] for row in found] == [str(folders / name) for name in films]
    with cxrscribe.load(fused_bundle) as reporter:
        for row, names in zip(found, films.values(), strict=True):
            paths = [str(folders / name) for name in names]
            assert row["films"] == paths
            assert (row["error"], row["left_out"]) == (None, [])
            report = reporter.report(Study(paths))
            assert {name: row[name] for name in report.to_json()} == report.to_json()
            assert row["disclaimer"] == reporter.disclaimer
    assert "film" not in found[0]


def test_a_film_given_twice_counts_once(run: Run, fused_bundle: Path, folders: Path) -> None:
    again = folders / "b" / ".." / "a" / "1.png"
    result = run("report", folders / "a", again, "--bundle", fused_bundle, "--json", "--by", "study")
    (row,) = lines(result.stdout)
    assert row["films"] == [str(folders / "a" / "1.png"), str(folders / "a" / "2.png")]


def test_reports_an_image_stay_the_default(run: Run, fused_bundle: Path, folders: Path) -> None:
    by_default = run("report", folders, "--bundle", fused_bundle, "--json")
    assert (
        by_default.stdout
        == run("report", folders, "--bundle", fused_bundle, "--json", "--by", "image").stdout
    )
    assert len(lines(by_default.stdout)) == 4
    refused = run("report", folders, "--bundle", fused_bundle, "--study-from", "folder")
    assert refused.exit_code == 2
    assert "--study-from is for --by study" in refused.stderr


def test_a_header_says_the_study_and_a_film_without_one_fails(
    run: Run, fused_bundle: Path, dicoms: Path
) -> None:
    options = ("--bundle", fused_bundle, "--json", "--by", "study")
    result = run("report", dicoms, *options, "--study-from", "dicom")
    assert result.exit_code == 1
    first, second, failed = lines(result.stdout)
    assert (first["study"], second["study"], failed["study"]) == (*UIDS, None)
    assert first["films"] == [str(dicoms / "0.dcm"), str(dicoms / "2.dcm")]
    assert failed["films"] == [str(dicoms / "none.dcm")]
    assert "none.dcm: is a DICOM file that doesn't say its study" in str(failed["error"])
    assert not any(secret in result.output for secret in (NAME, NUMBER))
    assert not any(uid in result.stderr for uid in UIDS)
    by_folder = run("report", dicoms, *options)
    assert not any(uid in by_folder.output for uid in UIDS)


def test_a_table_says_the_study(run: Run, fused_bundle: Path, folders: Path, tmp_path: Path) -> None:
    said = table(
        tmp_path / "studies.csv",
        ("film", "note", "study"),
        (str(folders / "a" / "1.png"), "", "s1"),
        (str(folders / "a" / "." / "2.png"), "", "s2"),
        (str(folders / "b.png"), "", "s1"),
    )
    result = run("report", folders, "--bundle", fused_bundle, "--json", "--by", "study", "--study-from", said)
    assert result.exit_code == 1
    found = lines(result.stdout)
    assert [row["study"] for row in found] == ["s1", "s2", None]
    assert found[0]["films"] == [str(folders / "a" / "1.png"), str(folders / "b.png")]
    assert "studies.csv has no row that names it" in str(found[2]["error"])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("film",)], "has no column 'study'"),
        ([("film", "study"), ("a.png", " ")], "row 2 names no study"),
        ([("film", "study"), ("a.png", "1"), ("./a.png", "2")], "row 3 names a film that a row before names"),
        ([("film", "study"), ("a.png",)], "row 2 has 1 cells, not 2"),
    ],
)
def test_a_wrong_table_is_named_with_its_row(
    run: Run, fused_bundle: Path, folders: Path, tmp_path: Path, rows: list[tuple[str, ...]], said: str
) -> None:
    path = table(tmp_path / "studies.csv", *rows)
    result = run("report", folders, "--bundle", fused_bundle, "--by", "study", "--study-from", path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_an_unknown_source_is_refused(run: Run, fused_bundle: Path, folders: Path) -> None:
    result = run("report", folders, "--bundle", fused_bundle, "--by", "study", "--study-from", "patient")
    assert result.exit_code == 2
    assert "--study-from patient: give folder, dicom" in result.stderr


def test_films_left_out_are_said_everywhere(run: Run, fused_bundle: Path, folders: Path) -> None:
    missing = folders / "a" / "missing.png"
    given = (folders / "a", missing, folders / "c" / "1.png", "--bundle", fused_bundle, "--by", "study")
    result = run("report", *given, "--json")
    assert result.exit_code == 1
    whole, failed = lines(result.stdout)
    (left_out,) = whole["left_out"]  # type: ignore[misc]
    assert left_out["film"] == str(missing)
    assert "does not exist" in left_out["error"]
    assert whole["films"] == [str(folders / "a" / name) for name in ("1.png", "2.png", "missing.png")]
    with cxrscribe.load(fused_bundle) as reporter:
        assert whole["text"] == reporter.report(Study([folders / "a/1.png", folders / "a/2.png"])).text
    assert (failed["text"], failed["left_out"]) == (None, [])
    assert "c/1.png: file does not exist" in str(failed["error"]).replace("\\", "/")
    assert f"Left out of its study: {missing}" in result.stderr
    printed = run("report", *given)
    assert f"{folders / 'a'} (3 films)" in printed.stdout
    only_one_left_out = run("report", folders / "a", missing, *given[3:])
    assert only_one_left_out.exit_code == 1
    assert run("report", folders / "c" / "1.png", *given[3:]).exit_code == 2


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_an_interrupted_run_goes_on(run: Run, fused_bundle: Path, folders: Path, name: str) -> None:
    missing = folders / "a" / "missing.png"
    command = ("report", folders, missing, "--bundle", fused_bundle, "--by", "study", "--out")
    assert run(*command, f"whole_{name}").exit_code == 1
    whole = Path(f"whole_{name}").read_bytes()
    cut = whole.rfind(b"\n", 0, len(whole) - 1) + 10  # inside the last row
    Path(name).write_bytes(whole[:cut])
    resumed = run(*command, name, "--resume")
    assert resumed.exit_code == 1
    assert Path(name).read_bytes() == whole
    assert "3 reports in" in resumed.stderr
    assert "1 of the reports were made without films that can't be read" in resumed.stderr
    nothing_left = run(*command, name, "--resume")
    assert (nothing_left.exit_code, Path(name).read_bytes()) == (1, whole)


def test_csv_has_the_studies_columns(run: Run, fused_bundle: Path, dicoms: Path) -> None:
    options = ("--by", "study", "--study-from", "dicom", "--out", "out.csv")
    run("report", dicoms, "--bundle", fused_bundle, *options)
    with Path("out.csv").open(newline="", encoding="utf-8") as file:
        first, _, failed = csv.DictReader(file)
    assert tuple(first) == STUDY_CSV_COLUMNS
    assert first["study"] == UIDS[0]
    assert json.loads(first["films"]) == [str(dicoms / "0.dcm"), str(dicoms / "2.dcm")]
    assert (first["left_out"], failed["study"]) == ("[]", "")
    again = run("report", dicoms, "--bundle", fused_bundle, *options, "--resume")
    assert "2 reports in out.csv; 1 studies failed" in again.stderr


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_a_file_of_films_is_none_of_studies(run: Run, fused_bundle: Path, folders: Path, name: str) -> None:
    command = ("report", folders, "--bundle", fused_bundle, "--out", name)
    assert run(*command).exit_code == 0
    result = run(*command, "--by", "study", "--resume")
    assert result.exit_code == 2
    assert f"{name} can't be resumed" in result.stderr


def test_paths_from_stdin_are_read_to_their_end(run: Run, fused_bundle: Path, folders: Path) -> None:
    stdin = "\n".join(str(folders / name) for name in ("a/2.png", "b/1.png", "a/1.png"))
    result = run("report", "-", "--bundle", fused_bundle, "--json", "--by", "study", stdin=stdin)
    assert result.exit_code == 0
    assert [len(row["films"]) for row in lines(result.stdout)] == [2, 1]  # type: ignore[arg-type]


def test_what_matches_nothing_is_a_row(run: Run, fused_bundle: Path, folders: Path) -> None:
    result = run("report", folders / "a", "nothing*", "--bundle", fused_bundle, "--json", "--by", "study")
    assert result.exit_code == 1
    assert lines(result.stdout)[1]["films"] == ["nothing*"]


@pytest.mark.parametrize("options", [(), ("--by", "study")])
def test_what_matches_nothing_has_the_fields_of_the_other_rows(
    run: Run, told_bundle: Path, folders: Path, options: tuple[str, ...]
) -> None:
    drawn = ("--decoding", "sample", "--json")
    result = run("report", folders / "b", "nothing*", "--bundle", told_bundle, *drawn, *options)
    found, nothing = lines(result.stdout)
    assert list(found) == list(nothing)
    assert (nothing["indication"], nothing["indication_from"]) == (False, None)
    assert nothing["settings"] == found["settings"]


def test_a_row_that_names_no_study_is_not_that_of_the_folder_one_is_in(
    run: Run, told_bundle: Path, folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders / "b")
    told = ("--by", "study", "--json", "--bundle", told_bundle, "--indications", tmp_path / "told.csv")
    for name, rows_left in (("", 1), (".", 0), ("./", 0)):
        table(tmp_path / "told.csv", ("study", "indication"), (name, "Chest pain."))
        result = run("report", "1.png", *told)
        (row,) = lines(result.stdout)
        assert (row["study"], row["indication"]) == (".", not rows_left)
        assert ("1 rows of" in result.stderr) == bool(rows_left)


@pytest.mark.parametrize("column", ["film", "study"])
def test_a_study_has_its_indication(
    run: Run, told_bundle: Path, folders: Path, tmp_path: Path, column: str
) -> None:
    name = folders / "a" / ("2.png" if column == "film" else "")
    told = table(tmp_path / "told.csv", (column, "indication"), (str(name), "Chest pain."), ("x", "Cough"))
    options = ("--bundle", told_bundle, "--json", "--by", "study", "--indications", told)
    result = run("report", folders, *options)
    assert result.exit_code == 0
    found = lines(result.stdout)
    assert [row["indication"] for row in found] == [True, False, False]
    assert [row["indication_from"] for row in found] == ["table", None, None]
    assert "Chest pain" not in result.output
    assert f"1 rows of {told} name no {column} of this run" in result.stderr
    with cxrscribe.load(told_bundle) as reporter:
        study = Study([folders / "a" / "1.png", folders / "a" / "2.png"], "Chest pain.")
        assert found[0]["log_prob"] == reporter.report(study).log_prob
    for_all = run("report", folders, *options[:-2], "--indication", "Chest pain.")
    assert [row["indication_from"] for row in lines(for_all.stdout)] == ["option"] * 3
    assert lines(for_all.stdout)[0]["log_prob"] == found[0]["log_prob"]


def test_films_of_one_study_have_one_indication(
    run: Run, told_bundle: Path, folders: Path, tmp_path: Path
) -> None:
    films = [str(folders / "a" / name) for name in ("1.png", "2.png")]
    told = table(tmp_path / "told.csv", ("film", "indication"), (films[0], "Cough"), (films[1], "Fever"))
    options = ("--bundle", told_bundle, "--by", "study", "--indications", told, "--out", "out.jsonl")
    result = run("report", folders, *options)
    assert result.exit_code == 2
    assert f"told.csv has two indications for one study, whose films are {films[0]}" in result.stderr
    assert "Cough" not in result.output
    Path("out.jsonl").write_text("earlier rows\n")
    assert run("report", folders, *options, "--overwrite").exit_code == 2
    assert Path("out.jsonl").read_text() == "earlier rows\n"
    table(told, ("film", "indication"), (films[0], "Cough"), (films[1], "Cough"))
    assert run("report", folders, *options, "--overwrite").exit_code == 0


def test_films_say_what_is_known_of_a_studys_patient(run: Run, told_bundle: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (60, 50), dtype=np.uint8)
    said = {"a/1": None, "a/2": "Chest pain", "a/3": "Fever", "b/1": "Fever", "c/1": None}
    for name, text in said.items():
        path = tmp_path / "films" / f"{name}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written(dicom(pixels, **({} if text is None else {REASON: text}))))
    films = tmp_path / "films"
    told = table(tmp_path / "told.csv", ("study", "indication"), (str(films / "b"), "Cough"))
    options = ("--bundle", told_bundle, "--json", "--by", "study", "--indication-from-dicom", REASON)
    result = run("report", films, *options, "--indications", told)
    assert result.exit_code == 0
    found = lines(result.stdout)
    assert [row["indication_from"] for row in found] == [f"dicom:{REASON}", "table", None]
    assert (
        f"1 reports were written without an indication: their films have no text in {REASON}" in result.stderr
    )
    assert not any(text in result.output for text in ("Chest pain", "Fever", "Cough"))
    with cxrscribe.load(told_bundle) as reporter:
        for row, text in zip(found, ("Chest pain", "Cough", None), strict=True):
            study = Study([str(film) for film in row["films"]], text)  # type: ignore[attr-defined]
            assert row["log_prob"] == reporter.report(study).log_prob
    refused = run("report", films, *options, "--indication", "Cough")
    assert (refused.exit_code, "contradict each other" in refused.stderr) == (2, True)


def test_too_many_films_are_no_study(fused_bundle: Path) -> None:
    with cxrscribe.load(fused_bundle) as reporter:
        by_folder = naming_from("folder", reporter)
    (study,) = studies_of(by_folder([f"{place}.png" for place in range(MOST_FILMS + 1)]))
    assert isinstance(study.error, FilmError)
    assert study.study == "."
    assert f"0.png: one study would have it and {MOST_FILMS} other films" in str(study.error)


def test_a_table_that_is_not_there_is_an_error_at_once(fused_bundle: Path, tmp_path: Path) -> None:
    with cxrscribe.load(fused_bundle) as reporter, pytest.raises(InputError, match="can't be read"):
        naming_from(str(tmp_path / "none.csv"), reporter)
    assert isinstance(reporter, Reporter)

"""`cxrscribe report --indication` and `--indications`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

import cxrscribe
from cxrscribe.cli.indications import read_told
from cxrscribe.errors import InputError

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")

from support.dicom_file import dicom
from support.dicom_file import written as dicom_bytes
from support.small_bundle import SmallBundle

Run = Callable[..., Result]

NAMES = ("a.png", "b.jpg", "nested/c.PNG")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = SmallBundle(seed=4, words=30, patient=4, fused=True)
    return small.write(tmp_path_factory.mktemp("context") / "bundle")


DICOM = "ReasonForTheRequestedProcedure"


def table(path: Path, *rows: tuple[str, ...], header: tuple[str, ...] = ("film", "indication")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def written(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_one_text_is_for_all_films(run: Run, bundle: Path, films: Path) -> None:
    result = run("report", films, "--bundle", bundle, "--json", "--indication", "Chest pain.")
    assert (result.exit_code, result.stderr) == (0, "")
    with cxrscribe.load(bundle) as reporter:
        expected = [reporter.report(films / name, indication="Chest pain.").to_json() for name in NAMES]
    found = written(result)
    assert [row.pop("indication") for row in found] == [True] * 3
    assert [row.pop("indication_from") for row in found] == ["option"] * 3
    assert {report.pop("indication_from") for report in expected} == {"given"}
    assert [{name: row[name] for name in expected[0]} for row in found] == expected
    assert "Chest pain" not in result.output


def test_a_table_has_the_text_of_each_film(run: Run, bundle: Path, films: Path, tmp_path: Path) -> None:
    told = table(
        tmp_path / "told.csv",
        ("1", str(films / "nested" / ".." / "b.jpg"), "Cough, fever"),
        ("2", str(films / "nested/c.PNG"), "  "),
        header=("number", "film", "indication"),
    )
    result = run("report", films, "--bundle", bundle, "--json", "--indications", told)
    assert (result.exit_code, result.stderr) == (0, "")
    found = written(result)
    assert [row["indication"] for row in found] == [False, True, False]
    assert [row["indication_from"] for row in found] == [None, "table", None]
    with cxrscribe.load(bundle) as reporter:
        assert found[1]["log_prob"] == reporter.report(films / "b.jpg", indication="cough fever").log_prob
        assert found[0]["log_prob"] == reporter.report(films / "a.png").log_prob


def test_rows_that_name_no_film_are_counted_and_not_shown(
    run: Run, bundle: Path, films: Path, tmp_path: Path
) -> None:
    told = table(tmp_path / "told.csv", ("miller.png", "Chest pain"), (str(films / "a.png"), "Cough"))
    result = run("report", films, "--bundle", bundle, "--json", "--indications", told)
    assert result.exit_code == 0
    assert f"1 rows of {told} name no film of this run" in result.stderr
    assert "miller" not in result.output


def test_without_any_text_the_rows_say_so(run: Run, bundle: Path, small_bundle: Path, films: Path) -> None:
    assert [row["indication"] for row in written(run("report", films, "--bundle", bundle, "--json"))] == (
        [False] * 3
    )
    for row in written(run("report", films, "--bundle", small_bundle, "--json")):
        assert not row.keys() & {"indication", "indication_from"}


def test_a_film_that_fails_still_says_whether_there_was_a_text(
    run: Run, bundle: Path, films: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no film")
    result = run(
        *("report", tmp_path / "bad.png", films / "a.png", "--bundle", bundle, "--json"),
        *("--indication", "Cough"),
    )
    assert result.exit_code == 1
    assert [(row["indication"], row["error"] is None) for row in written(result)] == [
        (True, False),
        (True, True),
    ]


def test_a_bundle_that_reads_none_refuses_before_a_file_is_replaced(
    run: Run, small_bundle: Path, films: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("precious", encoding="utf-8")
    result = run(
        *("report", films, "--bundle", small_bundle, "--indication", "Secret", "--out", out, "--overwrite")
    )
    assert result.exit_code == 2
    assert "reads none" in result.stderr
    assert "Secret" not in result.output
    assert out.read_text(encoding="utf-8") == "precious"


def test_one_of_the_two_options(run: Run, bundle: Path, films: Path, tmp_path: Path) -> None:
    told = table(tmp_path / "told.csv")
    result = run("report", films, "--bundle", bundle, "--indication", "x", "--indications", told)
    assert result.exit_code == 2
    assert "--indication and --indications contradict each other" in result.stderr


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"film,text\na.png,x\n", "has no column 'indication'"),
        (b"film,film,indication\na.png,b.png,x\n", "has no column 'film', or several"),
        (b"", "has no column 'film'"),
        (b"film,indication\na.png,secret,x\n", "row 2 has 3 cells, not 2"),
        (b"film,indication\na.png,secret\n./a.png,y\n", "row 3 names a film that a row before names"),
        (b"film,indication\na.png,\xff\n", "is not UTF-8"),
        (b'film,indication\na.png,"secret', "is not CSV"),
    ],
)
def test_a_table_that_is_none_is_refused_without_its_texts(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    (tmp_path / "told.csv").write_bytes(content)
    with pytest.raises(InputError, match=problem) as refused:
        read_told(None, tmp_path / "told.csv")
    assert "secret" not in str(refused.value)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv can't be read \(No such file"):
        read_told(None, tmp_path / "none.csv")


def test_a_mark_of_the_bytes_order_is_no_part_of_a_column(tmp_path: Path) -> None:
    (tmp_path / "told.csv").write_bytes("film,indication\na.png,Cough\n".encode("utf-8-sig"))
    assert read_told(None, tmp_path / "told.csv").of("a.png") == "Cough"


def test_inspect_says_what_the_model_reads(run: Run, bundle: Path, small_bundle: Path) -> None:
    assert "context 3, of the patient's text 4, tags 0" in run("inspect", bundle).stdout
    assert "context" not in run("inspect", small_bundle).stdout


@pytest.fixture
def mixed(tmp_path: Path, films: Path) -> Path:
    """A folder of two DICOM films, of which one says something, and a PNG."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    grey = np.random.default_rng(0).integers(0, 4000, (64, 64)).astype(np.uint16)
    for name, told in (("a", {DICOM: "Rückenschmerzen, cough"}), ("b", {})):
        film = dicom(grey, bits=12, SpecificCharacterSet="ISO_IR 100", **told)
        (folder / f"{name}.dcm").write_bytes(dicom_bytes(film))
    (folder / "c.png").write_bytes((films / "a.png").read_bytes())
    return folder


def test_films_say_it_themselves(run: Run, bundle: Path, mixed: Path) -> None:
    result = run("report", mixed, "--bundle", bundle, "--json", "--indication-from-dicom", DICOM)
    assert result.exit_code == 0
    found = written(result)
    assert [(row["indication"], row["indication_from"]) for row in found] == [
        *((True, f"dicom:{DICOM}"), (False, None), (False, None))
    ]
    assert (
        f"2 reports were written without an indication: their films have no text in {DICOM}" in result.stderr
    )
    assert "cough" not in result.output
    with cxrscribe.load(bundle) as reporter:
        report = reporter.report(mixed / "a.dcm", indication="Rückenschmerzen, cough")
    assert found[0]["log_prob"] == report.log_prob


def test_a_table_counts_where_it_has_a_text(run: Run, bundle: Path, mixed: Path, tmp_path: Path) -> None:
    told = table(tmp_path / "told.csv", (str(mixed / "a.dcm"), " "), (str(mixed / "b.dcm"), "Fever"))
    options = ("--indications", told, "--indication-from-dicom", DICOM)
    result = run("report", mixed, "--bundle", bundle, "--json", *options)
    sources = [row["indication_from"] for row in written(result)]
    assert sources == [f"dicom:{DICOM}", "table", None]


def test_one_text_for_all_films_and_their_own_contradict_each_other(
    run: Run, bundle: Path, mixed: Path
) -> None:
    options = ("--indication", "Secret", "--indication-from-dicom", DICOM)
    result = run("report", mixed, "--bundle", bundle, *options)
    assert result.exit_code == 2
    assert "--indication and --indication-from-dicom contradict each other" in result.stderr
    assert "Secret" not in result.output


def test_attributes_are_refused_by_name_and_before_a_file_is_replaced(
    run: Run, bundle: Path, small_bundle: Path, mixed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("precious", encoding="utf-8")
    for chosen, attribute, problem in (
        (bundle, "PatientName", "whose values are PN and no text"),
        (bundle, "Nonsense", "no attribute of DICOM"),
        (small_bundle, DICOM, "model reads none"),
    ):
        options = ("--indication-from-dicom", attribute, "--out", out, "--overwrite")
        result = run("report", mixed, "--bundle", chosen, *options)
        assert result.exit_code == 2
        assert problem in result.stderr
    assert out.read_text(encoding="utf-8") == "precious"


def test_score_gives_films_their_texts_and_says_how_many(
    run: Run, bundle: Path, mixed: Path, tmp_path: Path
) -> None:
    told = table(tmp_path / "told.csv", ("b.dcm", "Fever"), ("nowhere.png", "Secret"))
    options = ("--bundle", bundle, "--device", "cpu", "--indication-from-dicom", DICOM)
    done = run("score", mixed, "--run", "out", "--indications", told, *options)
    assert done.exit_code == 0, done.output
    assert "1 of 3 films have an indication in the table; 1 rows of it name no film of the run" in done.stderr
    assert "2 reports were written with an indication, 1 without" in done.stdout
    again = run("score", "--run", "out", *options)
    assert again.exit_code == 0, again.output
    assert "in the table" not in again.stderr
    assert "reports written with an indication: 2" in run("score", "status", "out").stdout
    assert json.loads(run("score", "status", "out", "--json").stdout)["told"] == 2
    assert run("score", "verify", "out", "--sample", 3, *options).exit_code == 0
    other = table(tmp_path / "other.csv", ("b.dcm", "Secret"))
    refused = run("score", "--run", "out", "--indications", other, *options)
    assert (refused.exit_code, "indications.table was" in refused.stderr) == (2, True)
    without = run("score", "--run", "out", *options[:4])
    assert f'indications.dicom was "{DICOM}" and is null' in without.stderr
    assert "Secret" not in done.output + refused.output

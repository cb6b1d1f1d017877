from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cxrscribe.errors import InputError
from cxrscribe_train.commands.phantom import phantom
from cxrscribe_train.corpus.study import Study, parse_study, write_study
from cxrscribe_train.corpus.table import read_reports
from cxrscribe_train.labeller import label
from cxrscribe_train.phantom.corpus import mesh_corpus, sampled_corpus, write_films, write_tables
from cxrscribe_train.phantom.drawing.film import draw_film
from cxrscribe_train.phantom.recipe import is_phantom, sampled_recipe

SEED = 5


def draw(directory: Path, studies: int, seed: int = SEED, workers: int = 1) -> list[str]:
    corpus = sampled_corpus(studies, seed)
    made = list(write_films(corpus, directory, workers))
    write_tables(corpus, directory, split=None)
    return made


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def truth(directory: Path) -> list[dict[str, str]]:
    with (directory / "findings.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("phantoms") / "corpus"
    draw(directory, 12)
    return directory


def test_a_corpus_has_the_layout_of_the_indiana_download(corpus: Path) -> None:
    files = contents(corpus)
    expected = {"findings.csv", "phantom.json", "reports.csv", "summary.json"}
    for number in range(1, 13):
        expected |= {f"ecgen-radiology/{number}.xml", f"images/PH{SEED}N{number}_PA.png"}
    assert files.keys() == expected


def test_the_table_names_every_film_and_its_text(corpus: Path) -> None:
    table = read_reports(corpus)
    assert [row.study_id for row in table.rows] == [f"PH{SEED}N{number}" for number in range(1, 13)]
    for number, row in enumerate(table.rows, start=1):
        study = parse_study((corpus / "ecgen-radiology" / f"{number}.xml").read_bytes(), "xml")
        assert study == sampled_recipe(SEED, number).study
        assert row.findings == study.findings
        assert row.image_path == f"images/{row.image_id}.png"
        assert row.split in {"train", "val", "test"}


def test_films_are_those_of_the_recipe(corpus: Path) -> None:
    recipe = sampled_recipe(SEED, 3)
    with Image.open(corpus / "images" / f"{recipe.image_id}.png") as film:
        assert (film.mode, film.size) == ("L", (512, 512))
        assert np.array_equal(np.asarray(film), draw_film(recipe.findings, recipe.drawing_seed))


def test_findings_csv_is_what_the_reports_state(corpus: Path) -> None:
    stated = {(row.study_id, kind) for row in read_reports(corpus).rows for kind in label(row.findings)}
    assert stated == {(row["study_id"], row["finding"]) for row in truth(corpus)}
    assert list(truth(corpus)[0]) == ["study_id", "image_id", "finding", "side", "zone", "severity"]


def test_the_summary_counts_what_was_drawn(corpus: Path) -> None:
    summary = json.loads((corpus / "summary.json").read_text(encoding="utf-8"))
    assert summary["image_files_found"] == 12
    assert summary["phantom"]["films"] == 12
    assert sum(summary["phantom"]["findings"].values()) == len(truth(corpus))


def test_a_study_does_not_depend_on_how_many_there_are(corpus: Path, tmp_path: Path) -> None:
    draw(tmp_path / "few", 2)
    few, many = contents(tmp_path / "few"), contents(corpus)
    same = [name for name in few if name.startswith(("images/", "ecgen-radiology/"))]
    assert len(same) == 4
    assert all(few[name] == many[name] for name in same)


def test_further_views_are_other_drawings_of_the_same_findings(corpus: Path, tmp_path: Path) -> None:
    list(write_films(planned := sampled_corpus(4, SEED, views=3), tmp_path, 1))
    write_tables(planned, tmp_path, None)
    one, three = contents(corpus), contents(tmp_path)
    rows = read_reports(tmp_path).rows
    assert [row.image_id for row in rows[:3]] == [f"PH{SEED}N1_PA{view}" for view in ("", 2, 3)]
    assert [row.image_id for row in rows if not is_phantom(row.image_id)] == []
    for recipe in planned.recipes:
        films = [three[f"images/{image_id}.png"] for image_id, _ in recipe.drawings]
        assert films[0] == one[f"images/{recipe.image_id}.png"]
        assert len(set(films)) == 3
        assert len({row.findings for row in rows if row.study_id == recipe.study.study_id}) == 1
        drawn = {(row["image_id"], row["finding"]) for row in truth(tmp_path)}
        kinds = {str(finding.kind) for finding in recipe.findings}
        for image_id in recipe.study.image_ids:
            assert {kind for name, kind in drawn if name == image_id} == kinds
    assert json.loads(three["summary.json"])["phantom"]["films"] == 12
    with pytest.raises(InputError, match="holds other phantoms"):
        list(write_films(sampled_corpus(4, SEED), tmp_path, 1))


def test_an_interrupted_study_of_several_views_is_drawn_whole(tmp_path: Path) -> None:
    planned = sampled_corpus(2, SEED, views=2)
    list(write_films(planned, tmp_path, 1))
    whole = contents(tmp_path)
    (tmp_path / "images" / f"PH{SEED}N2_PA2.png").unlink()
    list(write_films(planned, tmp_path, 1))
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("views", [0, 10])
def test_a_study_has_one_to_nine_views(views: int) -> None:
    with pytest.raises(InputError, match=f"a phantom study of {views} films: give 1 to 9 views"):
        sampled_corpus(1, SEED, views)


def test_an_interrupted_run_goes_on_and_ends_with_the_same_corpus(corpus: Path, tmp_path: Path) -> None:
    films = write_films(sampled_corpus(12, SEED), tmp_path, 1)
    made = [next(films) for _ in range(5)]
    del films
    kept = (tmp_path / "images" / f"{made[0]}.png").stat().st_mtime_ns
    (tmp_path / "images" / f"{made[4]}.png").unlink()
    assert sorted(draw(tmp_path, 12)) == sorted(f"PH{SEED}N{number}_PA" for number in range(1, 13))
    assert (tmp_path / "images" / f"{made[0]}.png").stat().st_mtime_ns == kept
    assert contents(tmp_path) == contents(corpus)


def test_several_processes_draw_the_same_corpus(corpus: Path, tmp_path: Path) -> None:
    assert draw(tmp_path, 12, workers=2) == [f"PH{SEED}N{number}_PA" for number in range(1, 13)]
    assert contents(tmp_path) == contents(corpus)


def test_a_larger_corpus_grows_out_of_a_smaller_one(tmp_path: Path) -> None:
    draw(tmp_path, 2)
    assert len(draw(tmp_path, 3)) == 3


def test_a_folder_of_other_phantoms_is_refused(tmp_path: Path) -> None:
    draw(tmp_path, 2)
    with pytest.raises(InputError, match=r"seed 5.*seed 6.*another folder"):
        draw(tmp_path, 2, seed=6)
    with pytest.raises(InputError, match="1 more studies than the 1 wanted"):
        draw(tmp_path, 1)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.png").write_bytes(b"")
    with pytest.raises(InputError, match="not empty"):
        draw(tmp_path, 1)
    with pytest.raises(InputError, match="is a file"):
        draw(tmp_path / "holiday.png", 1)


def test_a_damaged_mark_is_refused(tmp_path: Path) -> None:
    (tmp_path / "phantom.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"phantom\.json can't be read"):
        draw(tmp_path, 1)


@pytest.mark.parametrize(("studies", "seed"), [(0, 1), (1, -1)])
def test_impossible_numbers_are_refused(studies: int, seed: int) -> None:
    with pytest.raises(InputError, match="at least one study"):
        sampled_corpus(studies, seed)


def reports(root: Path, studies: Iterable[Study]) -> Path:
    folder = root / "ecgen-radiology"
    folder.mkdir(parents=True)
    for study in studies:
        (folder / f"{study.study_id.removeprefix('CXR')}.xml").write_bytes(write_study(study))
    return root


@pytest.fixture
def real(tmp_path: Path) -> Path:
    return reports(
        tmp_path / "real",
        [
            Study("CXR7", ("CXR7_IM-1", "CXR7_IM-2"), "A nodule.", mesh=("Nodule/lung/upper lobe/left",)),
            Study("CXR8", (), "Lungs are clear.", "Normal.", mesh=("normal",)),
            Study("CXR9", ("CXR9_IM-1",), impression="Nothing else.", mesh=("normal",)),
            Study("CXR10", ("CXR10_IM-1",), "Curved aorta.", mesh=("Aorta/tortuous", "Cardiomegaly/mild")),
        ],
    )


def test_real_reports_get_a_film_each_and_keep_their_text(real: Path, tmp_path: Path) -> None:
    out, split = tmp_path / "out", tmp_path / "split.json"
    split.write_text('{"train": ["CXR7"], "val": ["CXR10"], "test": ["CXR8"]}', encoding="utf-8")
    result = CliRunner().invoke(
        phantom, ["--from-mesh", str(real), "--out", str(out), "--split-file", str(split), "--workers", "1"]
    )
    assert result.exit_code == 0, result.output
    rows = read_reports(out).rows
    assert [(row.image_id, row.findings, row.split) for row in rows] == [
        ("CXR7_PHANTOM", "A nodule.", "train"),
        ("CXR8_PHANTOM", "Lungs are clear.", "test"),
        ("CXR10_PHANTOM", "Curved aorta.", "val"),
    ]
    assert [(row["study_id"], row["finding"], row["side"], row["zone"]) for row in truth(out)] == [
        ("CXR7", "nodule", "left", "upper"),
        ("CXR10", "cardiomegaly", "", ""),
    ]
    assert (out / "ecgen-radiology" / "10.xml").is_file()
    counts = json.loads((out / "summary.json").read_text(encoding="utf-8"))["phantom"]
    assert (counts["headings"], counts["headings_drawn"]) == (4, 3)
    assert counts["most_frequent_undrawn"] == [["Aorta/tortuous", 1]]
    assert "3 of 4 (75.0 %)" in result.output
    assert "Aorta/tortuous" in result.output


def test_malformed_reports_are_told_and_the_others_drawn(real: Path, tmp_path: Path) -> None:
    (real / "ecgen-radiology" / "11.xml").write_text("<eCitation>", encoding="utf-8")
    out = tmp_path / "out"
    result = CliRunner().invoke(phantom, ["--from-mesh", str(real), "--out", str(out), "--workers", "1"])
    assert result.exit_code == 1, result.output
    assert "skipped 11.xml: " in result.stderr
    assert len(read_reports(out).rows) == 3


def test_studies_that_end_in_one_number_have_a_file_each(tmp_path: Path) -> None:
    ids = ["A1", "B1", "1", "C2", "D"]
    root, out = tmp_path / "real", tmp_path / "out"
    reports(root, [Study(study_id, (), f"Text of {study_id}.", mesh=("normal",)) for study_id in ids])
    for studies in (1, None):
        corpus = mesh_corpus(root, 0, studies)
        list(write_films(corpus, out, 1))
        write_tables(corpus, out, split=None)
    files = {path.name for path in (out / "ecgen-radiology").iterdir()}
    assert files == {"A1.xml", "B1.xml", "1.xml", "2.xml", "D.xml"}
    assert {row.study_id: row.findings for row in read_reports(out).rows} == {
        study_id: f"Text of {study_id}." for study_id in ids
    }


def test_other_reports_are_another_corpus(real: Path, tmp_path: Path) -> None:
    list(write_films(mesh_corpus(real, 0, studies=1), tmp_path / "out", 1))
    other = reports(tmp_path / "other", [Study("CXR7", (), "Something else.", mesh=("normal",))])
    with pytest.raises(InputError, match="holds other phantoms"):
        list(write_films(mesh_corpus(other, 0), tmp_path / "out", 1))


def test_reports_without_findings_are_refused(tmp_path: Path) -> None:
    root = reports(tmp_path, [Study("CXR1", impression="Normal.", mesh=("normal",))])
    with pytest.raises(InputError, match="no report with FINDINGS"):
        mesh_corpus(root, 0)
    (root / "ecgen-radiology" / "2.xml").write_text("<eCitation>", encoding="utf-8")
    with pytest.raises(InputError, match=r"no report with FINDINGS.*the first problem: 2\.xml"):
        mesh_corpus(root, 0)


def test_the_command_prints_json(tmp_path: Path) -> None:
    arguments = ["--studies", "2", "--seed", "1", "--out", str(tmp_path / "out"), "--workers", "1", "--json"]
    result = CliRunner().invoke(phantom, arguments)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["phantom"]["films"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--studies"),
        (["--studies", "2", "--split-file", "SPLIT", "--train", "0.5"], "--split-file decides"),
        (["--studies", "2", "--train", "1.5"], "share train is 1.5"),
        (["--studies", "2", "--columns", "3"], "--columns is for --contact-sheet"),
        (["--studies", "2", "--contact-sheet", "sheet.jpg"], "sheet.jpg is not a .png file"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "split.json").write_text('{"train": []}', encoding="utf-8")
    arguments = [argument.replace("SPLIT", str(tmp_path / "split.json")) for argument in arguments]
    result = CliRunner().invoke(phantom, ["--out", str(tmp_path / "out"), *arguments])
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_real_reports_follow_the_published_split(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "nlmcxr"
    arguments = ["--from-mesh", str(source / "NLMCXR_reports.tgz"), "--studies", "25", "--out", str(tmp_path)]
    arguments += ["--split-file", str(source / "r2gen_split.json")]
    result = CliRunner().invoke(phantom, arguments)
    assert result.exit_code == 0, result.output
    table = read_reports(tmp_path)
    assert len(table.rows) == 25
    assert {row.split for row in table.rows} >= {"train", "test"}
    assert all(table.image_file(row).is_file() for row in table.rows)


def test_image_ids_tell_drawings_from_films() -> None:
    assert is_phantom(sampled_recipe(7, 3).image_id)
    assert is_phantom("CXR12_PHANTOM")
    assert all(is_phantom(image_id) for image_id, _ in sampled_recipe(7, 3, views=9).drawings)
    assert not is_phantom("CXR12_IM-0584-1001")
    assert not is_phantom("PH12_PA")

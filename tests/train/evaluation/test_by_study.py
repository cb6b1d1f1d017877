"""Evaluations of one report a study."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import cxrscribe
from cxrscribe import Study
from cxrscribe.cli.main import main
from cxrscribe.errors import FilmError, InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.settings import BeamSettings
from cxrscribe.study import pooled
from cxrscribe_train.corpus.table import Corpus, read_reports
from cxrscribe_train.evaluation.model import RunModel, open_model
from cxrscribe_train.evaluation.subject import TRUTH_FILE, By, Subject, TrainingReports
from cxrscribe_train.evaluation.writing import features_of
from cxrscribe_train.feature_file import FeatureFile
from cxrscribe_train.features import Extraction, extract_features, films_of
from cxrscribe_train.findings import FindingKind
from cxrscribe_train.run import Run
from cxrscribe_train.training import train
from cxrscribe_train.weights import WeightsSource
from support.square_corpus import tiny_config, write_squares

SETTINGS = BeamSettings(beam_width=2, max_length=12)


@pytest.fixture(scope="module")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight training, four validation and six test studies, of two, one and three films in turn."""
    folder = tmp_path_factory.mktemp("studies") / "corpus"
    return write_squares(folder, train=8, val=4, test=6, views=(2, 1, 3))


@pytest.fixture(scope="module")
def corpus(corpus_folder: Path) -> Corpus:
    return read_reports(corpus_folder)


@pytest.fixture(scope="module")
def features(corpus: Corpus) -> Path:
    path = corpus.root.parent / "f.h5"
    weights = WeightsSource.parse("random:0")
    extraction = Extraction("mobilenet_v1", {"scale": 0.125}, weights, Preprocessing(32, 32))
    extract_features(films_of(corpus), extraction, path)
    return path


@pytest.fixture(scope="module")
def run(corpus: Corpus, features: Path) -> Path:
    """A run that was trained on studies."""
    config = tiny_config(("fit", "views", "all"), ("fit", "epochs", 2), end_to_end=False)
    train(corpus.root, corpus.root.parent / "run", config, features)
    return corpus.root.parent / "run"


def evaluate(*arguments: object) -> Result:
    words = ["evaluate", *arguments, "--bootstrap", "0"]
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_study_is_one_subject_of_all_its_films(corpus: Corpus) -> None:
    films = Subject.of(corpus, "test", by=By.STUDY).films
    assert [film.study_id for film in films] == [f"SQ{number}" for number in range(12, 18)]
    assert [len(film.pooled) for film in films] == [2, 1, 3, 2, 1, 3]
    assert films[2].name == "SQ14_PA;SQ14_2;SQ14_3"
    assert Subject.of(corpus, "test", by=By.STUDY, limit=2).films == films[:2]
    by_image = Subject.of(corpus, "test").films
    assert [film for each in films for film in (replace(each, together=()), *each.together)] == list(by_image)


def test_what_is_true_of_a_film_is_true_of_its_study(corpus: Corpus) -> None:
    (corpus.root / TRUTH_FILE).write_text(
        "study_id,image_id,finding\nSQ12,SQ12_PA,nodule\nSQ12,SQ12_2,cardiomegaly\nSQ0,SQ0_2,nodule\n"
    )
    try:
        first, second, *_ = Subject.of(corpus, "test", by=By.STUDY).films
        assert first.truth.kinds == {FindingKind.NODULE, FindingKind.CARDIOMEGALY}
        assert first.drawn == ("nodule", "cardiomegaly")
        assert not second.truth.kinds
        of_studies = TrainingReports.of(corpus, By.STUDY)
        assert of_studies.truths[0].kinds == {FindingKind.NODULE}
        assert len(of_studies.reports) == 8
        assert len(TrainingReports.of(corpus).reports) == 2 + 1 + 3 + 2 + 1 + 3 + 2 + 1
    finally:
        (corpus.root / TRUTH_FILE).unlink()


def test_films_of_one_study_have_one_report(corpus: Corpus) -> None:
    rows = [
        replace(row, findings="The lungs are clear.") if row.image_id == "SQ12_2" else row
        for row in corpus.rows
    ]
    with pytest.raises(InputError, match="study 'SQ12' has films with different FINDINGS"):
        Subject.of(Corpus(corpus.root, tuple(rows)), "test", by=By.STUDY)


def test_a_run_pools_films_and_features_alike(run: Path, corpus: Corpus, features: Path) -> None:
    films = Subject.of(corpus, "test", by=By.STUDY).films
    encoded = FeatureFile.open(features)
    rows = features_of(films, encoded)
    expected = [pooled(encoded.rows_of(each.image_id for each in film.pooled)) for film in films]
    assert rows.tobytes() == np.stack(expected).tobytes()
    with open_model(run) as model:
        assert model.by is By.STUDY
        assert isinstance(model, RunModel)
        np.testing.assert_allclose(model.encode(films), rows, rtol=1e-4, atol=1e-5)
        from_films = list(model.from_films(films, SETTINGS))
        assert from_films == list(model.from_features(rows, SETTINGS))
        broken = replace(films[1], path=corpus.root / "none.png")
        reports = list(
            model.from_films([films[0], replace(films[2], together=(broken,)), films[1]], SETTINGS)
        )
    assert isinstance(reports[1], FilmError)
    assert "none.png" in str(reports[1])
    assert reports[::2] == from_films[:2]


def test_a_bundle_says_that_it_was_trained_on_studies(run: Path) -> None:
    pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
    from cxrscribe_export.label import provenance_of

    assert "Trained on several views: an example was a study" in provenance_of(Run.open(run)).description


def test_a_bundle_pools_as_its_users_do(corpus: Corpus, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
    from support.small_bundle import SmallBundle

    bundle = SmallBundle(words=30).write(tmp_path / "bundle")
    films = Subject.of(corpus, "test", by=By.STUDY).films
    with cxrscribe.load(bundle) as reporter:
        paths = [[each.path for each in film.pooled if each.path] for film in films]
        reports = [reporter.report(Study(each), SETTINGS) for each in paths]
        words = [tuple(reporter.vocabulary.words[token] for token in report.tokens) for report in reports]
        rows = np.stack([pooled(reporter.encode(each)) for each in paths])
    with open_model(bundle) as model:
        assert model.by is By.IMAGE
        assert list(model.from_films(films, SETTINGS)) == words
        assert model.encode(films).tobytes() == rows.tobytes()
        broken = replace(films[1], path=corpus.root / "none.png")
        (error,) = model.from_films([replace(films[0], together=(broken,))], SETTINGS)
    assert isinstance(error, FilmError)
    assert "none.png" in str(error)


def test_a_run_is_evaluated_by_what_it_was_trained_for(
    run: Path, corpus: Corpus, features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pycocoevalcap", reason="needs the extra train")
    monkeypatch.setenv("PATH", "")
    given = (run, "--corpus", corpus.root, "--features", features)
    by_default = evaluate(*given, "--json", "--out", tmp_path / "out")
    assert by_default.exit_code == 0, by_default.output
    record = json.loads(by_default.stdout)
    assert record["by"] == "study"
    assert record["counts"]["films"] == 12
    assert record["counts"]["studies"] == 6
    assert record["counts"]["training_reports"] == 8
    with (tmp_path / "out" / "reports.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image_id"] for row in rows][:2] == ["SQ12_PA;SQ12_2", "SQ13_PA"]
    with (tmp_path / "out" / "gt_reports.csv").open(encoding="utf-8", newline="") as file:
        assert [row["study_id"] for row in csv.DictReader(file)] == [f"SQ{n}" for n in range(12, 18)]
    assert "SQ12, 2 films" in (tmp_path / "out" / "examples.html").read_text(encoding="utf-8")
    assert "12 films of 6 studies, one report a study" in evaluate(*given).stdout
    from_films = json.loads(evaluate(run, "--corpus", corpus.root, "--json").stdout)
    assert from_films["model"] == record["model"]
    by_image = json.loads(evaluate(*given, "--json", "--by", "image").stdout)
    assert (by_image["by"], by_image["counts"]["training_reports"]) == ("image", 15)
    assert "one report a study" not in evaluate(*given, "--by", "image").stdout


def test_settings_are_tried_on_what_a_run_was_trained_for(
    run: Path, corpus: Corpus, features: Path, tmp_path: Path
) -> None:
    one = ("--beam-width", 1, "--length-penalty", 0, "--min-length", 0, "--no-repeat-ngram", 0)
    command = ("search", "decoding", run, "--corpus", corpus.root, "--features", features, *one)
    out = tmp_path / "trials"
    result = CliRunner().invoke(main, [str(word) for word in (*command, "--by", "bleu_4", "--out", out)])
    assert result.exit_code == 0, result.output
    begun = json.loads((out / "decoding.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert begun["films"][:3] == ["SQ8_PA;SQ8_2;SQ8_3", "SQ9_PA;SQ9_2", "SQ10_PA"]

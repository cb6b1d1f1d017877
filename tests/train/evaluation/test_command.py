from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result

from cxrscribe.cli.main import main
from cxrscribe.disclaimer import with_disclaimer
from cxrscribe_train.corpus.table import read_reports
from support.edited_manifest import edit_manifest

WEIGHTS = "ab" * 32
DECODER = "cd" * 32
Evaluate = Callable[..., Result]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
    from support.small_bundle import SmallBundle

    folder = SmallBundle().write(tmp_path_factory.mktemp("bundles") / "small")
    sums = {"encoder.safetensors": WEIGHTS, "decoder.safetensors": DECODER}
    edit_manifest(folder, lambda fields: fields["provenance"]["sha256"].update(sums))
    return folder


@pytest.fixture
def evaluate(bundle: Path, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """Run `cxrscribe evaluate` on the small bundle, without Java."""
    monkeypatch.setenv("PATH", "")

    def run(*arguments: object, model: Path = bundle, corpus: Path = corpus_folder) -> Result:
        words = ["evaluate", model, "--corpus", corpus, "--bootstrap", "20", *arguments]
        return CliRunner().invoke(main, [str(word) for word in words])

    return run


@pytest.fixture
def features(bundle: Path, corpus_folder: Path, tmp_path: Path) -> Path:
    """Features of the test films by the bundle's encoder, as `cxrscribe features` writes them."""
    import cxrscribe

    rows = [row for row in read_reports(corpus_folder).split("test") if row.image_path]
    with cxrscribe.load(bundle) as reporter:
        encoded = reporter.encode([corpus_folder / row.image_path for row in rows])
        preprocessing = reporter.manifest.preprocessing
    path = tmp_path / "features.h5"
    with h5py.File(path, "w") as file:
        file["features"] = encoded
        file["image_ids"] = [row.image_id for row in rows]
        file.attrs.update(
            backbone="one_convolution",
            backbone_options="{}",
            weights="random:0",
            weights_sha256=WEIGHTS,
            preprocessing=json.dumps(preprocessing.to_json()),
            complete=True,
        )
    return path


def test_table_on_stdout(evaluate: Evaluate) -> None:
    result = evaluate()
    assert result.exit_code == 0, result.output
    assert "bundle small" in result.stdout
    assert "9 films of 9 studies" in result.stdout
    assert "left out: 1 without findings, 1 without image" in result.stdout
    assert "Random words of a test." in result.stdout
    assert "choosing the baselines" in result.stderr


def test_json_is_all_of_stdout(evaluate: Evaluate) -> None:
    record = json.loads(evaluate("--json").stdout)
    assert {"model", "constant", "most_frequent", "shuffled", "counts", "disclaimer"} <= set(record)
    assert record["counts"] == {
        "films": 9,
        "studies": 9,
        "without_findings": 1,
        "without_image": 1,
        "damaged": 0,
        "training_reports": 18,
    }
    assert record["evaluated"]["encoder_sha256"] == WEIGHTS
    assert record["evaluated"]["decoder_sha256"] == DECODER


def test_drawn_findings_without_places_have_label_figures_only(
    evaluate: Evaluate, corpus_folder: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    shutil.copytree(corpus_folder, corpus)
    figures = {"label_f1_micro", "place_f1_micro"}
    drawn = "study_id,image_id,finding,side,zone\nS20,S20_PA,nodule,left,upper\nS1,S1_PA,mass,left,mid\n"
    (corpus / "findings.csv").write_text(drawn)
    assert figures <= set(json.loads(evaluate("--json", corpus=corpus).stdout)["model"])
    (corpus / "findings.csv").write_text("image_id,finding\nS20_PA,nodule\nS1_PA,mass\n")
    result = evaluate("--json", corpus=corpus)
    assert result.exit_code == 0
    assert set(json.loads(result.stdout)["model"]) & figures == {"label_f1_micro"}
    assert "The places of findings are left out: findings.csv lacks" in evaluate(corpus=corpus).stdout


def test_files_hold_every_film(evaluate: Evaluate, tmp_path: Path) -> None:
    out = tmp_path / "evaluation"
    assert evaluate("--out", out).exit_code == 0
    assert {path.name for path in out.iterdir()} == {
        "evaluation.json",
        "reports.csv",
        "examples.html",
        "gt_reports.csv",
        "predicted_reports.csv",
    }
    with (out / "reports.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    for name, column in (("gt_reports.csv", "reference"), ("predicted_reports.csv", "report")):
        with (out / name).open(newline="") as file:
            scored = list(csv.DictReader(file))
        assert [tuple(row) for row in scored] == [("study_id", "report")] * 9
        assert [row["study_id"] for row in scored] == [row["study_id"] for row in rows]
        assert [row["report"] for row in scored] == [row[column] or "." for row in rows]
    disclaimer = with_disclaimer("Random words of a test.")
    assert all(row["reference"] and row["disclaimer"] == disclaimer for row in rows)
    assert json.loads((out / "evaluation.json").read_text())["split"] == "test"
    assert "data:image/jpeg" in (out / "examples.html").read_text()


def test_without_film_all_films_get_one_report(evaluate: Evaluate, features: Path) -> None:
    from_films, from_features = (
        json.loads(evaluate("--json", *options).stdout) for options in ((), ("--features", features))
    )
    assert from_films["without_film"]["distinct_share"] == pytest.approx(1 / 9)
    assert from_films["without_film"] == from_features["without_film"]
    assert "without_text" not in from_films
    differences = from_films["differences"]
    assert set(differences) == {"constant", "without_film"}
    for column, figures in differences.items():
        for name in [name for name in figures if not name.endswith("_interval")]:
            assert figures[name] == pytest.approx(from_films["model"][name] - from_films[column][name])


def test_a_bundle_has_no_history(evaluate: Evaluate, bundle: Path) -> None:
    before = sorted(path.name for path in bundle.iterdir())
    assert json.loads(evaluate("--json").stdout)["times_evaluated"] is None
    assert sorted(path.name for path in bundle.iterdir()) == before


def test_one_film_has_nothing_to_be_compared_with(evaluate: Evaluate) -> None:
    assert "evaluate two films or more" in evaluate("--limit", 1).stderr
    assert "two films" not in evaluate("--limit", 2).stderr


def test_films_of_one_study_are_told_apart_for_scorers(
    evaluate: Evaluate, corpus_folder: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    shutil.copytree(corpus_folder, corpus)
    table = (corpus / "reports.csv").read_text()
    (corpus / "reports.csv").write_text(table.replace("S20,", "S19,"))
    assert evaluate("--out", tmp_path / "out", corpus=corpus).exit_code == 0
    with (tmp_path / "out" / "gt_reports.csv").open(newline="") as file:
        names = [row["study_id"] for row in csv.DictReader(file)]
    assert {"S19_PA", "S20_PA", "S21"} <= set(names)
    assert len(set(names)) == len(names)


def test_features_give_the_same_figures_as_films(evaluate: Evaluate, features: Path) -> None:
    from_films, from_features = (
        json.loads(evaluate("--json", *options).stdout) for options in ((), ("--features", features))
    )
    assert from_features["model"] == from_films["model"]


def test_features_of_another_encoder_are_refused(evaluate: Evaluate, features: Path) -> None:
    with h5py.File(features, "r+") as file:
        file.attrs["weights_sha256"] = "cd" * 32
    result = evaluate("--features", features)
    assert result.exit_code == 2
    assert "another encoder" in result.stderr


def test_features_of_an_unfinished_extraction_are_refused(evaluate: Evaluate, features: Path) -> None:
    with h5py.File(features, "r+") as file:
        file.attrs["complete"] = False
    result = evaluate("--features", features)
    assert result.exit_code == 2
    assert "not complete" in result.stderr


def test_films_without_features_are_told_apart_from_those_without_image(
    evaluate: Evaluate, features: Path
) -> None:
    with h5py.File(features, "r+") as file:
        file["image_ids"][0] = "OTHER_PA"
    result = evaluate("--features", features)
    assert "left out: 1 without findings, 2 without features" in result.stdout
    counts = json.loads(evaluate("--features", features, "--json").stdout)["counts"]
    assert counts["without_features"] == 2
    assert "without_image" not in counts


def test_features_are_refused_where_the_bundle_does_not_name_its_encoder(
    evaluate: Evaluate, features: Path, tmp_path: Path
) -> None:
    from support.small_bundle import SmallBundle

    result = evaluate("--features", features, model=SmallBundle().write(tmp_path / "nameless"))
    assert result.exit_code == 2
    assert "leave out --features" in result.stderr


def test_beam_settings_change_the_reports(evaluate: Evaluate) -> None:
    record = json.loads(evaluate("--json", "--max-length", "3", "--beam-width", "2").stdout)
    assert record["settings"]["max_length"] == 3
    assert record["model"]["length_mean"] <= 3


def test_samples_are_drawn_by_a_seed_of_their_own(evaluate: Evaluate) -> None:
    drawn = ("--decoding", "consensus", "--samples", 4, "--json")
    first, again, other = (
        json.loads(evaluate(*drawn, "--sample-seed", seed, "--seed", 3).stdout) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["settings"] == other["settings"] | {"seed": 1}
    assert (first["settings"]["decoding"], first["bootstrap"]["seed"]) == ("consensus", 3)
    assert first["model"] != other["model"]


def test_limit_takes_the_first_films(evaluate: Evaluate) -> None:
    assert json.loads(evaluate("--json", "--limit", "4").stdout)["counts"]["films"] == 4


def test_a_damaged_film_is_named_and_the_rest_done(
    evaluate: Evaluate, corpus_folder: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    shutil.copytree(corpus_folder, corpus)
    (corpus / "images" / "S20_PA.png").write_bytes(b"no film")
    result = evaluate("--json", corpus=corpus)
    assert result.exit_code == 1
    assert "left out S20_PA" in result.stderr
    assert json.loads(result.stdout)["counts"]["damaged"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--n-best", "2"), "--n-best changes nothing"), (("--split", "val"), "no film of split 'val'")],
)
def test_wrong_usage_exits_2_and_says_why(
    evaluate: Evaluate, arguments: tuple[str, ...], message: str
) -> None:
    result = evaluate(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_folder_that_is_no_model_is_refused(evaluate: Evaluate, tmp_path: Path) -> None:
    result = evaluate(model=tmp_path)
    assert result.exit_code == 2
    assert "neither a bundle (manifest.json) nor a run folder (run.json)" in result.stderr


def test_zero_resamples_leave_the_intervals_out_of_the_table(evaluate: Evaluate) -> None:
    text = evaluate("--bootstrap", "0").stdout
    assert " .. " not in text
    assert np.isfinite(float(text.split("bleu_4")[1].split()[0]))


def test_missing_metrics_are_named_before_any_work(
    evaluate: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None)
    result = evaluate(corpus=tmp_path)  # which holds no corpus
    assert result.exit_code == 2
    assert "needs the extra 'train'" in result.stderr

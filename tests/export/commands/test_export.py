"""`cxrscribe export`, from drawn films to a bundle, by the command line alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import cxrscribe
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.cli.main import main


def cxr(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom corpus, features of a random encoder, and a run of one epoch."""
    folder = tmp_path_factory.mktemp("export")
    corpus, features, run = folder / "corpus", folder / "features.h5", folder / "run"
    backbone = ("--size", 64, "--backbone", "mobilenet_v1", "--backbone-option", "scale=0.25")
    sizes = ("--epochs", 1, "--embedding-size", 16, "--hidden-size", 24)
    steps: list[tuple[object, ...]] = [
        ("corpus", "phantom", "--studies", 40, "--seed", 5, "--out", corpus),
        ("features", "--corpus", corpus, "--out", features, "--weights", "random:1", *backbone),
        ("train", "--corpus", corpus, "--features", features, "--out", run, *sizes),
    ]
    for step in steps:
        result = cxr(*step)
        assert result.exit_code == 0, result.output
    return folder


def export(workspace: Path, out: Path, *options: object) -> Result:
    few = ("--parity-films", 6, "--distinct-reports", 1)
    return cxr("export", workspace / "run", "--out", out, *few, *options)


@pytest.mark.slow
def test_a_run_on_drawings_becomes_a_bundle_that_says_so(workspace: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    result = export(workspace, out, "--beam-width", 2, "--max-length", 9, "--licence", "Apache-2.0", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    manifest = Manifest.read(out)
    assert record["parity"] == json.loads(json.dumps(manifest.to_json()["parity"]))
    assert record["parity"]["search"]["identical"] == 6
    assert (manifest.settings.beam_width, manifest.settings.max_length) == (2, 9)
    assert manifest.licence == "Apache-2.0"
    assert "knows nothing about patients" in manifest.disclaimer
    assert "drawings" in manifest.provenance.description
    assert set(manifest.provenance.sha256) == {"encoder.safetensors", "decoder.safetensors"}
    with cxrscribe.load(out, device="cpu") as reporter:
        film = next((workspace / "corpus" / "images").iterdir())
        assert len(reporter.report(film).tokens) <= 9


@pytest.mark.slow
def test_precisions_are_calibrated_and_compared_on_the_corpus_of_the_run(
    workspace: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    precisions = ("--precision", "int8", "--calibration-films", 10, "--trial-films", 5, "--accept-loss")
    result = export(workspace, out, "--max-length", 9, *precisions)
    assert result.exit_code == 0, result.output
    int8 = Manifest.read(out).precisions[0]
    assert (int8.name, int8.calibration_films, int8.split, int8.reports) == ("int8", 10, "test", 5)
    assert "int8 for cpu: " in result.stdout
    with cxrscribe.load(out, device="cpu", precision="int8", cache=False) as reporter:
        film = next((workspace / "corpus" / "images").iterdir())
        assert len(reporter.report(film).tokens) <= 9


@pytest.mark.slow
def test_a_corpus_whose_test_split_was_trained_on_is_refused(workspace: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    result = cxr("corpus", "phantom", "--studies", 40, "--seed", 5, "--train", 0.1, "--out", other)
    assert result.exit_code == 0, result.output
    result = export(workspace, tmp_path / "bundle", "--corpus", other)
    assert result.exit_code == 2
    assert "were trained on by this run" in result.stderr
    assert not (tmp_path / "bundle").exists()


@pytest.mark.slow
def test_out_of_tolerance_is_exit_2_and_no_bundle(workspace: Path, tmp_path: Path) -> None:
    result = export(
        workspace, tmp_path / "bundle", "--features", workspace / "features.h5", "--tolerance", 1e-12
    )
    assert result.exit_code == 2
    assert "Error: the exported graphs differ from Paddle; no bundle was written" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_too_few_films_are_told_before_anything_is_converted(workspace: Path, tmp_path: Path) -> None:
    result = export(workspace, tmp_path / "bundle", "--parity-films", 100)
    assert result.exit_code == 2
    assert "parity is tried on 100" in result.stderr
    assert "converting" not in result.stderr


@pytest.mark.slow
def test_features_of_another_encoder_are_refused(workspace: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    made = cxr(
        *(
            "features",
            "--corpus",
            workspace / "corpus",
            "--out",
            other,
            "--size",
            64,
            "--weights",
            "random:2",
        ),
        *("--backbone", "mobilenet_v1", "--backbone-option", "scale=0.25", "--split", "test"),
    )
    assert made.exit_code == 0, made.output
    result = export(workspace, tmp_path / "bundle", "--features", other)
    assert result.exit_code == 2
    assert "another encoder" in result.stderr


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    result = cxr("export", tmp_path, "--out", tmp_path / "bundle", "--corpus", tmp_path / "corpus")
    assert result.exit_code == 2
    assert "run.json" in result.stderr

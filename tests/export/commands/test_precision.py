"""`cxrscribe precision`, on a small bundle and a corpus of squares."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.errors import CxrscribeError
from cxrscribe_export.commands.precision import precision
from support.small_bundle import SmallBundle
from support.square_corpus import write_squares


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle without fused graphs, and a corpus."""
    SmallBundle().write(tmp_path / "bundle")
    write_squares(tmp_path / "corpus", train=6, val=2, test=4)
    return tmp_path


def run(folder: Path, *options: object) -> Result:
    arguments = (folder / "bundle", "--corpus", folder / "corpus", "--out", folder / "more", *options)
    return CliRunner().invoke(precision, [str(argument) for argument in arguments])


def test_both_precisions_are_written_and_shown(folder: Path) -> None:
    result = run(
        folder, "--precision", "int8", "--precision", "fp16", "--calibration-films", 5, "--trial-films", 3
    )
    assert result.exit_code == 0, result.output
    manifest = Manifest.read(folder / "more")
    assert [(record.name, record.reports) for record in manifest.precisions if "cpu" in record.devices] == [
        ("int8", 3),
        ("int8+fp32", 3),
        ("fp32+int8", 3),
    ]
    assert [record.name for record in manifest.precisions if "cuda" in record.devices] == ["fp16"]
    assert manifest.precisions[0].calibration_films == 5
    assert Bundle.open(folder / "more").inspect().intact
    assert "int8 for cpu: 0.0 MB, " in result.stdout
    assert "int8+fp32 for cpu: " in result.stdout
    assert "BLEU-4" in result.stdout
    assert manifest.disclaimer in result.stdout
    assert "writing 3 reports with fp16 on cpu ..." in result.stderr


def test_json_has_the_records(folder: Path) -> None:
    result = run(folder, "--precision", "fp16", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    manifest = Manifest.read(folder / "more")
    assert record["precisions"] == json.loads(json.dumps([each.to_json() for each in manifest.precisions]))


def test_calibration_may_come_from_another_corpus(folder: Path) -> None:
    training = write_squares(folder / "training", train=2, val=0, test=0)
    result = run(folder, "--precision", "int8", "--training-corpus", training)
    assert result.exit_code == 0, result.output
    assert Manifest.read(folder / "more").precisions[0].calibration_films == 2


def test_without_a_precision_a_bundle_gets_fused_graphs_alone(folder: Path) -> None:
    shutil.rmtree(folder / "corpus")
    write_squares(folder / "corpus", train=0, val=2, test=4)
    result = run(folder)
    assert result.exit_code == 0, result.output
    manifest = Manifest.read(folder / "more")
    assert manifest.graph_precisions == ("fp32",)
    assert manifest.entry("beam_step.onnx") is not None
    again = CliRunner().invoke(
        precision,
        [str(folder / "more"), "--corpus", str(folder / "corpus"), "--out", str(folder / "again")],
    )
    assert again.exit_code == 2
    assert "Say which --precision" in again.stderr
    assert not (folder / "again").exists()


def test_fp16_needs_no_training_films(folder: Path) -> None:
    shutil.rmtree(folder / "corpus")
    write_squares(folder / "corpus", train=0, val=2, test=4)
    assert run(folder, "--precision", "fp16").exit_code == 0
    assert isinstance(run(folder, "--precision", "int8", "--overwrite").exception, CxrscribeError)


def test_an_unknown_precision_is_wrong_usage(folder: Path) -> None:
    assert run(folder, "--precision", "int3").exit_code == 2
    assert not (folder / "more").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--max-bleu-loss", -1), "--max-bleu-loss is -1.0"),
        (("--max-f1-loss", "nan"), "--max-f1-loss is nan"),
        (("--max-f1-loss", "inf"), "--max-f1-loss is inf; give a number of 0 or more, or --accept-loss"),
        (("--out", "nowhere/more"), "nowhere is not a folder"),
    ],
)
def test_a_wrong_option_is_told_before_any_work(folder: Path, options: tuple[object, ...], said: str) -> None:
    result = run(folder, "--precision", "int8", *options)
    assert isinstance(result.exception, CxrscribeError)
    assert said in str(result.exception)
    assert result.stderr == ""

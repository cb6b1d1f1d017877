"""`cxrscribe onefile` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.files import sha256_of
from cxrscribe.cli.main import main
from cxrscribe.disclaimer import DISCLAIMER
from support.one_file import OneFile
from support.small_bundle import SmallBundle

FILMS = np.zeros((1, SmallBundle.height, SmallBundle.width), np.uint8)


def onefile(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["onefile", *(str(argument) for argument in arguments)])


def test_file_is_written_and_described(fused_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "report.onnx"
    result = onefile(fused_bundle, "--out", out)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"{out}: {out.stat().st_size} bytes" in result.stdout
    assert "image uint8 [N, 24, 32]" in result.stdout
    assert DISCLAIMER in result.stdout
    assert [path.name for path in out.parent.iterdir()] == ["report.onnx"]
    assert OneFile(out).run(FILMS)[0].shape == (1, 3, 12)


def test_settings_given_are_the_defaults_of_the_file(fused_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.onnx"
    given = ("--beam-width", 2, "--max-length", 5, "--min-length", 1, "--length-penalty", 0.7)
    result = onefile(fused_bundle, "--out", out, *given, "--no-repeat-ngram", 2, "--ban", "a", "--json")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert record["settings"] == {
        "beam_width": 2,
        "max_length": 5,
        "min_length": 1,
        "length_penalty": 0.7,
        "no_repeat_ngram": 2,
        "banned_words": ["a"],
    }
    file = OneFile(out)
    tokens, lengths, *_ = file.run(FILMS)
    assert tokens.shape == (1, 2, 5)
    assert not (tokens == 4).any()  # "a"
    assert lengths.min() >= 1
    saved = json.loads(file.session.get_modelmeta().custom_metadata_map["settings"])
    assert saved == record["settings"] | {"n_best": 1}


def test_json_says_what_was_written(fused_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.onnx"
    record = json.loads(onefile(fused_bundle, "--out", out, "--json").stdout)
    assert record["file"] == str(out)
    assert record["bytes"] == out.stat().st_size
    assert record["sha256"] == sha256_of(out)
    assert (record["precision"], record["licence"]) == ("fp32", "CC0-1.0")
    assert record["disclaimer"].startswith(DISCLAIMER)


def test_a_file_that_is_there_is_replaced_only_when_asked(fused_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.onnx"
    out.write_text("mine")
    result = onefile(fused_bundle, "--out", out)
    assert result.exit_code == 2
    assert "--overwrite" in result.stderr
    assert out.read_text() == "mine"
    assert onefile(fused_bundle, "--out", out, "--overwrite").exit_code == 0
    assert out.stat().st_size > 1000


@pytest.mark.parametrize("name", ["encoder.onnx", "beam_step.onnx"])
def test_a_graph_of_the_bundle_is_never_replaced(tmp_path: Path, name: str) -> None:
    bundle = SmallBundle(fused=True).write(tmp_path / "bundle")
    before = sha256_of(bundle / name)
    result = onefile(bundle, "--out", bundle / name, "--overwrite")
    assert result.exit_code == 2
    assert "file of the bundle itself" in result.stderr
    assert sha256_of(bundle / name) == before


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--precision", "int8"), "no graphs of precision 'int8'"),
        (("--ban", "cardiomegaly"), "'cardiomegaly'"),
        (("--beam-width", 0), "beam_width is 0"),
        (("--min-length", 50), "above max_length 12"),
    ],
)
def test_wrong_settings_are_exit_2_and_no_file(
    fused_bundle: Path, tmp_path: Path, options: tuple[object, ...], problem: str
) -> None:
    result = onefile(fused_bundle, "--out", tmp_path / "report.onnx", *options)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_no_graph_is_refused(fused_bundle: Path, tmp_path: Path) -> None:
    result = onefile(fused_bundle, "--out", tmp_path / "report.json")
    assert result.exit_code == 2
    assert "give a name in .onnx" in result.stderr


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    result = onefile(tmp_path, "--out", tmp_path / "report.onnx")
    assert result.exit_code == 2
    assert "manifest.json" in result.stderr


def test_without_a_bundle_it_takes_the_demo_bundle(tmp_path: Path) -> None:
    out = tmp_path / "report.onnx"
    result = onefile("--out", out, "--weights", "fp16", "--json")
    assert result.exit_code == 0, result.stderr
    assert "embedded demo bundle" in result.stderr
    record = json.loads(result.stdout)
    assert record["variant"] == {"part": "whole", "input": "image", "settings": "defaults", "weights": "fp16"}
    assert record["bytes"] == out.stat().st_size < 1_700_000
    assert record["checked"]["same_best"] == record["checked"]["films"] == 8


def test_a_film_of_any_size_with_settings_as_inputs(fused_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.onnx"
    result = onefile(fused_bundle, "--out", out, "--input", "film", "--settings", "inputs", "--beam-width", 2)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "film uint8 [height, width], beam_width int64" in result.stdout
    assert 'all settings have to be given, such as {"beam_width": 2' in result.stdout
    assert "checked on 8 drawn films: the best report has the runtime's words on 8" in result.stdout
    given = {
        "beam_width": np.array(2),
        "max_length": np.array(7),
        "min_length": np.array(0),
        "length_penalty": np.array(0, np.float32),
    }
    outputs = OneFile(out).session.run(None, {"film": np.zeros((100, 33), np.uint8), **given})
    assert outputs[0].shape == (1, 2, 7)


@pytest.mark.parametrize("part", ["encoder", "search"])
def test_a_part(fused_bundle: Path, tmp_path: Path, part: str) -> None:
    result = onefile(fused_bundle, "--out", tmp_path / "part.onnx", "--part", part, "--json")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert ("features" in record["inputs"]) == (part == "search")
    assert ("features" in record["outputs"]) == (part == "encoder")
    assert ("settings" in record) == (part == "search")
    assert record["checked"] == {"films": 8, "same_best": 8, "same_words": 8}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--part", "search", "--input", "film"), "takes features and no film"),
        (("--part", "encoder", "--settings", "inputs"), "has no settings"),
        (("--part", "encoder", "--beam-width", 2), "leave --beam-width out"),
        (("--part", "encoder", "--ban", "a", "--max-length", 3), "leave --max-length and --ban out"),
    ],
)
def test_options_that_contradict_each_other_are_exit_2_and_no_file(
    fused_bundle: Path, tmp_path: Path, options: tuple[object, ...], problem: str
) -> None:
    result = onefile(fused_bundle, "--out", tmp_path / "report.onnx", *options)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_file_that_writes_other_words_is_not_kept(
    fused_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cxrscribe_export.onefile import file

    made = file.one_file
    other = Bundle.open(SmallBundle(seed=5, fused=True).write(tmp_path / "other"))
    monkeypatch.setattr(file, "one_file", lambda _bundle, **options: made(other, **options))
    out = tmp_path / "report.onnx"
    result = onefile(fused_bundle, "--out", out)
    assert result.exit_code == 2
    assert "the file writes other words or scores than the runtime" in result.stderr
    assert not out.exists()

"""`cxrscribe inspect`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from cxrscribe.manifest import Evaluation, Manifest, NearTie, OutputParity, Parity, Provenance, SearchParity

Run = Callable[..., Result]


@pytest.fixture
def copy(small_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that may be damaged, with a full record."""
    folder = tmp_path / "copy"
    shutil.copytree(small_bundle, folder)
    outputs = (OutputParity("encoder.onnx", "features", 5, 2.5e-6, 1e-4),)
    search = SearchParity(200, 150, 199, (NearTie("f1", 3, 5e-6),), 3e-6)
    manifest = replace(
        Manifest.read(folder),
        parity=Parity("paddlepaddle 3.3.1", outputs, search),
        evaluation=Evaluation("500 phantoms", "test", 500, {"bleu_4": 0.25, "label_f1_micro": 0.91}),
        provenance=Provenance("trained on drawings", {"encoder.safetensors": "0" * 64}),
    )
    manifest.write(folder)
    return folder


def test_intact_bundle_in_words(run: Run, copy: Path) -> None:
    result = run("inspect", copy)
    assert (result.exit_code, result.stderr) == (0, "")
    manifest = Manifest.read(copy)
    for wanted in (
        "one_convolution; features 6",
        "LSTM of 2 layers, embedding 5, hidden 7",
        "12 words",
        "24 x 32 pixels (height x width), letterbox",
        "beam width 3",
        "opset 17",
        "in  image uint8 [N, 24, 32]",
        "against paddlepaddle 3.3.1",
        "largest difference 2.50e-06, allowed 1e-04",
        "199 of 200 identical, 1 near ties, 150 distinct reports",
        "500 phantoms, split test, 500 reports",
        "label_f1_micro 0.91",
        "trained on drawings",
        "CC0-1.0",
        "Random words of a test.",
        "intact         yes",
        *(entry.sha256 for entry in manifest.files),
        *(f"{entry.path}: intact, {entry.bytes:,} bytes, fp32" for entry in manifest.files),
    ):
        assert wanted in result.stdout


def test_intact_bundle_as_json(run: Run, copy: Path) -> None:
    result = run("inspect", copy, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    manifest = Manifest.read(copy).to_json()
    assert found.pop("intact") is True
    for file in found["files"]:
        assert (file.pop("state"), file.pop("problem")) == ("intact", None)
    assert found == manifest


def test_bundle_without_records(run: Run, small_bundle: Path) -> None:
    result = run("inspect", small_bundle)
    assert result.exit_code == 0
    assert "parity         not recorded" in result.stdout
    assert "evaluation     not recorded" in result.stdout


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [flip_a_bit, Path.unlink, lambda file: file.write_bytes(b"")])
def test_damaged_file_is_named_and_is_exit_code_1(
    run: Run, copy: Path, damage: Callable[[Path], None]
) -> None:
    damage(copy / "decoder_step.onnx")
    result = run("inspect", copy)
    assert result.exit_code == 1
    assert "decoder_step.onnx" in result.stderr
    assert "encoder.onnx" not in result.stderr
    assert "decoder_step.onnx: damaged" in result.stdout
    assert "encoder.onnx: intact" in result.stdout
    assert "intact         NO: 1 files" in result.stdout
    found = json.loads(run("inspect", copy, "--json").stdout)
    assert found["intact"] is False
    states = {file["path"]: file["state"] for file in found["files"]}
    assert states == {"encoder.onnx": "intact", "decoder_init.onnx": "intact", "decoder_step.onnx": "damaged"}


def test_file_that_the_manifest_does_not_name_is_shown(run: Run, copy: Path) -> None:
    (copy / "notes.txt").write_text("mine")
    result = run("inspect", copy)
    assert result.exit_code == 0
    assert "notes.txt: unlisted" in result.stdout
    found = json.loads(run("inspect", copy, "--json").stdout)
    assert found["files"][-1] == {"path": "notes.txt", "state": "unlisted", "problem": "not in the manifest"}


@pytest.mark.parametrize("manifest", [None, "", "{}", "[1]"])
def test_no_readable_bundle_is_exit_code_2(run: Run, copy: Path, manifest: str | None) -> None:
    if manifest is None:
        (copy / "manifest.json").unlink()
    else:
        (copy / "manifest.json").write_text(manifest)
    result = run("inspect", copy)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ")
    assert "manifest.json" in result.stderr


def test_without_a_bundle_it_is_the_demo_bundle(run: Run) -> None:
    result = run("inspect", "--json")
    assert result.exit_code == 0
    assert "embedded demo bundle" in result.stderr
    assert json.loads(result.stdout)["intact"]

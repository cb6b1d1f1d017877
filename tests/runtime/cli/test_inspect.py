"""`cxrscribe inspect`."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from cxrscribe.bundle.evidence import Evaluation, NearTie, OutputParity, Parity, Provenance, SearchParity
from cxrscribe.bundle.files import FileEntry
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.bundle.precision_cost import ReportFigures
from cxrscribe.settings import BeamSettings
from support.precision_record import INT8

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
    assert found.pop("sha256") == Manifest.read(copy).sha256
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


@pytest.mark.skipif(os.name != "posix", reason="files have no such names here")
def test_names_of_unlisted_files_are_shown_without_what_terminals_obey(run: Run, copy: Path) -> None:
    (copy / "\x1b[2J").write_text("")
    Path(os.fsdecode(os.fsencode(copy) + b"/\xff")).write_text("")
    result = run("inspect", copy)
    assert result.exit_code == 0
    assert "file           \\x1b[2J: unlisted" in result.stdout
    assert "file           \\xff: unlisted" in result.stdout


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


def test_precisions_and_their_costs_in_words_and_as_json(run: Run, copy: Path) -> None:
    manifest = Manifest.read(copy)
    (copy / "int8").mkdir()
    shutil.copyfile(copy / "encoder.onnx", copy / "int8" / "encoder.onnx")
    entry = FileEntry.describe(copy, "int8/encoder.onnx", precision="int8", opset=17)
    cost = replace(INT8, fp32=ReportFigures(0.5662, 0.9597), own=ReportFigures(0.5647, 0.9582))
    replace(manifest, files=(*manifest.files, entry), precisions=(cost,)).write(copy)
    shown = run("inspect", copy).stdout
    for wanted in (
        "precisions     fp32, int8",
        "int8 for cpu: 86.0% of 500 reports identical on test",
        "BLEU-4 0.5647 (fp32 0.5662), label F1 0.9582 (fp32 0.9597)",
        "int8 calibration: smallest and largest values over 64 films",
        "int8 speed: encoder 3.20 x fp32, step 2.60 x, 2 threads of AMD EPYC",
    ):
        assert wanted in shown
    assert "more than allowed" not in shown
    assert json.loads(run("inspect", copy, "--json").stdout)["precisions"] == [
        {**json.loads(json.dumps(cost.to_json())), "within_limits": True}
    ]


def test_each_precision_is_shown_for_each_engine(run: Run, copy: Path) -> None:
    manifest = Manifest.read(copy)
    (copy / "int8").mkdir()
    shutil.copyfile(copy / "encoder.onnx", copy / "int8" / "encoder.onnx")
    entry = FileEntry.describe(copy, "int8/encoder.onnx", precision="int8", opset=17)
    cost = replace(INT8, fp32=ReportFigures(0.5662, 0.9597), own=ReportFigures(0.5647, 0.9582))
    records = (
        cost,
        replace(cost, name="int8+fp32", identical=450),
        replace(cost, devices=("openvino",), own=ReportFigures(0.5, 0.9), speedups=None),
        replace(cost, name="bf16", devices=("openvino",), identical=499, calibration="none needed"),
    )
    replace(manifest, files=(*manifest.files, entry), precisions=records).write(copy)
    shown = run("inspect", copy).stdout
    for wanted in (
        "int8 for cpu: 86.0% of",
        "int8+fp32 for cpu: 90.0% of",
        "int8 for openvino: 86.0% of",
        "int8 for openvino loses more than allowed: BLEU-4 0.5000, fp32 0.5662, loss 0.0662, allowed 0.005",
        "int8 for openvino loses more than allowed: label F1 0.9000, fp32 0.9597, loss 0.0597, allowed 0.01",
        "bf16 for openvino: 99.8% of",
        "bf16 calibration: none needed",
    ):
        assert shown.count(wanted) == 1
    assert shown.count("loses more than allowed") == 2
    assert shown.count("calibration: smallest and largest") == 1
    found = json.loads(run("inspect", copy, "--json").stdout)["precisions"]
    assert [(each["name"], each["devices"], each["within_limits"]) for each in found] == [
        ("int8", ["cpu"], True),
        ("int8+fp32", ["cpu"], True),
        ("int8", ["openvino"], False),
        ("bf16", ["openvino"], True),
    ]


def test_device_shows_where_each_graph_runs(run: Run, copy: Path) -> None:
    result = run("inspect", copy, "--device", "cpu")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "placement      on device cpu\n" in result.stdout
    for graph in ("encoder.onnx", "decoder_init.onnx", "decoder_step.onnx"):
        assert re.search(rf"^ +{graph}: \d+ nodes on CPUExecutionProvider$", result.stdout, re.MULTILINE)


def test_device_in_json(run: Run, copy: Path) -> None:
    fields = json.loads(run("inspect", copy, "--device", "auto", "--json").stdout)
    assert fields["device"] in ("cpu", "cuda")
    assert [graph["graph"] for graph in fields["placement"]] == [
        "encoder.onnx",
        "decoder_init.onnx",
        "decoder_step.onnx",
    ]
    assert all(count > 0 for graph in fields["placement"] for count in graph["nodes"].values())
    assert "placement" not in json.loads(run("inspect", copy, "--json").stdout)


def test_damaged_bundle_is_not_opened_on_a_device(run: Run, copy: Path) -> None:
    (copy / "decoder_step.onnx").write_bytes(b"")
    result = run("inspect", copy, "--device", "cpu")
    assert result.exit_code == 1
    assert "placement      not opened on cpu: the bundle is damaged" in result.stdout
    fields = json.loads(run("inspect", copy, "--device", "cpu", "--json").stdout)
    assert (fields["device"], fields["placement"]) == (None, None)


def test_unknown_device_is_an_error(run: Run, copy: Path) -> None:
    result = run("inspect", copy, "--device", "abacus")
    assert result.exit_code == 2
    assert "device 'abacus' is unknown" in result.stderr


def test_defaults_that_draw_are_shown(run: Run, copy: Path) -> None:
    drawn = BeamSettings(decoding="consensus", samples=16, temperature=0.7, top_k=20, seed=4)
    replace(Manifest.read(copy), settings=drawn).write(copy)
    result = run("inspect", copy)
    wanted = "consensus of 16, temperature 0.7, the 20 most probable words, seed 4, n best 1"
    assert wanted in " ".join(result.stdout.split())

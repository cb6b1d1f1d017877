from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cxrscribe.bundle.evidence import Evaluation, NearTie, OutputParity, Parity, SearchParity
from cxrscribe.bundle.files import FileEntry
from cxrscribe.bundle.manifest import MANIFEST_NAME, Manifest
from cxrscribe.bundle.precision_cost import LossLimits, Precision
from cxrscribe.errors import BundleError
from cxrscribe.settings import BeamSettings
from support.precision_record import INT8
from support.small_bundle import SmallBundle

Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]
SHA = "0" * 64


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    manifest = replace(
        SmallBundle().manifest((FileEntry("int8/encoder.onnx", SHA, 3, "int8", 17),)),
        parity=Parity(
            "paddlepaddle 3.3.1",
            (OutputParity("encoder.onnx", "features", 5, 1e-6, 1e-4),),
            SearchParity(200, 180, 199, (NearTie("film 7", 12, 3e-6),), 2e-5),
        ),
        evaluation=Evaluation("phantoms", "test", 500, {"bleu_4": 0.25}),
        precisions=(INT8,),
    )
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path) == manifest
    assert manifest.graph_precisions == ("int8",)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("schema_version",), 99, "schema_version is 99"),
        (("schema_version",), "1", "schema_version is '1'"),
        (("producer",), None, "producer is None"),
        (("architecture", "layers"), 0, "architecture.layers is 0"),
        (("architecture", "layers"), True, "architecture.layers is True"),
        (("architecture", "dropout"), 1.0, "dropout is 1.0"),
        pytest.param(("architecture", "dropout"), 10**400, "dropout is 1000", id="huge dropout"),
        (("architecture", "backbone"), "", "backbone is empty"),
        (("architecture", "backbone_options"), {"scale": []}, "backbone_options.scale"),
        (("architecture", "vocabulary_size"), 13, "vocabulary has 12 words"),
        (("vocabulary",), ["a", "b"], "vocabulary starts with"),
        (("vocabulary", 4), 7, "vocabulary is"),
        (("vocabulary", 5), "a", "twice"),
        (("preprocessing", "height"), -1, "preprocessing.height is -1"),
        (("preprocessing", "colour"), 1, "colour"),
        (("preprocessing", "mean"), [10**400, 0, 0], "preprocessing.mean is"),
        (("settings", "beam_width"), 0, "settings: beam_width is 0"),
        pytest.param(("settings", "length_penalty"), 10**400, "length_penalty is 1000", id="huge penalty"),
        (("settings", "banned_words"), ["effusion"], "'effusion', which is not in the vocabulary"),
        (("files", 1, "sha256"), "abc", "sha256 of decoder_init.onnx is 'abc'"),
        (("files", 1, "bytes"), -1, r"files\[1\].bytes is -1"),
        (("files", 1, "opset"), "17", r"files\[1\].opset is '17'"),
        (("files", 1, "precision"), "../x", "precision of decoder_init.onnx"),
        (("files", 1, "path"), "encoder.onnx", "files has 'encoder.onnx' twice"),
        (("files", 1, "path"), "manifest.json", "can't hold its own checksum"),
        (("files", 1, "inputs", 0, "shape"), [1.5], r"inputs\[0\].shape"),
        (("files",), {}, "files is {}"),
        (("parity",), {"reference": "x", "outputs": []}, "no field 'search'"),
        (("evaluation",), "good", "evaluation is 'good'"),
        (("provenance", "sha256"), [], "provenance.sha256 is"),
        (("disclaimer",), " ", "disclaimer is empty"),
        (("licence",), ["MIT"], "licence is"),
        (("precisions",), None, "precisions is None"),
        (("precisions",), [{}], r"precisions\[0\] has no field 'name'"),
        (("precisions",), [INT8.to_json()], "precisions has 'int8', of which files has no graph"),
        (("pickle",), "x", "unknown field 'pickle'"),
    ],
)
def test_wrong_field_is_named(
    own_bundle: Path, edit_manifest: Edit, path: tuple[str | int, ...], value: object, said: str
) -> None:
    def change(fields: Any) -> None:
        for key in path[:-1]:
            fields = fields[key]
        fields[path[-1]] = value

    edit_manifest(own_bundle, change)
    with pytest.raises(BundleError, match=said):
        Manifest.read(own_bundle)


@pytest.mark.parametrize("field", sorted(SmallBundle().manifest(()).to_json()))
def test_missing_field_is_named(own_bundle: Path, edit_manifest: Edit, field: str) -> None:
    edit_manifest(own_bundle, lambda fields: fields.pop(field))
    with pytest.raises(BundleError, match=f"no field '{field}'"):
        Manifest.read(own_bundle)


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "/etc/passwd",
        "../x.onnx",
        "a/../../x",
        "a//b",
        "./a",
        "a/",
        "a/.",
        "/",
        "//",
        "C:\\x",
        "C:/x",
        "a\\b",
        "a\0b",
    ],
)
def test_path_that_is_not_below_the_bundle_is_refused(path: str) -> None:
    with pytest.raises(BundleError, match="file path"):
        FileEntry(path, SHA, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b"\xff", "not UTF-8"),
        (b'{"schema_version": 1, "schema_version": 1}', "twice"),
        (b'{"schema_version": NaN}', "NaN"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_file_that_is_no_manifest_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(content)
    with pytest.raises(BundleError, match=said):
        Manifest.read(tmp_path)


def test_folder_without_manifest_and_no_folder_at_all(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(BundleError, match=r"not a folder with manifest\.json; give the folder"):
            Manifest.read(path)


def test_pipe_in_the_place_of_the_manifest_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / MANIFEST_NAME)
    with pytest.raises(BundleError, match="not a regular file"):
        Manifest.read(tmp_path)


def test_manifest_may_be_a_link_out_of_the_bundle(small_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).symlink_to(small_bundle / MANIFEST_NAME)
    assert Manifest.read(tmp_path) == Manifest.read(small_bundle)


def test_manifest_is_plain_json_with_the_settings_in_it(small_bundle: Path) -> None:
    fields = json.loads((small_bundle / MANIFEST_NAME).read_text())
    assert fields["settings"] == BeamSettings(beam_width=3, max_length=12).to_json()
    assert fields["vocabulary"][:4] == ["<pad>", "<start>", "<end>", "<unk>"]


def test_a_manifest_of_version_1_is_one_without_precisions(own_bundle: Path, edit_manifest: Edit) -> None:
    expected = Manifest.read(own_bundle)

    def back(fields: dict[str, Any]) -> None:
        fields["schema_version"] = 1
        del fields["precisions"], fields["sha256"]

    edit_manifest(own_bundle, back)
    assert Manifest.read(own_bundle) == expected
    assert (expected.sha256 is None, Manifest.read(own_bundle).sha256) == (False, None)
    assert expected.precisions == ()
    edit_manifest(own_bundle, lambda fields: fields.update(precisions=[]))
    with pytest.raises(BundleError, match="unknown field 'precisions'"):
        Manifest.read(own_bundle)


INT8_FILES = (
    FileEntry("encoder.onnx", SHA, 3, "fp32", 17),
    FileEntry("int8/encoder.onnx", SHA, 3, "int8", 17),
)


def with_records(*records: Precision) -> Manifest:
    return replace(SmallBundle().manifest(INT8_FILES), precisions=records)


def test_a_precision_stands_once_for_each_device() -> None:
    with pytest.raises(BundleError, match="precisions has 'int8' for 'cpu' twice"):
        with_records(INT8, INT8)
    with pytest.raises(BundleError, match="precisions has 'int8' for 'cpu' twice"):
        with_records(INT8, replace(INT8, devices=("openvino", "cpu")))
    other = replace(INT8, devices=("openvino",), identical=431)
    assert with_records(INT8, other).precisions == (INT8, other)


@pytest.mark.parametrize("name", ["int8", "int8+fp32", "fp32+int8", "bf16", "bf16+int8"])
def test_a_pair_is_recorded_where_its_graphs_are(name: str) -> None:
    record = replace(INT8, name=name)
    assert with_records(record).precisions == (record,)
    for left in INT8_FILES:
        kept = tuple(entry for entry in INT8_FILES if entry != left)
        if left.precision in record.pair.graphs:
            with pytest.raises(
                BundleError, match=re.escape(f"precisions has {name!r}, of which files has no")
            ):
                replace(SmallBundle().manifest(kept), precisions=(record,))
        else:
            assert replace(SmallBundle().manifest(kept), precisions=(record,)).precisions == (record,)


@pytest.mark.parametrize(
    ("records", "version"),
    [
        ((), 3),
        ((INT8,), 3),
        ((replace(INT8, devices=("openvino",)),), 3),
        ((INT8, replace(INT8, devices=("openvino",))), 5),
        ((replace(INT8, name="int8+fp32"),), 5),
        ((replace(INT8, name="bf16", devices=("openvino",)),), 5),
        ((replace(INT8, limits=LossLimits(0.1)),), 5),
    ],
)
def test_the_schema_is_the_oldest_that_holds_the_records(
    records: tuple[Precision, ...], version: int, tmp_path: Path
) -> None:
    manifest = with_records(*records)
    assert manifest.to_json()["schema_version"] == version
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path) == manifest

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cxrscribe
from cxrscribe.bundle import DECODER_STEP, ENCODER, Bundle, FileState
from cxrscribe.errors import BundleError
from cxrscribe.external_data import external_files
from support.small_bundle import SmallBundle

Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]
DATA = "decoder_step.onnx.data"
FILES = (ENCODER, "decoder_init.onnx", DECODER_STEP, DATA)


def test_intact_bundle_opens_and_says_so(own_bundle: Path) -> None:
    inspection = Bundle.open(own_bundle).inspect()
    assert inspection.intact
    assert [check.path for check in inspection.files] == list(FILES)
    cxrscribe.load(own_bundle, device="cpu").close()


@pytest.mark.parametrize("name", FILES)
def test_changed_byte_is_refused(own_bundle: Path, name: str) -> None:
    content = bytearray((own_bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (own_bundle / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name} has the sha256"):
        cxrscribe.load(own_bundle, device="cpu")
    assert damaged(own_bundle) == {name}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("verify", [True, False])
def test_truncated_file_is_refused(own_bundle: Path, name: str, verify: bool) -> None:
    (own_bundle / name).write_bytes((own_bundle / name).read_bytes()[:-1])
    with pytest.raises(BundleError, match=f"{name} has .* bytes, but manifest.json says"):
        cxrscribe.load(own_bundle, device="cpu", verify=verify)
    assert name in damaged(own_bundle)


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_refused(own_bundle: Path, name: str) -> None:
    (own_bundle / name).unlink()
    with pytest.raises(BundleError, match=f"{name} can't be opened"):
        cxrscribe.load(own_bundle, device="cpu")
    assert name in damaged(own_bundle)


def test_folder_in_place_of_a_file_is_refused(own_bundle: Path) -> None:
    (own_bundle / ENCODER).unlink()
    (own_bundle / ENCODER).mkdir()
    with pytest.raises(BundleError, match="not a regular file"):
        Bundle.open(own_bundle).graph(ENCODER)


def test_link_out_of_the_bundle_is_refused(own_bundle: Path) -> None:
    outside = own_bundle.parent / "outside.onnx"
    shutil.move(own_bundle / ENCODER, outside)
    (own_bundle / ENCODER).symlink_to(outside)
    with pytest.raises(BundleError, match="leaves the bundle"):
        cxrscribe.load(own_bundle, device="cpu", verify=False)
    assert damaged(own_bundle) == {ENCODER}


def test_linked_folder_out_of_the_bundle_is_refused(own_bundle: Path, edit_manifest: Edit) -> None:
    outside = own_bundle.parent / "outside"
    outside.mkdir()
    shutil.copy(own_bundle / ENCODER, outside)
    (own_bundle / "sub").symlink_to(outside)
    edit_manifest(own_bundle, lambda fields: fields["files"][0].update(path=f"sub/{ENCODER}"))
    assert damaged(own_bundle) == {f"sub/{ENCODER}"}


def test_link_inside_the_bundle_is_followed(own_bundle: Path) -> None:
    shutil.move(own_bundle / ENCODER, own_bundle / "elsewhere.onnx")
    (own_bundle / ENCODER).symlink_to("elsewhere.onnx")
    cxrscribe.load(own_bundle, device="cpu").close()


def test_external_data_that_the_manifest_does_not_list_is_refused(
    own_bundle: Path, edit_manifest: Edit
) -> None:
    edit_manifest(own_bundle, lambda fields: fields["files"].pop())
    with pytest.raises(BundleError, match=f"takes weights from '{DATA}'"):
        cxrscribe.load(own_bundle, device="cpu", verify=False)
    checks = {check.path: check.state for check in Bundle.open(own_bundle).inspect().files}
    assert checks[DATA] is FileState.UNLISTED
    assert checks[DECODER_STEP] is FileState.DAMAGED


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../secret"])
def test_external_data_outside_the_bundle_is_refused(
    own_bundle: Path, edit_manifest: Edit, location: str
) -> None:
    import onnx

    from cxrscribe.manifest import FileEntry

    graph = own_bundle / DECODER_STEP
    model = onnx.load(graph, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    graph.write_bytes(model.SerializeToString())
    edit_manifest(
        own_bundle,
        lambda fields: fields["files"][2].update(
            sha256=FileEntry.describe(own_bundle, DECODER_STEP).sha256, bytes=graph.stat().st_size
        ),
    )
    with pytest.raises(BundleError, match="doesn't list"):
        cxrscribe.load(own_bundle, device="cpu")


def test_unlisted_file_is_shown_and_harms_nothing(own_bundle: Path) -> None:
    (own_bundle / "notes.txt").write_text("hello")
    inspection = Bundle.open(own_bundle).inspect()
    assert inspection.intact
    assert inspection.files[-1].state is FileState.UNLISTED


def test_unknown_precision_lists_those_there_are(small_bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"precision 'int8'; it has fp32"):
        cxrscribe.load(small_bundle, device="cpu", precision="int8")


def test_graph_that_the_bundle_lacks_is_named(small_bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"no report\.onnx at precision fp32"):
        Bundle.open(small_bundle).graph("report.onnx")


def test_graph_of_another_architecture_is_refused(own_bundle: Path, edit_manifest: Edit) -> None:
    edit_manifest(own_bundle, lambda fields: fields["architecture"].update(hidden_size=17))
    with pytest.raises(BundleError, match=r"'hidden' with last axes \[16\], but the manifest says \[17\]"):
        cxrscribe.load(own_bundle, device="cpu")


def test_graph_in_the_place_of_another_is_refused(own_bundle: Path, edit_manifest: Edit) -> None:
    def swap(fields: dict[str, Any]) -> None:
        first, second = fields["files"][:2]
        first["path"], second["path"] = second["path"], first["path"]

    edit_manifest(own_bundle, swap)
    (own_bundle / ENCODER).rename(own_bundle / "x")
    (own_bundle / "decoder_init.onnx").rename(own_bundle / ENCODER)
    (own_bundle / "x").rename(own_bundle / "decoder_init.onnx")
    with pytest.raises(BundleError, match="has the inputs features, not image"):
        cxrscribe.load(own_bundle, device="cpu")


@pytest.mark.parametrize("content", [b"", b"not onnx at all", b"\x3a\xff\xff\x03", b"\x3a" + b"\xff" * 12])
def test_file_that_is_no_graph_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(BundleError, match="not an ONNX file"):
        external_files(tmp_path / "x.onnx")


def test_external_files_are_found_wherever_a_graph_can_hold_tensors(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    def tensor(name: str) -> TensorProto:
        value = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1])
        value.data_location = TensorProto.EXTERNAL
        value.external_data.add(key="offset", value="0")
        value.external_data.add(key="location", value=f"{name}.bin")
        return value

    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["y"], value=tensor("inner"))], "inner", [], []
    )
    nodes = [
        helper.make_node("If", ["condition"], ["y"], then_branch=inner, else_branch=inner),
        helper.make_node("Constant", [], ["z"], value=tensor("attribute")),
    ]
    model = helper.make_model(helper.make_graph(nodes, "outer", [], [], [tensor("initializer")]))
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    assert set(external_files(tmp_path / "x.onnx")) == {"inner.bin", "attribute.bin", "initializer.bin"}
    assert external_files(SmallBundle().write(tmp_path / "plain") / ENCODER) == ()


def damaged(bundle: Path) -> set[str]:
    inspection = Bundle.open(bundle).inspect()
    assert not inspection.intact
    return {check.path for check in inspection.files if check.state is FileState.DAMAGED}

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cxrscribe
from cxrscribe.bundle.bundle import Bundle, FileState
from cxrscribe.bundle.contract import DECODER_STEP, ENCODER
from cxrscribe.bundle.graph_contents import external_files
from cxrscribe.errors import BundleError
from support.small_bundle import SmallBundle, edit_graph

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


@pytest.mark.parametrize("verify", [True, False])
def test_link_out_of_the_bundle_is_followed_to_what_the_manifest_says(own_bundle: Path, verify: bool) -> None:
    outside = own_bundle.parent / "outside.onnx"
    shutil.move(own_bundle / ENCODER, outside)
    (own_bundle / ENCODER).symlink_to(outside)
    cxrscribe.load(own_bundle, device="cpu", verify=verify).close()
    content = bytearray(outside.read_bytes())
    content[-1] ^= 1
    outside.write_bytes(content)
    with pytest.raises(BundleError, match=f"{ENCODER} has the sha256"):
        cxrscribe.load(own_bundle, device="cpu", verify=verify, cache=False)
    assert damaged(own_bundle) == {ENCODER}


def test_linked_folder_out_of_the_bundle_is_followed(own_bundle: Path, edit_manifest: Edit) -> None:
    outside = own_bundle.parent / "outside"
    outside.mkdir()
    shutil.copy(own_bundle / ENCODER, outside)
    (own_bundle / "sub").symlink_to(outside)
    edit_manifest(own_bundle, lambda fields: fields["files"][0].update(path=f"sub/{ENCODER}"))
    assert Bundle.open(own_bundle).inspect().intact


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


def take_weights_from(location: str) -> Callable[[Any], None]:
    """Change a model so that its external weights are looked for there."""

    def change(model: Any) -> None:
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = location

    return change


@pytest.mark.parametrize(
    "location",
    [
        "../secret",
        "/etc/passwd",
        "a/../../secret",
        f"./{DATA}",
        f"sub/../{DATA}",
        f".//{DATA}",
        f"{DATA}/",
        "",
    ],
)
def test_external_data_without_a_plain_path_is_refused(own_bundle: Path, location: str) -> None:
    edit_graph(own_bundle, DECODER_STEP, take_weights_from(location))
    with pytest.raises(BundleError, match="which is no plain path below its folder"):
        cxrscribe.load(own_bundle, device="cpu")
    assert damaged(own_bundle) == {DECODER_STEP}


def test_external_data_behind_a_link_and_back_is_refused(own_bundle: Path) -> None:
    """`link/..` is not the folder that holds the link: an unlisted file would be opened."""
    (own_bundle / "x" / "sub").mkdir(parents=True)
    shutil.copy(own_bundle / DATA, own_bundle / "x")
    (own_bundle / "link").symlink_to("x/sub")
    edit_graph(own_bundle, DECODER_STEP, take_weights_from(f"link/../{DATA}"))
    with pytest.raises(BundleError, match="no plain path"):
        cxrscribe.load(own_bundle, device="cpu")


def test_graph_that_links_to_a_folder_with_other_external_data_is_refused(own_bundle: Path) -> None:
    (own_bundle / "sub").mkdir()
    shutil.move(own_bundle / DECODER_STEP, own_bundle / "sub")
    (own_bundle / "sub" / DATA).write_bytes(bytes((own_bundle / DATA).stat().st_size))
    (own_bundle / DECODER_STEP).symlink_to(f"sub/{DECODER_STEP}")
    with pytest.raises(BundleError, match=f"is a link to a folder with another '{DATA}'"):
        cxrscribe.load(own_bundle, device="cpu")


def refuse_opening(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the system refuse to open the file, as it does for who has no right to read it."""
    opened = os.open

    def refuse(path: Any, *arguments: Any, **options: Any) -> Any:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("name", [ENCODER, DECODER_STEP])
def test_file_that_can_not_be_read_is_named(
    own_bundle: Path, monkeypatch: pytest.MonkeyPatch, name: str, verify: bool
) -> None:
    refuse_opening(monkeypatch, name)
    with pytest.raises(BundleError, match=rf"{name} can't be opened \(Permission denied\)"):
        cxrscribe.load(own_bundle, device="cpu", verify=verify)
    assert damaged(own_bundle) == {name}


def test_link_in_a_circle_is_refused(own_bundle: Path) -> None:
    (own_bundle / ENCODER).unlink()
    (own_bundle / ENCODER).symlink_to(ENCODER)
    with pytest.raises(BundleError, match="can't be opened"):
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
    said = r"'hidden' as float32 \[2, N, 16\], but the manifest says 'hidden' as float32 \[2, N, 17\]"
    with pytest.raises(BundleError, match=said):
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
    function = helper.make_function(
        "local",
        "F",
        [],
        ["y"],
        [helper.make_node("Constant", [], ["y"], value=tensor("function"))],
        [helper.make_opsetid("", 17)],
        attribute_protos=[helper.make_attribute("value", tensor("default"))],
    )
    model = helper.make_model(
        helper.make_graph(nodes, "outer", [], [], [tensor("initializer")]), functions=[function]
    )
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    names = ("inner", "attribute", "initializer", "function", "default")
    assert set(external_files(tmp_path / "x.onnx")) == {f"{name}.bin" for name in names}
    assert external_files(SmallBundle().write(tmp_path / "plain") / ENCODER) == ()


def damaged(bundle: Path) -> set[str]:
    inspection = Bundle.open(bundle).inspect()
    assert not inspection.intact
    return {check.path for check in inspection.files if check.state is FileState.DAMAGED}

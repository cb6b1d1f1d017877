"""Graphs on onnxruntime: what they must take and give, and what becomes of failures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import cxrscribe
from cxrscribe.bundle.contract import GraphInterface
from cxrscribe.bundle.files import TensorEntry
from cxrscribe.errors import BundleError, CxrscribeError, DeviceError
from cxrscribe.sessions.device import CPU, CUDA
from cxrscribe.sessions.session import Session, SessionSettings
from support.small_bundle import SmallBundle, edit_graph

IMAGE = TensorEntry("image", "uint8", ("N", 24, 32))
FEATURES = TensorEntry("features", "float32", ("N", 6))


@pytest.fixture(scope="module")
def encoder(small_bundle: Path) -> Session:
    return Session(small_bundle / "encoder.onnx", SessionSettings(CPU, 1))


def test_graph_of_the_right_interface_is_accepted(encoder: Session) -> None:
    encoder.expect(GraphInterface("encoder.onnx", (IMAGE,), (FEATURES,)))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (TensorEntry("image", "float32", ("N", 24, 32)), "uint8"),
        (TensorEntry("image", "uint8", ("N", 24)), "24, 32"),
        (TensorEntry("image", "uint8", ("N", 1, 24, 32)), "24, 32"),
        (TensorEntry("image", "uint8", ("N", 25, 32)), "24, 32"),
        (TensorEntry("image", "uint8", ("N", "height", 32)), "24, 32"),
    ],
)
def test_other_type_rank_or_size_is_refused(encoder: Session, wanted: TensorEntry, found: str) -> None:
    with pytest.raises(BundleError, match=rf"encoder\.onnx has 'image' as .*{found}.* but the manifest says"):
        encoder.expect(GraphInterface("encoder.onnx", (wanted,), (FEATURES,)))


def test_other_names_are_refused(encoder: Session) -> None:
    with pytest.raises(BundleError, match="has the outputs features, not hidden"):
        encoder.expect(
            GraphInterface("encoder.onnx", (IMAGE,), (TensorEntry("hidden", "float32", ("N", 6)),))
        )


def test_axis_that_the_graph_leaves_open_may_have_any_size(encoder: Session) -> None:
    encoder.expect(GraphInterface("encoder.onnx", (TensorEntry("image", "uint8", (5, 24, 32)),), (FEATURES,)))


@pytest.mark.parametrize(
    ("graph", "name"),
    [("encoder.onnx", "image"), ("decoder_init.onnx", "features"), ("decoder_step.onnx", "token")],
)
def test_graph_of_one_batch_size_only_is_refused(tmp_path: Path, graph: str, name: str) -> None:
    bundle = SmallBundle().write(tmp_path / "bundle")

    def fix(model) -> None:  # type: ignore[no-untyped-def]
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1

    edit_graph(bundle, graph, fix)
    with pytest.raises(
        BundleError, match=rf"{graph} has '{name}' as \w+ \[1.*but the manifest says .* \[[NR]"
    ):
        cxrscribe.load(bundle, device="cpu")


def test_encoder_of_other_pixels_is_refused(tmp_path: Path) -> None:
    bundle = SmallBundle().write(tmp_path / "bundle")

    def take_floats(model) -> None:  # type: ignore[no-untyped-def]
        model.graph.input[0].type.tensor_type.elem_type = 1

    edit_graph(bundle, "encoder.onnx", take_floats)
    with pytest.raises(
        BundleError, match=r"has 'image' as float32 .* but the manifest says 'image' as uint8"
    ):
        cxrscribe.load(bundle, device="cpu")


def test_failure_at_work_names_graph_and_device(encoder: Session) -> None:
    with pytest.raises(DeviceError, match=r"device 'cpu' failed in .*encoder\.onnx \(.*INVALID_ARGUMENT"):
        encoder.run(("features",), {"image": np.zeros((1, 24, 32), np.float32)})


def test_failure_at_work_is_an_error_of_the_tree_and_spares_what_was_done(
    small_bundle: Path, films: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, left = Session.run, 2 + 12

    def out_of_memory(session: Session, outputs, inputs):  # type: ignore[no-untyped-def]
        nonlocal left
        left -= 1
        return run(session, outputs, inputs if left >= 0 else {})

    with cxrscribe.load(small_bundle, device="cpu") as reporter:
        settings = cxrscribe.BeamSettings(max_length=12, min_length=12)
        monkeypatch.setattr(Session, "run", out_of_memory)
        stream = reporter.report_stream(films[:4], settings, batch_size=2)
        reports = [next(stream), next(stream)]
        assert all(isinstance(report, cxrscribe.Report) for report in reports)
        with pytest.raises(CxrscribeError, match="failed in"):
            next(stream)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_damaged_graph_is_not_blamed_on_the_device(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"\x08\x01")
    with pytest.raises(BundleError, match=r"x\.onnx can't be loaded by onnxruntime"):
        Session(tmp_path / "x.onnx", SessionSettings(CUDA, 1))

"""The floor: it multiplies what the network multiplies, and moves the bytes that this needs."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import cxrscribe
from cxrscribe import BeamSettings, DecodingStats
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.errors import InputError
from cxrscribe_bench.floor.encoder_products import EncoderProducts, Product, products_of
from cxrscribe_bench.floor.floor import METHODS, Floor, open_floor
from cxrscribe_bench.floor.traffic import Traffic, Transfer
from cxrscribe_bench.workload import Workload


@pytest.fixture(scope="module")
def workload(fused_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Workload:
    features = tmp_path_factory.mktemp("floor") / "features.h5"
    with h5py.File(features, "w") as file:
        file["features"] = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)
    return Workload(fused_bundle, (), features, BeamSettings(beam_width=3, max_length=9), 5, 2)


def _graph(folder: Path, nodes: list[onnx.NodeProto], weights: dict[str, tuple[int, ...]]) -> Path:
    """An encoder's graph of `nodes`, from "grey" float32 [N, 1, 12, 10] to "features"."""
    tensors = [
        helper.make_tensor(name, TensorProto.FLOAT, shape, np.zeros(shape, np.float32).ravel())
        for name, shape in weights.items()
    ]
    tensors.append(helper.make_tensor("channel", TensorProto.INT64, [1], [1]))
    before = [
        helper.make_node("Cast", ["image"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["cast", "channel"], ["grey"]),
    ]
    graph = helper.make_graph(
        [*before, *nodes],
        "encoder",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 12, 10])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, None)],
        tensors,
    )
    file = folder / "encoder.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file


def _convolutions(folder: Path) -> Path:
    return _graph(
        folder,
        [
            helper.make_node("Conv", ["grey", "stem"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Conv", ["a", "by_channel"], ["b"], group=4),
            helper.make_node("GlobalAveragePool", ["b"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "turned"], ["c"], transB=1),
            helper.make_node("MatMul", ["c", "last"], ["features"]),
        ],
        {"stem": (4, 1, 3, 3), "by_channel": (8, 1, 2, 2), "turned": (5, 8), "last": (5, 7)},
    )


def test_products_are_those_of_the_graph(tmp_path: Path) -> None:
    stem, by_channel, gemm, matmul = products_of(_convolutions(tmp_path), 12, 10)
    assert stem == Product(rows=6 * 5, inner=9, outer=4, groups=1, read=120)
    assert by_channel == Product(rows=5 * 4, inner=4, outer=2, groups=4, read=4 * 30)
    assert gemm == Product(rows=1, inner=8, outer=5, groups=1, read=8)
    assert matmul == Product(rows=1, inner=5, outer=7, groups=1, read=5)
    assert (by_channel.weights, by_channel.written, by_channel.factor) == (32, 160, 320)
    assert by_channel.multiplications == 640


def test_weights_are_those_of_the_demos_convolutions() -> None:
    bundle = Bundle.open(cxrscribe.demo_bundle())
    encoder, picture = bundle.graph("encoder.onnx"), bundle.manifest.preprocessing
    graph = onnx.load(encoder).graph
    read = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    sizes = [int(np.prod(tensor.dims)) for tensor in graph.initializer if tensor.name in read]
    products = products_of(encoder, picture.height, picture.width)
    assert sorted(product.weights for product in products) == sorted(sizes)


@pytest.mark.parametrize(
    ("nodes", "weights", "reason"),
    [
        ([helper.make_node("MatMul", ["grey", "cube"], ["features"])], {"cube": (1, 10, 3)}, "no matrix"),
        (
            [
                helper.make_node("NonZero", ["grey"], ["places"]),
                helper.make_node("Cast", ["places"], ["unknown"], to=TensorProto.FLOAT),
                helper.make_node("MatMul", ["unknown", "matrix"], ["features"]),
            ],
            {"matrix": (3, 3)},
            "no size is known",
        ),
    ],
)
def test_a_product_of_unknown_shape_is_refused(
    tmp_path: Path, nodes: list[onnx.NodeProto], weights: dict[str, tuple[int, ...]], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        products_of(_graph(tmp_path, nodes, weights), 12, 10)


def test_products_are_computed_in_room_that_is_shared(tmp_path: Path) -> None:
    products = products_of(_convolutions(tmp_path), 12, 10)
    runner = EncoderProducts(products, 1)
    for films in (1, 3, 1):
        runner.prepare(films)
    for films in (3, 1):
        runner.prepare(films)
        runner.run(films)
    assert len(runner._factors) == 3 * max(product.factor for product in products)
    assert len(runner._written) == 3 * max(product.written for product in products)


@pytest.mark.parametrize("groups", [1, 4])
def test_the_graph_multiplies(groups: int) -> None:
    product = Product(rows=3, inner=5, outer=2, groups=groups, read=15)
    runner = EncoderProducts([product], 1)
    runner.prepare(2)
    runner.run(2)
    factor = runner._factors.reshape(groups, 6, 5)
    weights = np.random.default_rng(0).random((groups, 5, 2), np.float32)
    np.testing.assert_allclose(runner._written.reshape(groups, 6, 2), factor @ weights, rtol=1e-5)


def test_every_method_runs_for_whole_and_broken_batches(workload: Workload) -> None:
    floor = open_floor(workload)
    for count in (12, 3, 8):
        for method in METHODS.values():
            getattr(floor, method)(0, count)


def test_rows_are_those_of_our_own_search(workload: Workload) -> None:
    stats = DecodingStats()
    with cxrscribe.load(workload.bundle, device="cpu") as reporter:
        features = workload.feature_rows()[2:11]
        list(reporter.decode_stream(features, workload.settings, batch_size=5, stats=stats))
    rows = Floor(workload)._rows_of(2, 9)
    assert sum(rows.steps) == stats.rows
    assert len(rows.steps) == stats.steps
    assert sum(rows.initial) == 9


def test_encoder_moves_weights_once_a_batch_and_activations_once_a_film(workload: Workload) -> None:
    floor = Floor(workload)
    one, eight = floor._encoder_transfers(1), floor._encoder_transfers(8)
    # One convolution of 5 x 5 in steps of 3 on films [24, 32]: outputs [6, 7, 10].
    (single,) = one
    assert single == Transfer(weights=4 * 6 * 25, activations=4 * (24 * 32 + 6 * 7 * 10), weights_at=0)
    assert [each.activations for each in eight] == [8 * each.activations for each in one]
    assert [each.weights for each in eight] == [each.weights for each in one]


@pytest.mark.parametrize("threads", [1, 2])
def test_traffic_copies_half_of_what_is_moved(threads: int) -> None:
    transfers = [Transfer(80, 400), Transfer(160, 40, weights_at=80)]
    traffic = Traffic(transfers, threads)
    for source, target in (pair for buffers in traffic._buffers for pair in buffers):
        source[:], target[:] = 2, 1
    traffic.run(transfers[1:])
    copied = [int((target == 2).sum()) for buffers in traffic._buffers for _, target in buffers]
    assert sum(copied) == (160 + 40) // 2
    assert (traffic._buffers[0][0][1][: 40 // threads] == 1).all(), "weights of the first were left alone"

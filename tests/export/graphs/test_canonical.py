"""What comes out of the converter, named, folded and checked."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cxrscribe.bundle.contract import DECODER_INIT, DECODER_STEP, ENCODER
from cxrscribe_export.graphs.checked_graph import Graph, check
from cxrscribe_export.graphs.conversion import OPSET, ConversionError
from cxrscribe_export.graphs.runner import GraphRunner
from cxrscribe_train.features import encode_batch
from cxrscribe_train.step import PaddleStep
from support.random_networks import SIDE, VOCABULARY_SIZE, Exported, ExportedDecoder, random_films

STEP_OPERATORS = {
    "Add", "Concat", "Gather", "LogSoftmax", "MatMul", "Mul", "Sigmoid", "Slice", "Split", "Squeeze", "Tanh",
    "Unsqueeze",
}  # fmt: skip


def ports(values: list[onnx.ValueInfoProto]) -> list[tuple[str, str, list[int | str]]]:
    return [
        (
            value.name,
            onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type),
            [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim],
        )
        for value in values
    ]


def test_names_types_and_axes_are_those_of_the_bundle(exported: Exported) -> None:
    encoding, initial_state, step = (graph.model.graph for graph in exported.graphs)
    assert ports(encoding.input) == [("image", "UINT8", ["N", SIDE, SIDE])]
    assert ports(encoding.output) == [("features", "FLOAT", ["N", 256])]
    assert ports(initial_state.input) == [("features", "FLOAT", ["N", 256])]
    assert ports(initial_state.output) == [("hidden", "FLOAT", [2, "N", 24]), ("cell", "FLOAT", [2, "N", 24])]
    assert ports(step.input) == [
        ("token", "INT64", ["R"]),
        ("hidden", "FLOAT", [2, "R", 24]),
        ("cell", "FLOAT", [2, "R", 24]),
    ]
    assert ports(step.output) == [
        ("log_probs", "FLOAT", ["R", VOCABULARY_SIZE]),
        ("hidden_out", "FLOAT", [2, "R", 24]),
        ("cell_out", "FLOAT", [2, "R", 24]),
    ]


def test_files_are_called_as_the_runtime_looks_for_them(exported: Exported) -> None:
    names = [graph.interface.name for graph in exported.graphs]
    assert names == [ENCODER, DECODER_INIT, DECODER_STEP]


def test_graphs_are_valid_and_of_the_standard_domain(exported: Exported) -> None:
    for graph in exported.graphs:
        onnx.checker.check_model(graph.model, full_check=True)
        assert [(entry.domain, entry.version) for entry in graph.model.opset_import] == [("", OPSET)]
        assert OPSET >= 17
        assert not {node.domain for node in graph.model.graph.node} - {""}


def test_the_step_is_products_gates_and_nothing_more(exported_decoders: dict[int, ExportedDecoder]) -> None:
    for layers, decoder in exported_decoders.items():
        operators = [node.op_type for node in decoder.step.model.graph.node]
        assert set(operators) <= STEP_OPERATORS
        assert operators.count("MatMul") == 2 * layers + 1
        assert operators.count("Sigmoid") == 3 * layers
        assert operators.count("Tanh") == 2 * layers


def test_no_constant_is_stored_twice_or_left_unused(exported: Exported) -> None:
    for graph in exported.graphs:
        tensors = graph.model.graph.initializer
        contents = {
            (numpy_helper.to_array(tensor).tobytes(), tuple(tensor.dims), tensor.data_type)
            for tensor in tensors
        }
        assert len(contents) == len(tensors)
        used = {name for node in graph.model.graph.node for name in node.input}
        assert used >= {tensor.name for tensor in tensors}
        assert not [node for node in graph.model.graph.node if node.op_type in ("Constant", "Identity")]


def test_a_graph_holds_no_more_numbers_than_its_weights(exported: Exported) -> None:
    """No transposed copy, no matrix of zeros: a few hundred bytes of shapes and biases at most."""
    decoder = exported.model.decoder
    parameters = sum(int(np.prod(value.shape)) for name, value in decoder.named_parameters())
    projection = sum(int(np.prod(value.shape)) for value in decoder.image_projection.parameters())
    step = exported.graphs[2].model.graph
    assert sum(int(np.prod(tensor.dims)) for tensor in step.initializer) <= parameters - projection


def test_weights_keep_their_names(exported: Exported) -> None:
    tensors = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in exported.graphs[2].model.graph.initializer
    }
    decoder = exported.model.decoder
    np.testing.assert_array_equal(tensors["embedding.weight"], decoder.embedding.weight.numpy())
    np.testing.assert_array_equal(tensors["output.weight"], decoder.output.weight.numpy())
    np.testing.assert_array_equal(
        tensors["lstm.1.cell.weight_hh_transposed"], decoder.lstm.weight_hh_l1.numpy().T
    )


@pytest.mark.parametrize("films", [1, 2, 7])
def test_the_encoder_takes_any_number_of_films(exported: Exported, films: int) -> None:
    pixels = random_films(films)
    features = GraphRunner(exported.graphs[0].model).run(pixels)[0]
    assert features.shape == (films, 256)
    np.testing.assert_allclose(features, encode_batch(exported.model.encoder, pixels), atol=1e-4)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 5, 160])
def test_every_layers_state_is_paddles(
    exported_decoders: dict[int, ExportedDecoder], layers: int, rows: int
) -> None:
    decoder = exported_decoders[layers]
    paddle_step = PaddleStep(decoder.decoder)
    rng = np.random.default_rng(rows)
    state = paddle_step.initial_state(rng.normal(size=(rows, 20)).astype(np.float32))
    tokens = rng.integers(0, VOCABULARY_SIZE, rows)

    log_probs, hidden, cell = GraphRunner(decoder.step.model).run(tokens, state.hidden, state.cell)
    expected_log_probs, expected = paddle_step.step(tokens, state)
    np.testing.assert_allclose(log_probs, expected_log_probs, atol=1e-5)
    assert hidden.shape == (layers, rows, 24)
    np.testing.assert_allclose(hidden, expected.hidden, atol=1e-6)
    np.testing.assert_allclose(cell, expected.cell, atol=1e-6)


def changed(graph: Graph) -> onnx.ModelProto:
    return copy.deepcopy(graph.model)


def test_a_graph_with_another_opset_is_refused(exported: Exported) -> None:
    model = changed(exported.graphs[2])
    model.opset_import[0].version = OPSET - 1
    with pytest.raises(ConversionError, match="opset"):
        check(model, exported.graphs[2].interface)


def test_a_graph_with_another_domain_is_refused(exported: Exported) -> None:
    model = changed(exported.graphs[2])
    model.graph.node[0].domain = "com.microsoft"
    with pytest.raises(ConversionError, match=r"may \(com\.microsoft\."):
        check(model, exported.graphs[2].interface)


def test_a_graph_with_an_operator_that_no_bundle_has_is_refused(exported: Exported) -> None:
    model = changed(exported.graphs[2])
    model.graph.node[0].op_type = "RandomNormalLike"
    with pytest.raises(ConversionError, match=r"may \(RandomNormalLike\)"):
        check(model, exported.graphs[2].interface)


def test_a_graph_with_another_axis_is_refused(exported: Exported) -> None:
    model = changed(exported.graphs[2])
    model.graph.output[1].type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(ConversionError, match="outputs"):
        check(model, exported.graphs[2].interface)


def test_an_invalid_graph_is_refused(exported: Exported) -> None:
    model = changed(exported.graphs[2])
    del model.graph.node[-1]
    with pytest.raises(ConversionError, match="not valid ONNX"):
        check(model, exported.graphs[2].interface)

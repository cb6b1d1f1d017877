"""From Paddle networks to finished ONNX graphs: converted, folded, named, checked."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from cxrscribe.manifest import Architecture
from cxrscribe.preprocess import Preprocessing
from cxrscribe.version import __version__
from cxrscribe_export.conversion import OPSET, ConversionError, Traced, convert
from cxrscribe_export.folding import fold
from cxrscribe_export.interface import (
    GraphInterface,
    Port,
    decoder_init_interface,
    decoder_step_interface,
    encoder_interface,
)
from cxrscribe_export.naming import ELEMENT_TYPES, rename
from cxrscribe_export.networks import Encoding, InitialState, Step
from cxrscribe_models import FilmEncoder, ReportDecoder

Signature = tuple[str, int, tuple[int | str, ...]]


@dataclass(frozen=True)
class Graph:
    """A finished graph and the interface that it was checked against."""

    interface: GraphInterface
    model: onnx.ModelProto


def graphs_of(
    encoder: FilmEncoder, decoder: ReportDecoder, architecture: Architecture, preprocessing: Preprocessing
) -> tuple[Graph, Graph, Graph]:
    """The fp32 graphs of a bundle: encoder, decoder_init and decoder_step.

    Raises:
        ConversionError: a network couldn't be converted, or the graph isn't what the bundle needs.
    """
    layers, hidden_size = architecture.layers, architecture.hidden_size
    encoding, initial_state, step = graphs_from(
        (
            Traced(
                Encoding(encoder),
                encoder_interface(preprocessing.height, preprocessing.width, architecture.feature_size),
            ),
            Traced(
                InitialState(decoder), decoder_init_interface(architecture.feature_size, layers, hidden_size)
            ),
            Traced(Step(decoder), decoder_step_interface(layers, hidden_size, architecture.vocabulary_size)),
        )
    )
    return encoding, initial_state, step


def graphs_from(networks: Sequence[Traced]) -> tuple[Graph, ...]:
    """Convert `networks`, in order. Raises ConversionError as `graphs_of` does."""
    with tempfile.TemporaryDirectory(prefix="cxrscribe-export-") as folder:
        raw = [onnx.load(str(path)) for path in convert(networks, Path(folder))]
    return tuple(
        Graph(network.interface, _finished(model, network))
        for network, model in zip(networks, raw, strict=True)
    )


def _finished(raw: onnx.ModelProto, network: Traced) -> onnx.ModelProto:
    interface = network.interface
    _check_raw(raw, interface)
    model = fold(raw)
    # The names that `networks` puts before those of the trained layer say nothing.
    weights = {name.partition(".")[2]: value.numpy() for name, value in network.layer.state_dict().items()}
    rename(model, interface, weights)
    model.producer_name, model.producer_version = "cxrscribe", __version__
    model.doc_string = ""
    check(model, interface)
    return model


def check(model: onnx.ModelProto, interface: GraphInterface) -> None:
    """Check that a graph is valid, of the standard domain and our opset, and has exactly this interface.

    Raises:
        ConversionError: it isn't.
    """
    problem = _problem(model, interface)
    if problem:
        raise ConversionError(f"graph {interface.name!r} {problem}: paddle2onnx gave something unexpected")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"graph {interface.name!r} is not valid ONNX: {error}") from error


def _problem(model: onnx.ModelProto, interface: GraphInterface) -> str | None:
    opsets = {(entry.domain, entry.version) for entry in model.opset_import}
    if opsets != {("", OPSET)}:
        return f"uses {sorted(opsets)}, not the standard domain at opset {OPSET}"
    foreign = sorted({node.op_type for node in model.graph.node if node.domain})
    if foreign:
        return f"uses operators outside the standard domain ({', '.join(foreign)})"
    for kind, values, ports in (
        ("inputs", model.graph.input, interface.inputs),
        ("outputs", model.graph.output, interface.outputs),
    ):
        found, wanted = [_port(value) for value in values], [_signature(port) for port in ports]
        if found != wanted:
            return f"has {kind} {found}, not {wanted}"
    return None


def _port(value: onnx.ValueInfoProto) -> Signature:
    tensor = value.type.tensor_type
    axes = tuple(axis.dim_param or axis.dim_value for axis in tensor.shape.dim)
    return value.name, tensor.elem_type, axes


def _signature(port: Port) -> Signature:
    return port.name, ELEMENT_TYPES[port.element_type], port.axes


def _check_raw(raw: onnx.ModelProto, interface: GraphInterface) -> None:
    """Check what the passes that follow rely on."""
    graph = raw.graph
    if len(graph.output) != len(interface.outputs) or len(graph.input) != len(interface.inputs):
        raise ConversionError(
            f"graph {interface.name!r} came out with {len(graph.input)} inputs and {len(graph.output)} "
            f"outputs, not {len(interface.inputs)} and {len(interface.outputs)}: a network ignores an input"
        )
    for node in graph.node:
        if any(attribute.type in (attribute.GRAPH, attribute.GRAPHS) for attribute in node.attribute):
            raise ConversionError(
                f"graph {interface.name!r} holds a {node.op_type} with a subgraph, which this exporter can't "
                "handle: choose a backbone without control flow"
            )

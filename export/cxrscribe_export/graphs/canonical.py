"""From Paddle networks to finished ONNX graphs: converted, folded, named, checked."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.contract import DECODER_INIT, DECODER_STEP, ENCODER, GraphInterface, interfaces_of
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.version import __version__
from cxrscribe_export.graphs.checked_graph import Graph, check
from cxrscribe_export.graphs.conversion import ConversionError, Traced, convert
from cxrscribe_export.graphs.folding import fold
from cxrscribe_export.graphs.naming import rename
from cxrscribe_export.graphs.networks import Encoding, decoder_networks
from cxrscribe_models import FilmEncoder, ReportDecoder


def graphs_of(
    encoder: FilmEncoder, decoder: ReportDecoder, architecture: Architecture, preprocessing: Preprocessing
) -> tuple[Graph, Graph, Graph]:
    """The fp32 graphs of a bundle: encoder, decoder_init and decoder_step.

    Raises:
        ConversionError: a network couldn't be converted, or the graph isn't what the bundle needs.
    """
    interfaces = interfaces_of(architecture, preprocessing)
    networks = (Encoding(encoder), *decoder_networks(decoder))
    names = (ENCODER, DECODER_INIT, DECODER_STEP)
    encoding, initial_state, step = graphs_from(
        [Traced(network, interfaces[name]) for network, name in zip(networks, names, strict=True)]
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

"""Bundles with a decoder of random weights, made in a moment: for what depends on sizes alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.contract import BEAM_INIT, BEAM_STEP, ENCODER, GraphInterface, interfaces_of
from cxrscribe.bundle.evidence import Provenance
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import SPECIAL_TOKENS, Vocabulary
from cxrscribe_export.graphs.checked_graph import Graph, write_graph
from cxrscribe_export.graphs.decoder_weights import DecoderWeights, LayerWeights
from cxrscribe_export.graphs.fusion import add_beam_step
from cxrscribe_export.graphs.graph_builder import GraphBuilder

_SIDE = 16


def write_random_decoder(folder: Path, architecture: Architecture, words: int) -> Path:
    """Write a bundle into the new folder `folder`, and give that back.

    Its decoder has the sizes of `architecture` but `words` words, its encoder next to none, and it has only
    the graphs that the runtime opens. Reports mean nothing and may go on for ever: force their length.
    """
    sizes = replace(architecture, vocabulary_size=words)
    preprocessing = Preprocessing(_SIDE, _SIDE)
    interfaces = interfaces_of(sizes, preprocessing)
    random = np.random.default_rng(0)
    models = {
        ENCODER: _encoder(interfaces[ENCODER], sizes, random),
        BEAM_INIT: _initial_state(interfaces[BEAM_INIT], sizes, random),
        BEAM_STEP: _step(interfaces[BEAM_STEP], sizes, random),
    }
    folder.mkdir()
    Manifest(
        producer="cxrscribe_bench",
        architecture=sizes,
        vocabulary=Vocabulary(
            (*SPECIAL_TOKENS, *(f"word{number}" for number in range(words - len(SPECIAL_TOKENS))))
        ),
        preprocessing=preprocessing,
        settings=BeamSettings(),
        files=tuple(write_graph(folder, Graph(interfaces[name], model)) for name, model in models.items()),
        parity=None,
        evaluation=None,
        provenance=Provenance("random weights of a benchmark", {}),
        licence="CC0-1.0",
        disclaimer="Words of a benchmark without meaning. Not for diagnostic use.",
    ).write(folder)
    return folder


def _encoder(interface: GraphInterface, sizes: Architecture, random: np.random.Generator) -> onnx.ModelProto:
    """The mean of each picture's rows, times a matrix: nobody asks for more."""
    graph = GraphBuilder()
    grey = graph.node("Cast", "image", to=onnx.TensorProto.FLOAT)
    mean = graph.node("ReduceMean", grey, axes=[1], keepdims=0)  # [N, W]
    weights = graph.constant(_weights(random, _SIDE, sizes.feature_size))
    graph.node("MatMul", mean, weights, name=interface.outputs[0].name)
    return graph.model(interface)


def _initial_state(
    interface: GraphInterface, sizes: Architecture, random: np.random.Generator
) -> onnx.ModelProto:
    """States in (-1, 1), as h is; one product where a real decoder has several small ones, once a report."""
    graph = GraphBuilder()
    weights = graph.constant(_weights(random, sizes.feature_size, 2 * sizes.layers * sizes.hidden_size))
    product = graph.node("MatMul", interface.inputs[0].name, weights)
    graph.node("Tanh", product, name=interface.outputs[0].name)
    return graph.model(interface)


def _step(interface: GraphInterface, sizes: Architecture, random: np.random.Generator) -> onnx.ModelProto:
    size, words = sizes.hidden_size, sizes.vocabulary_size
    inputs = (sizes.embedding_size, *[size] * (sizes.layers - 1))
    weights = DecoderWeights(
        embedding=_weights(random, words, sizes.embedding_size),
        layers=tuple(
            LayerWeights(
                _weights(random, below, 4 * size),
                _weights(random, size, 4 * size),
                np.zeros(4 * size, np.float32),
            )
            for below in inputs
        ),
        output=_weights(random, size, words),
        output_bias=np.zeros(words, np.float32),
    )
    graph = GraphBuilder()
    add_beam_step(graph, weights)
    return graph.model(interface)


def _weights(random: np.random.Generator, rows: int, columns: int) -> NDArray[np.float32]:
    """[rows, columns] of such a size that neither sums nor gates grow out of range."""
    drawn: NDArray[np.float32] = random.standard_normal((rows, columns), np.float32)
    return drawn * np.float32(2 / np.sqrt(rows))

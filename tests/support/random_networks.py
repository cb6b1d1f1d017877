"""Small random networks and their exports."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import paddle
from numpy.typing import NDArray

from cxrscribe.bundle.architecture import Architecture, ContextSizes
from cxrscribe.bundle.contract import decoder_init_interface, decoder_step_interface
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.patient_text import PatientText, terms_of
from cxrscribe_export.exporter import TrainedModel
from cxrscribe_export.graphs.canonical import graphs_from, graphs_of
from cxrscribe_export.graphs.checked_graph import Graph
from cxrscribe_export.graphs.conversion import Traced
from cxrscribe_export.graphs.networks import InitialState, Step
from cxrscribe_models import FilmEncoder, ReportDecoder, build_backbone
from cxrscribe_train.fitting.calibration import calibrate
from support.toy_model import toy_vocabulary

SIDE = 64
VOCABULARY_SIZE = 40


@dataclass(frozen=True)
class Exported:
    """A model and its graphs: encoder, decoder_init, decoder_step."""

    model: TrainedModel
    graphs: tuple[Graph, Graph, Graph]


@dataclass(frozen=True)
class ExportedDecoder:
    """A decoder of some number of layers and its graphs."""

    architecture: Architecture
    decoder: ReportDecoder
    initial_state: Graph
    step: Graph


def architecture_of(layers: int, feature_size: int = 256) -> Architecture:
    return Architecture(
        backbone="mobilenet_v1",
        backbone_options={"scale": 0.25},
        feature_size=feature_size,
        embedding_size=16,
        hidden_size=24,
        layers=layers,
        vocabulary_size=VOCABULARY_SIZE,
    )


def random_decoder(architecture: Architecture) -> ReportDecoder:
    """A decoder whose reports differ from film to film: weights larger than Paddle begins with."""
    paddle.seed(architecture.layers)
    decoder = ReportDecoder(architecture)
    for name, parameter in decoder.named_parameters():
        if not name.startswith("context."):
            parameter.set_value(parameter * 3.0 + 0.1 * paddle.randn(parameter.shape))
    decoder.eval()
    return decoder


def random_films(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth blobs and noise: uint8 [count, SIDE, SIDE]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 200, (count, 8, 8)).repeat(SIDE // 8, axis=1).repeat(SIDE // 8, axis=2)
    return (coarse + rng.integers(0, 56, (count, SIDE, SIDE))).astype(np.uint8)


def random_text(size: int, seed: int = 0) -> PatientText:
    """Knows the words of two indications, and their pairs."""
    terms = tuple(dict.fromkeys(terms_of("Chest pain. Cough, fever.")))
    projection = 3 * np.random.default_rng(seed).normal(size=(len(terms), size))
    return PatientText(terms, np.ones(len(terms), np.float32), projection.astype(np.float32))


def random_model(context: ContextSizes | None = None) -> TrainedModel:
    preprocessing = Preprocessing(SIDE, SIDE)
    paddle.seed(7)
    backbone = build_backbone("mobilenet_v1", {"scale": 0.25}, height=SIDE, width=SIDE)
    encoder = FilmEncoder(backbone, preprocessing.mean, preprocessing.std)
    calibrate(encoder, [paddle.to_tensor(random_films(32, seed=1))])
    encoder.eval()
    architecture = replace(architecture_of(layers=2, feature_size=encoder.feature_size), context=context)
    vocabulary = toy_vocabulary(VOCABULARY_SIZE)
    decoder = random_decoder(architecture)
    text = None if context is None else random_text(context.patient_size)
    return TrainedModel(architecture, preprocessing, vocabulary, encoder, decoder, text)


def export_model(context: ContextSizes | None = None) -> Exported:
    model = random_model(context)
    return Exported(model, graphs_of(model.encoder, model.decoder, model.architecture, model.preprocessing))


def export_decoders() -> dict[int, ExportedDecoder]:
    """Decoders of 1, 2 and 3 layers by number of layers, converted in one child process."""
    networks: list[Traced] = []
    decoders = {}
    for layers in (1, 2, 3):
        architecture = architecture_of(layers, feature_size=20)
        decoder = random_decoder(architecture)
        decoders[layers] = (architecture, decoder)
        sizes = (layers, architecture.hidden_size)
        networks += [
            Traced(InitialState(decoder), decoder_init_interface(architecture.feature_size, *sizes)),
            Traced(Step(decoder), decoder_step_interface(*sizes, VOCABULARY_SIZE)),
        ]
    graphs = graphs_from(networks)
    return {
        layers: ExportedDecoder(*decoders[layers], *graphs[2 * place : 2 * place + 2])
        for place, layers in enumerate(decoders)
    }

"""The contract of a bundle's graphs: their names, and what each takes and gives.

Export makes graphs that keep to it, the runtime refuses graphs that don't.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.files import TensorEntry
from cxrscribe.films.preprocess import Preprocessing

FILM_AXIS: Final = "N"
ROW_AXIS: Final = "R"

ENCODER: Final = "encoder.onnx"
DECODER_INIT: Final = "decoder_init.onnx"
DECODER_STEP: Final = "decoder_step.onnx"
BEAM_INIT: Final = "beam_init.onnx"
BEAM_STEP: Final = "beam_step.onnx"
"""Names of the graphs' files; at another precision than fp32 they lie in a folder of its name."""
PATIENT_TEXT: Final = "patient_text.json"
"""How the patient's text becomes numbers; in bundles of models with a context."""


@dataclass(frozen=True)
class GraphInterface:
    """Inputs and outputs of one graph, in order."""

    name: str
    """Of its file: `encoder.onnx`."""
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]

    def __post_init__(self) -> None:
        names = [tensor.name for tensor in (*self.inputs, *self.outputs)]
        if len(set(names)) != len(names):
            raise ValueError(f"graph {self.name!r} uses a name twice among {names}")

    @property
    def stem(self) -> str:
        """What the graph calls itself: `encoder`."""
        return self.name.removesuffix(".onnx")


def encoder_interface(height: int, width: int, feature_size: int) -> GraphInterface:
    """Grey films uint8 [N, height, width] -> features float32 [N, feature_size]."""
    return GraphInterface(
        ENCODER,
        inputs=(TensorEntry("image", "uint8", (FILM_AXIS, height, width)),),
        outputs=(TensorEntry("features", "float32", (FILM_AXIS, feature_size)),),
    )


def decoder_init_interface(
    feature_size: int, layers: int, hidden_size: int, patient_size: int = 0
) -> GraphInterface:
    """Features float32 [N, F] -> hidden and cell float32 [L, N, D], the state after the image.

    Where the model has a context, patient_size is not 0: patient float32 [N, P] comes in too, and context
    float32 [N, 4 * D] out, which every step adds to the first layer's gates.
    """
    state = (layers, FILM_AXIS, hidden_size)
    return GraphInterface(
        DECODER_INIT,
        inputs=_start(feature_size, patient_size),
        outputs=(
            TensorEntry("hidden", "float32", state),
            TensorEntry("cell", "float32", state),
            *((TensorEntry("context", "float32", (FILM_AXIS, 4 * hidden_size)),) if patient_size else ()),
        ),
    )


def decoder_step_interface(
    layers: int, hidden_size: int, vocabulary_size: int, gates_size: int = 0
) -> GraphInterface:
    """Token int64 [R], hidden and cell [L, R, D] -> log_probs [R, V], hidden_out and cell_out [L, R, D].

    Where the model has a context, gates_size is 4 * D, and context float32 [R, 4 * D] comes in too.
    """
    state = (layers, ROW_AXIS, hidden_size)
    return GraphInterface(
        DECODER_STEP,
        inputs=(
            TensorEntry("token", "int64", (ROW_AXIS,)),
            TensorEntry("hidden", "float32", state),
            TensorEntry("cell", "float32", state),
            *((TensorEntry("context", "float32", (ROW_AXIS, gates_size)),) if gates_size else ()),
        ),
        outputs=(
            TensorEntry("log_probs", "float32", (ROW_AXIS, vocabulary_size)),
            TensorEntry("hidden_out", "float32", state),
            TensorEntry("cell_out", "float32", state),
        ),
    )


def beam_init_interface(
    feature_size: int, layers: int, hidden_size: int, patient_size: int = 0
) -> GraphInterface:
    """Features float32 [N, F] -> state float32 [N, 2 * L * D], rows of `beam_step_interface`'s state.

    Where the model has a context, patient_size is not 0: patient float32 [N, P] comes in too, and a row of
    state has the 4 * D numbers behind it that every step adds to the first layer's gates.
    """
    state = 2 * layers * hidden_size + (4 * hidden_size if patient_size else 0)
    return GraphInterface(
        BEAM_INIT,
        inputs=_start(feature_size, patient_size),
        outputs=(TensorEntry("state", "float32", (FILM_AXIS, state)),),
    )


def beam_step_interface(
    layers: int, hidden_size: int, vocabulary_size: int, gates_size: int = 0
) -> GraphInterface:
    """The fused step: B images of K hypothesis rows each, R = B * K, from S rows of state.

    token and parent int64 [R], score float32 [R, 1], state float32 [S, 2 * L * D], bias float32 [Q, V] where
    Q is 1 or R, beam_width int64 scalar -> candidate_score float32, candidate_index int64 and
    candidate_log_prob float32, each [B, M] with M = min(2K, K * V), and state_out float32 [R, 2 * L * D].

    Where the model has a context, gates_size is 4 * D: so many numbers more are in a row of state, which are
    added to the first layer's gates and go on to state_out as they are.
    """
    state = 2 * layers * hidden_size + gates_size
    return GraphInterface(
        BEAM_STEP,
        inputs=(
            TensorEntry("token", "int64", (ROW_AXIS,)),
            TensorEntry("parent", "int64", (ROW_AXIS,)),
            TensorEntry("score", "float32", (ROW_AXIS, 1)),
            TensorEntry("state", "float32", ("S", state)),
            TensorEntry("bias", "float32", ("Q", vocabulary_size)),
            TensorEntry("beam_width", "int64", ()),
        ),
        outputs=(
            TensorEntry("candidate_score", "float32", ("B", "M")),
            TensorEntry("candidate_index", "int64", ("B", "M")),
            TensorEntry("candidate_log_prob", "float32", ("B", "M")),
            TensorEntry("state_out", "float32", (ROW_AXIS, state)),
        ),
    )


def decoder_interfaces(architecture: Architecture) -> dict[str, GraphInterface]:
    """The interfaces of the decoder's graphs, canonical and fused, by the names of their files."""
    features, words = architecture.feature_size, architecture.vocabulary_size
    layers, hidden_size = architecture.layers, architecture.hidden_size
    patient, gates = architecture.patient_size, architecture.gates_size
    interfaces = (
        decoder_init_interface(features, layers, hidden_size, patient),
        decoder_step_interface(layers, hidden_size, words, gates),
        beam_init_interface(features, layers, hidden_size, patient),
        beam_step_interface(layers, hidden_size, words, gates),
    )
    return {interface.name: interface for interface in interfaces}


def interfaces_of(architecture: Architecture, preprocessing: Preprocessing) -> dict[str, GraphInterface]:
    """The interfaces of all graphs of a bundle, by the names of their files."""
    encoder = encoder_interface(preprocessing.height, preprocessing.width, architecture.feature_size)
    return {encoder.name: encoder, **decoder_interfaces(architecture)}


def _start(feature_size: int, patient_size: int) -> tuple[TensorEntry, ...]:
    """What a search starts from."""
    return (
        TensorEntry("features", "float32", (FILM_AXIS, feature_size)),
        *((TensorEntry("patient", "float32", (FILM_AXIS, patient_size)),) if patient_size else ()),
    )

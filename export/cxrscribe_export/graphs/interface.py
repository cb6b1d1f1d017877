"""What the graphs of a bundle take and give: names, axes and element types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.films.preprocess import Preprocessing

FILM_AXIS: Final = "N"
ROW_AXIS: Final = "R"

ENCODER: Final = "encoder"
DECODER_INIT: Final = "decoder_init"
DECODER_STEP: Final = "decoder_step"
BEAM_INIT: Final = "beam_init"
BEAM_STEP: Final = "beam_step"

ElementType = Literal["uint8", "int64", "float32"]


@dataclass(frozen=True)
class Port:
    """One input or output of a graph. An axis is its length, or its name where the length is free."""

    name: str
    element_type: ElementType
    axes: tuple[int | str, ...]


@dataclass(frozen=True)
class GraphInterface:
    """Inputs and outputs of one graph, in order. Its file is `<name>.onnx`."""

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def __post_init__(self) -> None:
        names = [port.name for port in (*self.inputs, *self.outputs)]
        if len(set(names)) != len(names):
            raise ValueError(f"graph {self.name!r} uses a name twice among {names}")

    @property
    def file_name(self) -> str:
        """Name of the graph's file inside a bundle."""
        return f"{self.name}.onnx"


def encoder_interface(height: int, width: int, feature_size: int) -> GraphInterface:
    """Grey films uint8 [N, height, width] -> features float32 [N, feature_size]."""
    return GraphInterface(
        ENCODER,
        inputs=(Port("image", "uint8", (FILM_AXIS, height, width)),),
        outputs=(Port("features", "float32", (FILM_AXIS, feature_size)),),
    )


def decoder_init_interface(feature_size: int, layers: int, hidden_size: int) -> GraphInterface:
    """Features float32 [N, F] -> hidden and cell float32 [L, N, D], the state after the image."""
    state = (layers, FILM_AXIS, hidden_size)
    return GraphInterface(
        DECODER_INIT,
        inputs=(Port("features", "float32", (FILM_AXIS, feature_size)),),
        outputs=(Port("hidden", "float32", state), Port("cell", "float32", state)),
    )


def decoder_step_interface(layers: int, hidden_size: int, vocabulary_size: int) -> GraphInterface:
    """Token int64 [R], hidden and cell [L, R, D] -> log_probs [R, V], hidden_out and cell_out [L, R, D]."""
    state = (layers, ROW_AXIS, hidden_size)
    return GraphInterface(
        DECODER_STEP,
        inputs=(
            Port("token", "int64", (ROW_AXIS,)),
            Port("hidden", "float32", state),
            Port("cell", "float32", state),
        ),
        outputs=(
            Port("log_probs", "float32", (ROW_AXIS, vocabulary_size)),
            Port("hidden_out", "float32", state),
            Port("cell_out", "float32", state),
        ),
    )


def beam_init_interface(feature_size: int, layers: int, hidden_size: int) -> GraphInterface:
    """Features float32 [N, F] -> state float32 [N, 2 * L * D], rows of `beam_step_interface`'s state."""
    return GraphInterface(
        BEAM_INIT,
        inputs=(Port("features", "float32", (FILM_AXIS, feature_size)),),
        outputs=(Port("state", "float32", (FILM_AXIS, 2 * layers * hidden_size)),),
    )


def beam_step_interface(layers: int, hidden_size: int, vocabulary_size: int) -> GraphInterface:
    """The fused step: B images of K hypothesis rows each, R = B * K, from S rows of state.

    token and parent int64 [R], score float32 [R, 1], state float32 [S, 2 * L * D], bias float32 [Q, V] where
    Q is 1 or R, beam_width int64 scalar -> candidate_score float32, candidate_index int64 and
    candidate_log_prob float32, each [B, M] with M = min(2K, K * V), and state_out float32 [R, 2 * L * D].
    """
    state = 2 * layers * hidden_size
    return GraphInterface(
        BEAM_STEP,
        inputs=(
            Port("token", "int64", (ROW_AXIS,)),
            Port("parent", "int64", (ROW_AXIS,)),
            Port("score", "float32", (ROW_AXIS, 1)),
            Port("state", "float32", ("S", state)),
            Port("bias", "float32", ("Q", vocabulary_size)),
            Port("beam_width", "int64", ()),
        ),
        outputs=(
            Port("candidate_score", "float32", ("B", "M")),
            Port("candidate_index", "int64", ("B", "M")),
            Port("candidate_log_prob", "float32", ("B", "M")),
            Port("state_out", "float32", (ROW_AXIS, state)),
        ),
    )


def interfaces_of(architecture: Architecture, preprocessing: Preprocessing) -> dict[str, GraphInterface]:
    """The interfaces of all graphs of a bundle, by name."""
    features, words = architecture.feature_size, architecture.vocabulary_size
    layers, hidden_size = architecture.layers, architecture.hidden_size
    interfaces = (
        encoder_interface(preprocessing.height, preprocessing.width, features),
        decoder_init_interface(features, layers, hidden_size),
        decoder_step_interface(layers, hidden_size, words),
        beam_init_interface(features, layers, hidden_size),
        beam_step_interface(layers, hidden_size, words),
    )
    return {interface.name: interface for interface in interfaces}

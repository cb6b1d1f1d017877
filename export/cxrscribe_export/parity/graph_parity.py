"""Each graph held against its Paddle network: every output, every layer's state, on real films."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.contract import GraphInterface
from cxrscribe.bundle.evidence import OutputParity
from cxrscribe.errors import InputError
from cxrscribe.search.step import State, StepModel
from cxrscribe.vocabulary import START
from cxrscribe_export.graphs.checked_graph import Graph
from cxrscribe_export.graphs.runner import GraphRunner, GraphStep
from cxrscribe_export.parity.parity_error import largest_difference
from cxrscribe_models import FilmEncoder
from cxrscribe_train.features import encode_batch

BATCH_ROWS: Final = (1, 5, 160)
"""Batch sizes that are compared."""
WALK_STEPS: Final = 24
"""Steps that the decoder walks, so that states in the middle of reports are compared too."""
_WORDS_TRIED: Final = 4


@dataclass(frozen=True)
class Tolerances:
    """Largest absolute differences from Paddle that an export may have, finite and above 0.

    Raises InputError otherwise.

    A convolutional network adds up far more products than one step of the decoder does; hence two values.
    """

    features: float = 1e-3
    """Of the encoder's output."""
    decoder: float = 1e-4
    """Of log_probs and states, and of a whole report's log_prob."""

    def __post_init__(self) -> None:
        for name in ("features", "decoder"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InputError(f"the tolerance of {name} is {value}; give a finite number above 0")


def encoder_parity(
    encoder: FilmEncoder, graph: Graph, films: NDArray[np.uint8], tolerance: float
) -> tuple[OutputParity, ...]:
    """Compare features of real films.

    Args:
        encoder: the reference, in eval mode.
        graph: its export.
        films: uint8 [M, H, W], at least one; used again in turn where a batch needs more.
        tolerance: what any feature may differ by.
    """
    runner = GraphRunner(graph.model)
    records = []
    for rows in BATCH_ROWS:
        batch = films[np.arange(rows) % len(films)]
        difference = largest_difference(encode_batch(encoder, batch), runner.run(batch)[0])
        records.append(_record(graph.interface, "features", rows, difference, tolerance))
    return tuple(records)


def decoder_parity(
    reference: StepModel,
    initial_state: Graph,
    step: Graph,
    features: NDArray[np.float32],
    tolerance: float,
) -> tuple[OutputParity, ...]:
    """Compare the state after the image, and `WALK_STEPS` steps from there, layer by layer.

    Args:
        reference: Paddle's decoder.
        initial_state: its export.
        step: its export.
        features: what searches start from, float32 [M, F] or [M, F + P], at least one row; used again in turn
            where a batch needs more.
        tolerance: what any number may differ by.
    """
    exported = GraphStep(initial_state, step)
    records = []
    for rows in BATCH_ROWS:
        batch = np.ascontiguousarray(features[np.arange(rows) % len(features)])
        state = reference.initial_state(batch)
        differences = _state_differences(state, exported.initial_state(batch), ("hidden", "cell"))
        records += [
            _record(initial_state.interface, name, rows, value, tolerance)
            for name, value in differences.items()
        ]
        differences = _walk_differences(reference, exported, state)
        records += [
            _record(step.interface, name, rows, value, tolerance) for name, value in differences.items()
        ]
    return tuple(records)


def _walk_differences(reference: StepModel, exported: StepModel, state: State) -> dict[str, float]:
    """Largest differences over a walk in which both take the reference's state and words at each step."""
    largest: dict[str, float] = {}
    rows = len(state)
    tokens = np.full(rows, START, dtype=np.int64)
    for _ in range(WALK_STEPS):
        log_probs, next_state = reference.step(tokens, state)
        other_log_probs, other_state = exported.step(tokens, state)
        differences = {"log_probs": largest_difference(log_probs, other_log_probs)}
        differences |= _state_differences(next_state, other_state, ("hidden_out", "cell_out"))
        largest = {name: max(value, largest.get(name, 0.0)) for name, value in differences.items()}
        tokens, state = _next_words(log_probs), next_state
    return largest


def _next_words(log_probs: NDArray[np.float32]) -> NDArray[np.int64]:
    """Likely words int64 [R]: the best, the second best ... in turn, so that equal films part ways."""
    rows = np.arange(len(log_probs))
    best_first = np.argsort(-log_probs, axis=1, kind="stable")[:, :_WORDS_TRIED]
    return best_first[rows, rows % best_first.shape[1]].astype(np.int64)


def _state_differences(state: State, other: State, names: tuple[str, str]) -> dict[str, float]:
    differences = {
        f"{name}[{layer}]": largest_difference(mine[layer], theirs[layer])
        for name, mine, theirs in zip(
            names, (state.hidden, state.cell), (other.hidden, other.cell), strict=True
        )
        for layer in range(mine.shape[0])
    }
    if "hidden" in names and state.context is not None and other.context is not None:
        differences["context"] = largest_difference(state.context, other.context)
    return differences


def _record(
    interface: GraphInterface, output: str, rows: int, difference: float, tolerance: float
) -> OutputParity:
    return OutputParity(interface.name, output, rows, difference, tolerance)

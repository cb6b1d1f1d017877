"""The fused graphs of a bundle, held against its canonical ones along the steps of a search."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.evidence import OutputParity
from cxrscribe.search.step import State
from cxrscribe.vocabulary import START
from cxrscribe_export.graphs.checked_graph import Graph
from cxrscribe_export.graphs.runner import GraphRunner, GraphStep, rows_of, starts_of
from cxrscribe_export.parity.parity_error import largest_difference

BATCHES: Final = ((1, 1), (1, 5), (32, 5))
"""Images and hypotheses of each that are compared."""
WALK_STEPS: Final = 8
"""Steps, each from the states that the one before left."""


def fused_parity(
    canonical: tuple[Graph, Graph],
    fused: tuple[Graph, Graph],
    features: NDArray[np.float32],
    tolerance: float,
) -> tuple[OutputParity, ...]:
    """Hold the fused graphs against the canonical ones: initial states, then steps along the best candidates.

    A candidate's score is compared with the one in its place and with the one that its index names.

    Args:
        canonical: decoder_init and decoder_step.
        fused: beam_init and beam_step.
        features: what searches start from, float32 [M, F] or [M, F + P], at least one row; used again in turn
            where a batch needs more.
        tolerance: what any number may differ by.
    """
    reference = GraphStep(*canonical)
    beam_init, beam_step = (GraphRunner(graph.model) for graph in fused)
    paths = [graph.interface.name for graph in fused]
    largest: dict[tuple[str, str, int], float] = {}
    for images, places in BATCHES:
        batch = np.ascontiguousarray(features[np.arange(images) % len(features)])
        state = reference.initial_state(batch)
        difference = largest_difference(rows_of(state), beam_init.run(*starts_of(fused[0], batch))[0])
        _keep_largest(largest, (paths[0], "state", images), difference)
        start = state.take(np.arange(images, dtype=np.int64).repeat(places))
        for found in _walk(reference, beam_step, start, images, places):
            for name, difference in found.items():
                _keep_largest(largest, (paths[1], name, images * places), difference)
    return tuple(
        OutputParity(path, name, rows, difference, tolerance)
        for (path, name, rows), difference in sorted(largest.items())
    )


def _keep_largest(
    largest: dict[tuple[str, str, int], float], key: tuple[str, str, int], difference: float
) -> None:
    largest[key] = max(difference, largest.get(key, 0.0))


def _walk(
    reference: GraphStep, fused: GraphRunner, state: State, images: int, places: int
) -> Iterator[dict[str, float]]:
    """Differences at each step. Both take the reference's state; its best candidates are the next rows."""
    rows = images * places
    tokens = np.full(rows, START, dtype=np.int64)
    parents = np.arange(rows, dtype=np.int64)
    score = np.zeros((rows, 1), np.float32)
    for _ in range(WALK_STEPS):
        log_probs, next_state = reference.step(tokens, state.take(parents))
        words = log_probs.shape[1]
        bias = np.zeros((1, words), np.float32)
        found, index, own, state_out = fused.run(
            tokens, parents, score, rows_of(state), bias, np.array(places, np.int64)
        )
        totals = (log_probs + score).reshape(images, -1)  # [B, K * V]
        best = -np.sort(-totals, axis=1)[:, : found.shape[1]]
        yield {
            "candidate_score": max(
                largest_difference(best, found),
                largest_difference(np.take_along_axis(totals, index, axis=1), found),
            ),
            "candidate_log_prob": largest_difference(
                np.take_along_axis(log_probs.reshape(images, -1), index, axis=1), own
            ),
            "state_out": largest_difference(rows_of(next_state), state_out),
        }
        rank, token = np.divmod(index[:, :places], words)  # [B, K]
        parents = (rank + places * np.arange(images)[:, np.newaxis]).reshape(-1).astype(np.int64)
        tokens = token.reshape(-1).astype(np.int64)
        score = np.ascontiguousarray(found[:, :places]).reshape(-1, 1)
        state = next_state

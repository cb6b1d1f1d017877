"""From a frontier to its best candidates, one unfused decoder step at a time."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from cxrscribe.search.expander import Candidates, Frontier
from cxrscribe.search.step import State, StepModel


class StepExpander:
    """Expands with a StepModel: the network's part is one step, the rest is numpy.

    Only rows that hold a hypothesis are computed, packed together.
    """

    def __init__(self, model: StepModel) -> None:
        self._model = model
        self._waiting: list[State] = []
        self._state: State | None = None
        self._packed = np.zeros(0, np.int64)  # row of the last frontier, or image since -> row of the state
        self.rows = 0
        self.seconds = 0.0

    def enqueue(self, features: NDArray[np.float32]) -> None:
        started = perf_counter()
        self._waiting.append(self._model.initial_state(features))
        self.seconds += perf_counter() - started

    def admit(self, count: int) -> None:
        waiting = State.concatenate(self._waiting)
        numbers = np.arange(len(waiting))
        entering = waiting.take(numbers[:count])
        self._waiting = [waiting.take(numbers[count:])]
        held = 0 if self._state is None else len(self._state)
        self._state = entering if self._state is None else State.concatenate([self._state, entering])
        self._packed = np.concatenate((self._packed, held + numbers[:count]))

    def expand(self, frontier: Frontier) -> Candidates:
        assert self._state is not None
        live = np.flatnonzero(frontier.score > -np.inf)  # [R]
        state = self._state.take(self._packed[frontier.parent[live]])
        started = perf_counter()
        log_probs, self._state = self._model.step(frontier.token[live], state)
        self.seconds += perf_counter() - started
        self._packed = np.zeros(frontier.score.size, np.int64)
        self._packed[live] = np.arange(len(live))
        self.rows = len(live)
        return best_candidates(_all_rows(log_probs, live, frontier.score.size), frontier)

    def clear(self) -> None:
        self._waiting = []
        self._state = None
        self._packed = np.zeros(0, np.int64)


def best_candidates(log_probs: NDArray[np.float32], frontier: Frontier) -> Candidates:
    """The 2K best words of each image (docs/decoding.md, rule 5): equal ones by lower index.

    `log_probs`: [A * K, V] of the frontier's rows. Sums are float32: score + (log_prob + bias).
    """
    images, places = frontier.score.shape
    words = log_probs.shape[1]
    is_nan = ~(log_probs < np.inf)  # or above every number, which is no better
    has_nan: NDArray[np.bool_] = np.logical_or.reduce(is_nan.reshape(images, -1), axis=1)
    if has_nan.any():  # NaN has no place in an order
        log_probs = np.where(is_nan, np.float32(-np.inf), log_probs)
    sums = frontier.score.reshape(-1, 1) + (log_probs + frontier.bias)
    index = _top(sums.reshape(images, places * words), min(2 * places, places * words))
    score = np.take_along_axis(sums.reshape(images, -1), index, axis=1)
    score[has_nan] = np.nan
    token_log_prob = np.take_along_axis(log_probs.reshape(images, -1), index, axis=1)
    return Candidates(score, index, token_log_prob)


def _all_rows(log_probs: NDArray[np.float32], live: NDArray[np.intp], rows: int) -> NDArray[np.float32]:
    """Put packed rows [R, V] back to their places among all rows [A * K, V]; -inf elsewhere."""
    if len(live) == rows:
        return log_probs
    everywhere = np.full((rows, log_probs.shape[1]), -np.inf, np.float32)
    everywhere[live] = log_probs
    return everywhere


def _top(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Indices [A, count] of the largest of `values` [A, n], largest first, equal ones by lower index.

    A full stable sort says the same, at several times the cost.
    """
    images, length = values.shape
    least = np.partition(values, length - count, axis=1)[:, length - count, None]  # count-th largest
    above = values > least
    level = values == least
    room = count - above.sum(axis=1, keepdims=True)
    chosen = above | (level & (np.cumsum(level, axis=1) <= room))
    index = np.nonzero(chosen)[1].reshape(images, count)
    order = np.argsort(-np.take_along_axis(values, index, axis=1), axis=1, kind="stable")
    ranked: NDArray[np.int64] = np.take_along_axis(index, order, axis=1)
    return ranked

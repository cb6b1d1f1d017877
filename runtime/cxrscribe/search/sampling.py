"""Samples of reports, drawn word by word: the bookkeeping over a whole batch, as numpy arrays.

One sample is one row, and the rows of all images share each step of the network. An image enters whenever
there is room and leaves when its last sample has ended. R is the number of rows that still grow, V the number
of words. The rules are those of docs/decoding.md, "Samples".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.search.beam import Outcome
from cxrscribe.search.consensus import agreements
from cxrscribe.search.constraints import NO_WORD, Constraints, Mask
from cxrscribe.search.draws import as_fraction, draw_words, number, stream_of
from cxrscribe.search.hypotheses import Hypothesis
from cxrscribe.search.step import State, StepModel
from cxrscribe.settings import CONSENSUS, BeamSettings
from cxrscribe.vocabulary import END, START, Vocabulary

_ROW: Final = np.dtype(
    [
        ("image", np.int64),
        ("sample", np.int64),  # from 0, in its image
        ("stream", np.uint64),  # where its random numbers start
        ("limits", np.int64),  # row in the table of constraints
        ("temperature", np.float64),
        ("top_k", np.int64),
        ("max_length", np.int64),
        ("steps", np.int64),  # words so far
        ("token", np.int64),  # the last one
        ("log_prob", np.float32),
    ]
)
_Rows = np.ndarray[Any, np.dtype[np.void]]


@dataclass
class _Image:
    settings: BeamSettings
    left: int
    """Samples that still grow."""
    has_nan: bool = False
    ended: list[tuple[int, Hypothesis]] = field(default_factory=list)
    """By number of the sample; those that had no word to go on with are missing."""
    steps: int = 0


class SampleSearch:
    """Draws samples of up to any number of images at a time.

    search = SampleSearch(model, vocabulary)
    search.enqueue(features, [settings])
    search.admit([(0, settings)])
    while len(search):
        for outcome in search.advance():
            print(outcome.image, outcome.hypotheses)
    """

    def __init__(self, model: StepModel, vocabulary: Vocabulary, padded_rows: int = 0) -> None:
        """`padded_rows`: give every call of the network exactly so many rows, used or not; 0: as they are."""
        self._model = model
        self._vocabulary_size = len(vocabulary)
        self._padded_rows = padded_rows
        self._constraints = Constraints(vocabulary)
        self._mask = Mask()
        self._waiting: list[tuple[State, list[int]]] = []  # states, and where the random numbers start
        self._images: dict[int, _Image] = {}
        self._state: State | None = None  # R rows
        self._rows: _Rows = np.zeros(0, _ROW)
        self._words = np.zeros((0, 0), np.int64)  # [R, T], filled up with NO_WORD
        self._log_probs = np.zeros((0, 0), np.float32)  # [R, T]
        self.rows = 0
        """That the last step computed."""
        self.seconds = 0.0
        """That the network has taken so far, initial states included."""

    def __len__(self) -> int:
        """How many images are drawn for."""
        return len(self._images)

    def enqueue(self, features: NDArray[np.float32], settings: Sequence[BeamSettings]) -> None:
        """Let images wait: compute their initial states from features float32 [n, F]."""
        streams = [stream_of(row, each.seed) for row, each in zip(features, settings, strict=True)]
        count = len(features)
        started = perf_counter()
        parts = [self._model.initial_state(features[rows]) for rows in self._calls(count)]
        self.seconds += perf_counter() - started
        self._waiting.append((_first(parts, count), streams))

    def admit(self, images: Sequence[tuple[int, BeamSettings]]) -> None:
        """Let the images that wait longest enter, each with a number to call it by.

        Raises SettingsError where a banned word isn't in the vocabulary.
        """
        states, streams = self._longest_waiting(len(images))
        self._know([_limits(settings) for _, settings in images])
        samples = [settings.samples for _, settings in images]
        place = np.repeat(np.arange(len(images)), samples)  # of its image, for each new row
        rows = np.zeros(len(place), _ROW)
        rows["image"] = np.array([image for image, _ in images])[place]
        rows["sample"] = np.concatenate([np.arange(count) for count in samples])
        rows["stream"] = number(np.array(streams, np.uint64)[place], rows["sample"])
        for name in ("temperature", "top_k", "max_length"):
            rows[name] = np.array([getattr(settings, name) for _, settings in images])[place]
        rows["token"] = START
        entering = states.take(place)
        self._state = entering if self._state is None else State.concatenate([self._state, entering])
        self._rows = np.concatenate((self._rows, rows))
        longest = max(self._words.shape[1], int(rows["max_length"].max()))
        self._words = _grown(self._words, len(self._rows), longest, NO_WORD)
        self._log_probs = _grown(self._log_probs, len(self._rows), longest, 0)
        for image, settings in images:
            self._images[image] = _Image(settings, settings.samples)
        self._find_limits()

    def advance(self) -> list[Outcome]:
        """Draw the next word of each sample; give the images whose last sample has ended."""
        rows = self._rows
        numbers = as_fraction(number(rows["stream"], rows["steps"]))
        bias = self._bias()
        drawn = draw_words(self._step(rows["token"]), bias, rows["temperature"], rows["top_k"], numbers)
        here = np.arange(len(rows))
        self._words[here, rows["steps"]] = rows["token"] = drawn.word
        self._log_probs[here, rows["steps"]] = drawn.log_prob
        rows["log_prob"] += drawn.log_prob
        rows["steps"] += 1
        over = (drawn.word == END) | (rows["steps"] >= rows["max_length"])
        over |= ~(rows["log_prob"] > -np.inf)  # no word was allowed, or NaN
        if not np.count_nonzero(over):
            return []
        for row in np.flatnonzero(over).tolist():
            self._end(row)
        ended = [number for number, image in self._images.items() if not image.left or image.has_nan]
        if any(self._images[number].has_nan for number in ended):
            over |= np.isin(rows["image"], ended)
        self._keep(~over)
        return [self._outcome(number) for number in ended]

    def drop(self, image: int) -> bool:
        """Let an image go in the midst of it; whether it was drawn for."""
        if self._images.pop(image, None) is None:
            return False
        self._keep(self._rows["image"] != image)
        return True

    def clear(self) -> None:
        """Forget all images."""
        self._waiting = []
        self._images = {}
        self._state = None
        self._rows = self._rows[:0]
        self._words = np.zeros((0, 0), np.int64)
        self._log_probs = np.zeros((0, 0), np.float32)

    def _longest_waiting(self, count: int) -> tuple[State, list[int]]:
        waiting = State.concatenate([state for state, _ in self._waiting])
        streams = [start for _, starts in self._waiting for start in starts]
        numbers = np.arange(len(waiting))
        self._waiting = [(waiting.take(numbers[count:]), streams[count:])]
        return waiting.take(numbers[:count]), streams[:count]

    def _step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Log-probabilities [R, V] of the next word; the states go on."""
        assert self._state is not None
        parts, states = [], []
        self.rows = 0
        for rows in self._calls(len(tokens)):
            state = self._state if len(rows) == len(tokens) else self._state.take(rows)
            started = perf_counter()
            log_probs, state = self._model.step(tokens[rows], state)
            self.seconds += perf_counter() - started
            parts.append(log_probs)
            states.append(state)
            self.rows += len(rows)
        self._state = _first(states, len(tokens))
        return parts[0] if len(parts[0]) == len(tokens) else np.concatenate(parts)[: len(tokens)]

    def _calls(self, rows: int) -> list[NDArray[np.intp]]:
        """Which rows each call of the network computes; the last row fills the last call up."""
        size = self._padded_rows or rows
        return [
            np.minimum(np.arange(start, start + size), max(rows - 1, 0)) for start in range(0, rows, size)
        ]

    def _bias(self) -> NDArray[np.float32]:
        if self._constraints.same_mask:
            return self._constraints.one_mask
        rows = self._rows
        limits, steps = np.ascontiguousarray(rows["limits"]), np.ascontiguousarray(rows["steps"])
        return self._mask.of(self._constraints, limits, steps, 1, self._words[:, None])

    def _end(self, row: int) -> None:
        """Take down what became of a sample."""
        rows = self._rows
        image = self._images[int(rows["image"][row])]
        image.left -= 1
        steps, log_prob = int(rows["steps"][row]), float(rows["log_prob"][row])
        image.steps = max(image.steps, steps)
        if not log_prob > -np.inf:
            image.has_nan |= log_prob != -np.inf
            return
        words = self._words[row, :steps].tolist()
        finished = words[-1] == END
        score = log_prob / float(steps) ** image.settings.length_penalty
        log_probs = self._log_probs[row, :steps].tolist()
        found = Hypothesis(words[:-1] if finished else words, log_probs, log_prob, score, finished)
        image.ended.append((int(rows["sample"][row]), found))

    def _outcome(self, number: int) -> Outcome:
        image = self._images.pop(number)
        if image.has_nan:
            return Outcome(number, image.settings, [], True, image.steps)
        if image.settings.decoding == CONSENSUS and image.ended:
            reports = [hypothesis.words for _, hypothesis in image.ended]
            agreed = agreements(reports, self._vocabulary_size).tolist()
            image.ended = [
                (sample, hypothesis._replace(score=score))
                for (sample, hypothesis), score in zip(image.ended, agreed, strict=True)
            ]
        ranked = sorted(image.ended, key=lambda each: (not each[1].finished, -each[1].score, each[0]))
        found = [hypothesis for _, hypothesis in ranked[: image.settings.n_best]]
        return Outcome(number, image.settings, found, False, image.steps)

    def _keep(self, wanted: NDArray[np.bool_]) -> None:
        """Let all other rows go."""
        assert self._state is not None
        rows = np.flatnonzero(wanted)
        self._state = self._state.take(rows) if len(rows) else None
        self._rows = self._rows[rows]
        self._words = self._words[rows]
        self._log_probs = self._log_probs[rows]

    def _know(self, limits: Sequence[BeamSettings]) -> None:
        """See that these have a row in the table of constraints."""
        if all(each in self._constraints for each in limits):
            return
        # Rows that nobody uses are dropped, lest the table grow with the number of images.
        held = [_limits(image.settings) for image in self._images.values()]
        self._constraints.set_rows([*held, *limits])

    def _find_limits(self) -> None:
        """Let rows point to their limits in the table, which may have been made anew."""
        constraints = self._constraints
        place = {
            number: constraints.first_entry_of(_limits(image.settings)) // constraints.stride
            for number, image in self._images.items()
        }
        self._rows["limits"] = [place[image] for image in self._rows["image"].tolist()]


@lru_cache(maxsize=256)
def _limits(settings: BeamSettings) -> BeamSettings:
    """What forbids words: settings that differ in other things share a row of the table."""
    return BeamSettings(
        max_length=settings.max_length,
        min_length=settings.min_length,
        no_repeat_ngram=settings.no_repeat_ngram,
        banned_words=settings.banned_words,
    )


def _first(parts: Sequence[State], rows: int) -> State:
    """The first rows of these states together."""
    whole = State.concatenate(parts)
    return whole if len(whole) == rows else whole.take(np.arange(rows))


def _grown(array: NDArray[Any], rows: int, columns: int, fill: int) -> NDArray[Any]:
    """The array with more rows and columns, filled with a value."""
    grown = np.full((rows, columns), fill, array.dtype)
    grown[: array.shape[0], : array.shape[1]] = array
    return grown

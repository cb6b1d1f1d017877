"""Exact beam search by the rules of docs/decoding.md: the bookkeeping over a whole batch, as numpy arrays.

Nothing here runs a network. A search says which rows to expand (`frontier`), somebody expands them, and the
search takes the best candidates back (`advance`). Images enter whenever there is room (`admit`) and leave
when their own search is over, each at its own step and under its own settings. A is the number of images that
are searched for, K the largest beam width among them, V the number of words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxrscribe.search.constraints import Constraints, Mask, Prefixes
from cxrscribe.search.expander import Candidates, Frontier
from cxrscribe.search.hypotheses import Ending, History, Hypothesis, Pool
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import END, START, Vocabulary


class Outcome(NamedTuple):
    """An image whose search is over."""

    image: int
    """The number that it was admitted under."""
    settings: BeamSettings
    hypotheses: list[Hypothesis]
    """Best first, at most n_best; none where all was forbidden, or the network gave NaN."""
    has_nan: bool
    """Whether the search ended because the network gave NaN."""
    steps: int
    """How many it took."""


class BeamSearch:
    """Searches for up to `slots` images at a time."""

    def __init__(self, vocabulary: Vocabulary, slots: int) -> None:
        self._vocabulary_size = len(vocabulary)
        self._slots = slots
        self._constraints = Constraints(vocabulary)
        self._mask = Mask()
        self._history = History(slots)
        self._pool = Pool(slots)
        self._prefixes = Prefixes(slots)
        self._images: list[int] = []  # by slot, those of vacant slots included
        self._settings: list[BeamSettings] = []  # by slot
        self._vacant: list[int] = []  # slots that the last step left without an image
        self._rows = 0  # of the last frontier, and of the images that were admitted since
        self._clock = np.zeros(slots, np.int64)  # by slot: row * stride + steps, see Constraints
        self._width = np.ones(slots, np.int64)
        self._n_best = np.ones(slots, np.int64)
        self._uniform = True  # whether every image has the width K
        self._settled = False  # whether K fits the images that there are
        self._frontier: Frontier | None
        self._token = np.zeros((slots, 0), np.int64)  # [slots, K]
        self._parent = np.zeros((slots, 0), np.int64)
        self._score = np.zeros((slots, 0), np.float32)
        self._arrange(1)

    def __len__(self) -> int:
        """A: how many images are searched for."""
        return len(self._images) - len(self._vacant)

    @property
    def room(self) -> int:
        """How many images can be admitted."""
        return self._slots - len(self)

    @property
    def held_bytes(self) -> int:
        """Memory of the words that are kept, which grows with the largest beam and length so far."""
        return self._history.held_bytes

    def admit(self, images: Sequence[tuple[int, BeamSettings]]) -> None:
        """Begin to search for these images, each with a number to call it by; at most `room`.

        Raises SettingsError where a banned word isn't in the vocabulary; then none of them has entered.
        """
        self._register([settings for _, settings in images])
        for image, settings in images:
            slot = self._vacant.pop() if self._vacant else len(self._images)
            self._images[slot : slot + 1] = [image]
            self._settings[slot : slot + 1] = [settings]
            self._clock[slot] = self._constraints.row_of(settings) * self._constraints.stride
            self._width[slot] = settings.beam_width
            self._n_best[slot] = settings.n_best
            self._token[slot] = START
            self._parent[slot] = self._rows
            self._score[slot] = -np.inf
            self._score[slot, 0] = 0.0
            self._pool.clear(slot)
            if self._prefixes.tracked:
                self._prefixes.begin(slot)
            self._rows += 1
        self._settled = False

    def frontier(self) -> Frontier:
        """What to expand next. There has to be an image.

        While A, K and the mask stay, this is the same object, with other numbers.
        """
        if self._vacant:
            self._close_ranks()
        if not self._settled:
            self._settle()
        bias, images, frontier = self._bias(), len(self._images), self._frontier
        if frontier is None or frontier.bias is not bias or len(frontier.score) != images:
            token, parent = self._token[:images].reshape(-1), self._parent[:images].reshape(-1)
            self._frontier = frontier = Frontier(token, parent, self._score[:images], bias)
        self._rows = images * self._places
        return frontier

    def advance(self, candidates: Candidates) -> list[Outcome]:
        """Take the best candidates of the frontier; give the images whose search is over.

        An image with a narrower beam than K has fewer live rows. Its own first 2 * beam_width candidates hold
        all that it can use: each row has but one `<end>`, so at least beam_width of them are not `<end>`.

        Rules 6 to 9 of docs/decoding.md; rule 5 is the network's part.
        """
        images = len(self._images)
        clock = self._clock[:images]
        clock += 1
        ends = self._ends.take(candidates.index)
        live = self._first_live[:images]  # [A, K]: in the flat candidates
        if np.count_nonzero(ends):  # a third of the time that `any` takes; so below
            position = np.argsort(ends, axis=1, kind="stable")[:, : self._places]
            live = self._first_candidate[:images] + position
            self._finish(ends.reshape(-1).nonzero()[0], candidates)
        index, token_log_prob = self._history.add(images, self._places)
        candidates.index.take(live, out=index, mode="clip")
        candidates.token_log_prob.take(live, out=token_log_prob, mode="clip")
        score, token, parent = self._score[:images], self._token[:images], self._parent[:images]
        candidates.score.take(live, out=score, mode="clip")
        if not self._uniform:
            score[np.arange(self._places) >= self._width[:images, None]] = -np.inf
        np.divmod(index, self._vocabulary_size, out=(parent, token))
        if self._prefixes.tracked:
            self._prefixes.extend(parent, token, clock % self._constraints.stride)
        parent += self._first_row[:images]
        reachable = score[:, 0] / self._constraints.favourable.take(clock)
        # Rule 9. Not greater: can't win any more, nothing live, NaN, or out of steps.
        going = reachable > self._pool.worst[:images]
        if np.count_nonzero(going) == images:
            return []
        self._vacant = np.flatnonzero(~going).tolist()
        self._settled = False
        return [self._outcome(slot) for slot in self._vacant]

    def clear(self) -> None:
        """Forget all images."""
        self._images.clear()
        self._settings.clear()
        self._vacant.clear()
        self._rows = 0
        if not self._constraints.same_mask:  # masks that the next images may not need cost time
            self._constraints.set_rows([])
            self._prefixes.tracked = False
        self._settled = False

    def _finish(self, ends: NDArray[np.intp], candidates: Candidates) -> None:
        """Put candidates that end into the pools (rules 6 and 7).

        `ends`: where they stand among the flat candidates.
        """
        slot, place = np.divmod(ends, 2 * self._places)
        log_prob, clock = candidates.score.take(ends), self._clock.take(slot)
        score = log_prob / self._constraints.divisor.take(clock)
        good = score > self._pool.worst.take(slot)
        good &= place < self._width.take(slot)
        (found,) = good.nonzero()
        if not len(found):
            return
        ends, slot = ends[found], slot[found]
        columns = (
            slot,
            self._n_best[slot],
            -score[found],
            clock[found] % self._constraints.stride,
            place[found],
            candidates.index.take(ends) // self._vocabulary_size,
            log_prob[found],
            candidates.token_log_prob.take(ends),
        )
        for in_slot, n_best, *ending in zip(*(column.tolist() for column in columns), strict=True):
            self._pool.enter(in_slot, n_best, Ending(*ending))

    def _outcome(self, slot: int) -> Outcome:
        settings = self._settings[slot]
        steps = int(self._clock[slot]) % self._constraints.stride
        has_nan = bool(np.isnan(self._score[slot, 0]))
        found = [] if has_nan else [self._finished(slot, steps, each) for each in self._pool.of(slot)]
        if not has_nan and len(found) < settings.n_best and steps >= settings.max_length:
            found += self._unfinished(slot, steps)[: settings.n_best - len(found)]
        return Outcome(self._images[slot], settings, found, has_nan, steps)

    def _finished(self, slot: int, steps: int, ending: Ending) -> Hypothesis:
        words, log_probs = self._trace(slot, steps, ending.length - 1, ending.rank)
        log_probs.append(ending.end_log_prob)
        return Hypothesis(words, log_probs, ending.log_prob, -ending.minus_score, finished=True)

    def _unfinished(self, slot: int, steps: int) -> list[Hypothesis]:
        """What lives on, best first (rule 10): of hypotheses of one length, rank is the order of scores."""
        divisor = float(self._constraints.divisor[self._clock[slot]])
        return [
            Hypothesis(*self._trace(slot, steps, steps, rank), log_prob, log_prob / divisor, finished=False)
            for rank, log_prob in enumerate(self._score[slot].tolist())
            if log_prob > -np.inf
        ]

    def _trace(self, slot: int, steps: int, length: int, rank: int) -> tuple[list[int], list[float]]:
        return self._history.trace(slot, steps, length, rank, self._vocabulary_size)

    def _bias(self) -> NDArray[np.float32]:
        if self._constraints.same_mask:
            return self._constraints.one_mask
        images = len(self._images)
        row, steps = np.divmod(self._clock[:images], self._constraints.stride)
        words = self._prefixes.of(images, self._places)
        return self._mask.of(self._constraints, row, steps, self._places, words)

    def _register(self, settings: Sequence[BeamSettings]) -> None:
        """See that these settings have a row of constraints, and their images room."""
        constraints = self._constraints
        missing = [each for each in settings if each not in constraints]
        if missing:
            # Rows that nobody uses are dropped now and then, lest the table grow with the number of images.
            known = constraints.settings if len(constraints) < 2 * self._slots else []
            steps = self._clock[: len(self._settings)] % constraints.stride
            constraints.set_rows([*known, *self._settings, *settings])
            rows = np.array([constraints.row_of(each) for each in self._settings], np.int64)
            self._clock[: len(rows)] = rows * constraints.stride + steps
        widest = max((each.beam_width for each in settings), default=1)
        if widest > self._places:
            self._arrange(widest)
        self._reserve()

    def _reserve(self) -> None:
        """Make room for the steps and places that there may be."""
        steps = self._constraints.stride - 1
        self._history.reserve(steps, self._places)
        self._prefixes.tracked = bool(self._constraints.no_repeat_ngram.any())
        if self._prefixes.tracked:
            self._prefixes.reserve(steps, self._places)

    def _close_ranks(self) -> None:
        """Let images from the end take the vacant slots."""
        images = len(self)
        target = [slot for slot in self._vacant if slot < images]
        source = [slot for slot in range(images, len(self._images)) if slot not in self._vacant]
        if target:
            for array in (self._clock, self._width, self._n_best, self._token, self._parent, self._score):
                array[target] = array[source]
            self._pool.move(source, target)
            self._history.move(source, target)
            if self._prefixes.tracked:
                self._prefixes.move(source, target)
            for there, here in zip(target, source, strict=True):
                self._images[there], self._settings[there] = self._images[here], self._settings[here]
        del self._images[images:], self._settings[images:]
        self._vacant = []

    def _settle(self) -> None:
        """Let K be the largest beam width that there is."""
        width = self._width[: len(self)]
        widest = int(width.max())
        if widest != self._places:
            self._arrange(widest)
        self._uniform = bool((width == widest).all())
        self._settled = True

    def _arrange(self, places: int) -> None:
        """Lay the rows out anew: `places` an image, which is as many as any of them uses, or more."""
        kept = min(places, self._token.shape[1])
        token = np.full((self._slots, places), START, np.int64)
        parent = np.repeat(self._parent[:, :1], places, axis=1) if kept else np.zeros_like(token)
        score = np.full((self._slots, places), -np.inf, np.float32)
        for new, old in ((token, self._token), (parent, self._parent), (score, self._score)):
            new[:, :kept] = old[:, :kept]
        self._token, self._parent, self._score = token, parent, score
        self._frontier = None
        self._places = places
        slots = np.arange(self._slots)[:, None]
        self._first_row = slots * places  # [slots, 1]
        self._first_candidate = slots * 2 * places  # [slots, 1]: in flat candidates
        self._first_live = self._first_candidate + np.arange(places)  # [slots, K]: where nothing ends
        # [K * V]: which candidates are `<end>`. A look-up is half the work of a remainder and a comparison.
        self._ends = np.arange(places * self._vocabulary_size) % self._vocabulary_size == END

"""Exact beam search by the rules of docs/decoding.md: the bookkeeping over a whole batch, as numpy arrays.

Nothing here runs a network. A search says which rows to expand (`frontier`), somebody expands them, and the
search takes the best candidates back (`advance`). Images enter whenever there is room (`admit`) and leave
when their own search is over, each at its own step and under its own settings. A is the number of images that
are searched for, K the largest beam width among them, V the number of words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxrscribe.search.constraints import Constraints, Mask, Prefixes
from cxrscribe.search.expander import Candidates, Frontier
from cxrscribe.search.hypotheses import Ending, History, Hypothesis
from cxrscribe.search.slots import Places, Searched, Slots, View
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import Vocabulary


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
    """Searches for up to `slots` images at a time.

    search = BeamSearch(vocabulary, slots=2)
    search.admit([(0, BeamSettings(beam_width=5)), (1, BeamSettings())])
    while len(search):
        for outcome in search.advance(expander.expand(search.frontier())):
            print(outcome.image, outcome.hypotheses)
    """

    def __init__(self, vocabulary: Vocabulary, slots: int) -> None:
        self._vocabulary_size = len(vocabulary)
        self._divisor = np.array(len(vocabulary))  # the same, as numpy needs no look at it
        self._slots = Slots(slots)
        self._places = Places(slots, 1, self._vocabulary_size)
        self._constraints = Constraints(vocabulary)
        self._mask = Mask()
        self._history = History(slots)
        self._prefixes = Prefixes(slots)
        self._rows = 0  # of the last frontier, and of the images that were admitted since
        self._unused: NDArray[np.bool_] | None = None  # [A, K]: places beyond an image's own width
        self._mixed = False  # whether K may not be the width of all images
        self._last_step = 0  # no image is out of steps before it
        self._settled = False  # whether ranks are closed, and all these fit the images that there are
        self._view: View | None = None  # of the last frontier

    def __len__(self) -> int:
        """A: how many images are searched for."""
        return len(self._slots)

    @property
    def room(self) -> int:
        """How many images can be admitted."""
        return self._slots.count - len(self)

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
            first_entry = self._constraints.first_entry_of(settings)
            slot = self._slots.take(image, settings, first_entry, self._history.steps)
            self._places.begin(slot, self._rows)
            if self._prefixes.tracked:
                self._prefixes.begin(slot)
            self._rows += 1
            self._mixed |= settings.beam_width != self._places.count
            self._last_step = min(self._last_step, self._history.steps + settings.max_length)
        self._settled = False

    def frontier(self) -> Frontier:
        """What to expand next. There has to be an image.

        For each A it is the same object, with other numbers, as long as K and the mask stay.
        """
        if not self._settled:
            self._settle()
        elif not self._constraints.same_mask:
            self._view = self._places.view(len(self._slots.images), self._bias())
        assert self._view is not None
        return self._view.frontier

    def advance(self, candidates: Candidates) -> list[Outcome]:
        """Take the best candidates of the frontier; give the images whose search is over.

        An image with a narrower beam than K has fewer live rows. Its own first 2 * beam_width candidates hold
        all that it can use: each row has but one `<end>`, so at least beam_width of them are not `<end>`.
        What can't be a candidate gives its image NaN, as a network does that has gone wrong.

        Rules 6 to 9 of docs/decoding.md; rule 5 is the network's part.
        """
        # The network has just filled the caches with its weights, so whatever runs first here waits for
        # memory: how many kinds of calls there are counts more than what they do. What concerns few images is
        # plain Python, which is warm by then: the first `argsort` or comparison of arrays costs more.
        view, history, places = self._view, self._history, self._places
        assert view is not None
        all_live = candidates.check(places.continuations)
        index, token_log_prob = history.add(view.images, places.count)
        places.is_end.take(candidates.index, out=view.ends, mode="clip")
        end = places.ends.find(1, 0, view.ends.size)
        if end >= 0:
            self._finish(end, view, candidates)
        candidates.index.take(view.live, out=index, mode="clip")
        candidates.token_log_prob.take(view.live, out=token_log_prob, mode="clip")
        candidates.score.take(view.live, out=view.score, mode="clip")
        if end >= 0:
            view.live[:] = view.first_live
        if self._unused is not None:
            view.score[self._unused] = -np.inf
        np.divmod(index, self._divisor, out=(view.parent, view.token))
        if self._prefixes.tracked:
            self._prefixes.extend(view.parent, view.token, self._steps())
        np.add(view.parent, view.first_row, out=view.parent)
        if all_live and history.steps < self._last_step:
            if not self._slots.full:
                return []
            return self._take_out(sorted(self._slots.full))
        return self._take_out(range(view.images))

    def drop(self, image: int) -> bool:
        """Let an image go in the midst of its search; whether it was searched for."""
        for slot, searched in enumerate(self._slots.images):
            if searched.image == image and slot not in self._slots.vacant:
                self._slots.leave([slot])
                self._settled = False
                return True
        return False

    def clear(self) -> None:
        """Forget all images."""
        self._slots.clear()
        self._rows = 0
        if not self._constraints.same_mask:  # masks that the next images may not need cost time
            self._constraints.set_rows([])
            self._prefixes.tracked = False
        self._settled = False

    def _finish(self, end: int, view: View, candidates: Candidates) -> None:
        """Put candidates that end into the pools, and choose who lives in their stead (rules 6 and 7).

        `end`: the first of them, among the flat candidates.
        """
        ends, live, width = self._places.ends, view.live, self._places.count
        while end >= 0:
            slot, rank = divmod(end, 2 * width)
            first = end - rank
            for position in range(rank, 2 * width):
                if rank >= width:  # all who live are known, and so are the first K
                    break
                if not ends[first + position]:
                    live[slot, rank] = first + position
                    rank += 1
                elif position < width:
                    self._enter(slot, position, candidates)
            end = ends.find(1, first + 2 * width, view.ends.size)

    def _enter(self, slot: int, position: int, candidates: Candidates) -> None:
        """Put a candidate that ends into its image's pool, if it is good enough."""
        searched = self._slots.images[slot]
        if position >= searched.settings.beam_width:
            return
        length = self._history.steps - searched.begun
        log_prob: float = candidates.score.item(slot, position)
        score = log_prob / self._constraints.divisor.item(searched.first_entry + length)
        pool = searched.pool
        if not score > pool.worst:
            return
        rank = candidates.index.item(slot, position) // self._vocabulary_size
        end_log_prob: float = candidates.token_log_prob.item(slot, position)
        pool.enter(Ending(-score, length, position, rank, log_prob, end_log_prob))
        if pool.worst > -np.inf:
            self._slots.full.add(slot)

    def _take_out(self, slots: Sequence[int]) -> list[Outcome]:
        """Those of these images whose search is over (rule 9). Their slots are vacant then."""
        steps, over = self._history.steps, []
        best, favourable = self._places.score.item, self._constraints.favourable.item
        for slot in slots:
            searched = self._slots.images[slot]
            reachable = best(slot, 0) / favourable(searched.first_entry + steps - searched.begun)
            # Not greater: can't win any more, nothing live, NaN, or out of steps.
            if not reachable > searched.pool.worst:
                over.append(slot)
        if not over:
            return []
        outcomes = [self._outcome(slot) for slot in over]
        self._slots.leave(over)
        self._settled = False
        return outcomes

    def _outcome(self, slot: int) -> Outcome:
        searched = self._slots.images[slot]
        settings, steps = searched.settings, self._history.steps - searched.begun
        has_nan = math.isnan(self._places.score.item(slot, 0))
        found = [] if has_nan else [self._finished(searched, each) for each in searched.pool.endings]
        if not has_nan and len(found) < settings.n_best and steps >= settings.max_length:
            found += self._unfinished(searched, slot, steps)[: settings.n_best - len(found)]
        return Outcome(searched.image, settings, found, has_nan, steps)

    def _finished(self, searched: Searched, ending: Ending) -> Hypothesis:
        words, log_probs = self._trace(searched, ending.length - 1, ending.rank)
        log_probs.append(ending.end_log_prob)
        return Hypothesis(words, log_probs, ending.log_prob, -ending.minus_score, finished=True)

    def _unfinished(self, searched: Searched, slot: int, steps: int) -> list[Hypothesis]:
        """What lives on, best first (rule 10): of hypotheses of one length, rank is the order of scores."""
        divisor: float = self._constraints.divisor.item(searched.first_entry + steps)
        return [
            Hypothesis(*self._trace(searched, steps, rank), log_prob, log_prob / divisor, finished=False)
            for rank, log_prob in enumerate(self._places.score[slot].tolist())
            if log_prob > -np.inf
        ]

    def _trace(self, searched: Searched, length: int, rank: int) -> tuple[list[int], list[float]]:
        return self._history.trace(searched.path, length, rank, self._vocabulary_size)

    def _bias(self) -> NDArray[np.float32]:
        if self._constraints.same_mask:
            return self._constraints.one_mask
        images = self._slots.images
        row = np.array([each.first_entry for each in images]) // self._constraints.stride
        words = self._prefixes.of(len(images), self._places.count)
        return self._mask.of(self._constraints, row, self._steps(), self._places.count, words)

    def _steps(self) -> NDArray[np.int64]:
        """[A]: how many steps each image has made, and so its live hypotheses' words."""
        return self._history.steps - np.array([each.begun for each in self._slots.images], np.int64)

    def _register(self, settings: Sequence[BeamSettings]) -> None:
        """See that these settings have a row of constraints, and their images room."""
        constraints = self._constraints
        missing = [each for each in settings if each not in constraints]
        if missing:
            # Rows that nobody uses are dropped now and then, lest the table grow with the number of images.
            known = constraints.settings if len(constraints) < 2 * self._slots.count else []
            present = [each.settings for each in self._slots.images]
            constraints.set_rows([*known, *present, *settings])
            self._slots.stand([constraints.first_entry_of(each) for each in present])
        widest = max((each.beam_width for each in settings), default=1)
        if widest > self._places.count:
            self._lay_out(widest)
            self._mixed = True
        steps = constraints.stride - 1
        self._history.reserve(steps, self._places.count)
        self._prefixes.tracked = constraints.any_no_repeat
        if self._prefixes.tracked:
            self._prefixes.reserve(steps, self._places.count)

    def _close_ranks(self) -> None:
        """Let images from the end take the vacant slots."""
        moves = self._slots.close_ranks(self._history.steps)
        self._places.move(moves)
        if self._prefixes.tracked:
            self._prefixes.move(moves)

    def _settle(self) -> None:
        """Close ranks, and let K be the largest beam width that there is."""
        if self._slots.vacant:
            self._close_ranks()
        images = self._slots.images
        if self._mixed:
            widths = [each.settings.beam_width for each in images]
            widest = max(widths)
            if widest != self._places.count:
                self._lay_out(widest)
            self._mixed = widths.count(widest) < len(widths)
            self._unused = np.arange(widest) >= np.array(widths)[:, None] if self._mixed else None
        if self._history.steps >= self._last_step:  # that image is gone
            self._last_step = min(each.begun + each.settings.max_length for each in images)
        self._view = self._places.view(len(images), self._bias())
        self._rows = len(images) * self._places.count
        self._settled = True

    def _lay_out(self, places: int) -> None:
        """Let each image have so many places, which is as many as any of them uses, or more."""
        self._places = Places(self._slots.count, places, self._vocabulary_size, self._places)

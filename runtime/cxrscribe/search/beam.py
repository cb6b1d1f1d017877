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
    """Searches for up to `slots` images at a time.

    search = BeamSearch(vocabulary, slots=2)
    search.admit([(0, BeamSettings(beam_width=5)), (1, BeamSettings())])
    while len(search):
        for outcome in search.advance(expander.expand(search.frontier())):
            print(outcome.image, outcome.hypotheses)
    """

    def __init__(self, vocabulary: Vocabulary, slots: int) -> None:
        self._vocabulary_size = len(vocabulary)
        self._slots = _Slots(slots)
        self._places = _Places(slots, 1, self._vocabulary_size)
        self._constraints = Constraints(vocabulary)
        self._mask = Mask()
        self._history = History(slots)
        self._pool = Pool(slots)
        self._prefixes = Prefixes(slots)
        self._rows = 0  # of the last frontier, and of the images that were admitted since
        self._uniform = True  # whether every image has the width K
        self._settled = False  # whether K fits the images that there are
        self._frontier: Frontier | None = None  # the last one, while its arrays are still those of `_places`

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
            slot = self._slots.take(image, settings, self._constraints.first_entry_of(settings))
            self._places.begin(slot, self._rows)
            self._pool.clear(slot)
            if self._prefixes.tracked:
                self._prefixes.begin(slot)
            self._rows += 1
        self._settled = False

    def frontier(self) -> Frontier:
        """What to expand next. There has to be an image.

        While A, K and the mask stay, this is the same object, with other numbers.
        """
        if self._slots.vacant:
            self._close_ranks()
        if not self._settled:
            self._settle()
        bias, images, frontier = self._bias(), len(self), self._frontier
        if frontier is None or frontier.bias is not bias or len(frontier.score) != images:
            self._frontier = frontier = self._places.frontier(images, bias)
        self._rows = images * self._places.count
        return frontier

    def advance(self, candidates: Candidates) -> list[Outcome]:
        """Take the best candidates of the frontier; give the images whose search is over.

        An image with a narrower beam than K has fewer live rows. Its own first 2 * beam_width candidates hold
        all that it can use: each row has but one `<end>`, so at least beam_width of them are not `<end>`.

        Rules 6 to 9 of docs/decoding.md; rule 5 is the network's part.
        """
        slots, places = self._slots, self._places
        images = len(slots.images)  # no slot is vacant
        entry = slots.entry[:images]
        entry += 1
        ends = places.ends.take(candidates.index)
        live = places.first_live[:images]  # [A, K]: in the flat candidates
        if np.count_nonzero(ends):  # a third of the time that `any` takes; so below
            position = np.argsort(ends, axis=1, kind="stable")[:, : places.count]
            live = places.first_candidate[:images] + position
            self._finish(ends.reshape(-1).nonzero()[0], candidates)
        index, token_log_prob = self._history.add(images, places.count)
        candidates.index.take(live, out=index, mode="clip")
        candidates.token_log_prob.take(live, out=token_log_prob, mode="clip")
        score, token, parent = places.score[:images], places.token[:images], places.parent[:images]
        candidates.score.take(live, out=score, mode="clip")
        if not self._uniform:
            score[np.arange(places.count) >= slots.width[:images, None]] = -np.inf
        np.divmod(index, self._vocabulary_size, out=(parent, token))
        if self._prefixes.tracked:
            self._prefixes.extend(parent, token, slots.steps(images))
        parent += places.first_row[:images]
        reachable = score[:, 0] / self._constraints.favourable.take(entry)
        # Rule 9. Not greater: can't win any more, nothing live, NaN, or out of steps.
        going = reachable > self._pool.worst[:images]
        if np.count_nonzero(going) == images:
            return []
        over = np.flatnonzero(~going).tolist()
        outcomes = [self._outcome(slot) for slot in over]
        slots.vacant = over
        self._settled = False
        return outcomes

    def clear(self) -> None:
        """Forget all images."""
        self._slots.clear()
        self._rows = 0
        if not self._constraints.same_mask:  # masks that the next images may not need cost time
            self._constraints.set_rows([])
            self._prefixes.tracked = False
        self._settled = False

    def _finish(self, ends: NDArray[np.intp], candidates: Candidates) -> None:
        """Put candidates that end into the pools (rules 6 and 7).

        `ends`: where they stand among the flat candidates.
        """
        slot, position = np.divmod(ends, 2 * self._places.count)
        log_prob, entry = candidates.score.take(ends), self._slots.entry.take(slot)
        score = log_prob / self._constraints.divisor.take(entry)
        good = score > self._pool.worst.take(slot)
        good &= position < self._slots.width.take(slot)
        (found,) = good.nonzero()
        if not len(found):
            return
        ends, slot = ends[found], slot[found]
        columns = (
            slot,
            self._slots.n_best[slot],
            -score[found],
            entry[found] - self._slots.first_entry[slot],
            position[found],
            candidates.index.take(ends) // self._vocabulary_size,
            log_prob[found],
            candidates.token_log_prob.take(ends),
        )
        for in_slot, n_best, *ending in zip(*(column.tolist() for column in columns), strict=True):
            self._pool.enter(in_slot, n_best, Ending(*ending))

    def _outcome(self, slot: int) -> Outcome:
        image, settings, steps = self._slots.of(slot)
        has_nan = bool(np.isnan(self._places.score[slot, 0]))
        found = [] if has_nan else [self._finished(slot, steps, each) for each in self._pool.of(slot)]
        if not has_nan and len(found) < settings.n_best and steps >= settings.max_length:
            found += self._unfinished(slot, steps)[: settings.n_best - len(found)]
        return Outcome(image, settings, found, has_nan, steps)

    def _finished(self, slot: int, steps: int, ending: Ending) -> Hypothesis:
        words, log_probs = self._trace(slot, steps, ending.length - 1, ending.rank)
        log_probs.append(ending.end_log_prob)
        return Hypothesis(words, log_probs, ending.log_prob, -ending.minus_score, finished=True)

    def _unfinished(self, slot: int, steps: int) -> list[Hypothesis]:
        """What lives on, best first (rule 10): of hypotheses of one length, rank is the order of scores."""
        divisor = float(self._constraints.divisor[self._slots.entry[slot]])
        return [
            Hypothesis(*self._trace(slot, steps, steps, rank), log_prob, log_prob / divisor, finished=False)
            for rank, log_prob in enumerate(self._places.score[slot].tolist())
            if log_prob > -np.inf
        ]

    def _trace(self, slot: int, steps: int, length: int, rank: int) -> tuple[list[int], list[float]]:
        return self._history.trace(slot, steps, length, rank, self._vocabulary_size)

    def _bias(self) -> NDArray[np.float32]:
        if self._constraints.same_mask:
            return self._constraints.one_mask
        images = len(self)
        row = self._slots.first_entry[:images] // self._constraints.stride
        words = self._prefixes.of(images, self._places.count)
        return self._mask.of(self._constraints, row, self._slots.steps(images), self._places.count, words)

    def _register(self, settings: Sequence[BeamSettings]) -> None:
        """See that these settings have a row of constraints, and their images room."""
        constraints = self._constraints
        missing = [each for each in settings if each not in constraints]
        if missing:
            # Rows that nobody uses are dropped now and then, lest the table grow with the number of images.
            known = constraints.settings if len(constraints) < 2 * self._slots.count else []
            constraints.set_rows([*known, *self._slots.settings, *settings])
            self._slots.go_to([constraints.first_entry_of(each) for each in self._slots.settings])
        widest = max((each.beam_width for each in settings), default=1)
        if widest > self._places.count:
            self._lay_out(widest)
        steps = constraints.stride - 1
        self._history.reserve(steps, self._places.count)
        self._prefixes.tracked = bool(constraints.no_repeat_ngram.any())
        if self._prefixes.tracked:
            self._prefixes.reserve(steps, self._places.count)

    def _close_ranks(self) -> None:
        """Let images from the end take the vacant slots."""
        source, target = self._slots.close_ranks()
        if target:
            self._places.move(source, target)
            self._pool.move(source, target)
            self._history.move(source, target)
            if self._prefixes.tracked:
                self._prefixes.move(source, target)

    def _settle(self) -> None:
        """Let K be the largest beam width that there is."""
        width = self._slots.width[: len(self)]
        widest = int(width.max())
        if widest != self._places.count:
            self._lay_out(widest)
        self._uniform = bool((width == widest).all())
        self._settled = True

    def _lay_out(self, places: int) -> None:
        """Let each image have so many places, which is as many as any of them uses, or more."""
        self._places = _Places(self._slots.count, places, self._vocabulary_size, self._places)
        self._frontier = None


class _Slots:
    """Where images are while they are searched for: each has the same slot in every array.

    The first slots are those in use; an image that is done leaves its own vacant until `close_ranks`.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.images: list[int] = []  # by slot, those of vacant slots included
        self.settings: list[BeamSettings] = []
        self.vacant: list[int] = []
        self.first_entry = np.zeros(count, np.int64)
        """Of its settings, the first entry in the flat tables of Constraints."""
        self.entry = np.zeros(count, np.int64)
        """The present one: after t steps, t behind the first."""
        self.width = np.ones(count, np.int64)
        self.n_best = np.ones(count, np.int64)

    def __len__(self) -> int:
        return len(self.images) - len(self.vacant)

    def of(self, slot: int) -> tuple[int, BeamSettings, int]:
        """Number, settings and steps of an image."""
        return self.images[slot], self.settings[slot], int(self.entry[slot] - self.first_entry[slot])

    def steps(self, images: int) -> NDArray[np.int64]:
        """How many steps each of the first `images` slots has made, and so its live hypotheses' words."""
        steps: NDArray[np.int64] = self.entry[:images] - self.first_entry[:images]
        return steps

    def go_to(self, first_entrys: Sequence[int]) -> None:
        """Stand as far behind other first entries, one a slot in use: the tables have been made anew."""
        steps = self.steps(len(first_entrys))
        self.first_entry[: len(steps)] = first_entrys
        self.entry[: len(steps)] = self.first_entry[: len(steps)] + steps

    def take(self, image: int, settings: BeamSettings, first_entry: int) -> int:
        """Let an image have a slot; which one."""
        slot = self.vacant.pop() if self.vacant else len(self.images)
        self.images[slot : slot + 1] = [image]
        self.settings[slot : slot + 1] = [settings]
        self.first_entry[slot] = self.entry[slot] = first_entry
        self.width[slot] = settings.beam_width
        self.n_best[slot] = settings.n_best
        return slot

    def close_ranks(self) -> tuple[list[int], list[int]]:
        """Let images from the end take the vacant slots. Gives the slots they leave, and those they take."""
        images = len(self)
        target = [slot for slot in self.vacant if slot < images]
        source = [slot for slot in range(images, len(self.images)) if slot not in self.vacant]
        for array in (self.first_entry, self.entry, self.width, self.n_best):
            array[target] = array[source]
        for there, here in zip(target, source, strict=True):
            self.images[there], self.settings[there] = self.images[here], self.settings[here]
        del self.images[images:], self.settings[images:]
        self.vacant = []
        return source, target

    def clear(self) -> None:
        """Let all images go."""
        self.images.clear()
        self.settings.clear()
        self.vacant.clear()


class _Places:
    """The arrays of a frontier, `count` places a slot, and where these places stand in flat arrays."""

    def __init__(self, slots: int, count: int, vocabulary_size: int, before: _Places | None = None) -> None:
        """`before`: places that are laid out anew; what fits is kept."""
        self.count = count
        self.token = np.full((slots, count), START, np.int64)
        self.parent = np.zeros((slots, count), np.int64)
        self.score = np.full((slots, count), -np.inf, np.float32)
        if before is not None:
            kept = min(count, before.count)
            self.parent[:] = before.parent[:, :1]  # what isn't live has to name some row too
            for array, old in (
                (self.token, before.token),
                (self.parent, before.parent),
                (self.score, before.score),
            ):
                array[:, :kept] = old[:, :kept]
        slot = np.arange(slots)[:, None]
        self.first_row = slot * count
        """[slots, 1]: of each slot in the frontier."""
        self.first_candidate = slot * 2 * count
        """[slots, 1]: of each slot in flat candidates."""
        self.first_live = self.first_candidate + np.arange(count)
        """[slots, K]: of the live hypotheses in flat candidates, where nothing ends."""
        # A look-up is half the work of a remainder and a comparison.
        self.ends = np.arange(count * vocabulary_size) % vocabulary_size == END
        """[K * V]: which candidates are `<end>`, by index."""

    def begin(self, slot: int, row: int) -> None:
        """Rule 4: one live hypothesis, whose state is in this row."""
        self.token[slot] = START
        self.parent[slot] = row
        self.score[slot] = -np.inf
        self.score[slot, 0] = 0.0

    def frontier(self, images: int, bias: NDArray[np.float32]) -> Frontier:
        """The rows of the first `images` slots: these very arrays."""
        token, parent = self.token[:images].reshape(-1), self.parent[:images].reshape(-1)
        return Frontier(token, parent, self.score[:images], bias)

    def move(self, source: list[int], target: list[int]) -> None:
        """Let the images in the slots `source` go on in the slots `target`."""
        for array in (self.token, self.parent, self.score):
            array[target] = array[source]

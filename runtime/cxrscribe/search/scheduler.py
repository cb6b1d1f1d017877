"""Continuous batching: searches that enter and leave at any step, and share each call of the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import DecodingError
from cxrscribe.report import Report
from cxrscribe.search.beam import BeamSearch, Outcome
from cxrscribe.search.expander import Decoder, Expander
from cxrscribe.search.hypotheses import Hypothesis
from cxrscribe.settings import BeamSettings
from cxrscribe.stats import DecodingStats
from cxrscribe.vocabulary import Vocabulary

IMAGES_AT_ONCE: Final = 32
"""Images that are searched for at a time, unless the caller wants another number."""

_IDLE_KEPT: Final = 4
_LARGE_BYTES: Final = 64 << 20
_NAN: Final = (
    "the decoder's log-probabilities have NaN in them, or it chose words that don't exist; check that the "
    "features are finite and come from this bundle's encoder, and that the export passed its parity checks"
)

Finished: TypeAlias = tuple[int, Report | DecodingError]
"""An image's number, and what became of its search."""


class Scheduler:
    """The searches of one caller, at most `slots` at a time; used again by the next one.

    Images are numbered in the order of `enqueue`. An image whose search is over makes room for the next one
    that waits, at the next step. Nothing here grows with the number of images.
    """

    def __init__(self, expander: Expander, vocabulary: Vocabulary, slots: int, *, one_width: bool) -> None:
        """`one_width`: never search with two beam widths at a time; an image with another waits."""
        self.slots = slots
        self._expander = expander
        self._vocabulary = vocabulary
        self._search = BeamSearch(vocabulary, slots)
        self._one_width = one_width
        self._waiting: deque[tuple[int, BeamSettings]] = deque()
        self._offered = 0
        self._width = 0  # of the image that entered last

    @property
    def has_room(self) -> bool:
        """Whether more images could enter at the next step than wait."""
        return len(self._waiting) < self._search.room

    @property
    def held_bytes(self) -> int:
        """Memory of the search, which stays for the next caller."""
        return self._search.held_bytes

    @property
    def busy(self) -> bool:
        """Whether any image is searched for, or waits."""
        return bool(len(self._search) or self._waiting)

    def enqueue(
        self, features: NDArray[np.float32], settings: Sequence[BeamSettings], stats: DecodingStats
    ) -> None:
        """Let images wait for a place. `features`: float32 [n, F], finite; `settings`: n, words all known."""
        if not len(features):
            return
        started, network = perf_counter(), self._expander.seconds
        self._expander.enqueue(features)
        self._waiting.extend(enumerate(settings, self._offered))
        self._offered += len(features)
        stats.decode_seconds += perf_counter() - started
        stats.decoder_seconds += self._expander.seconds - network

    def step(self, stats: DecodingStats) -> list[Finished]:
        """Admit who waits, go one step further, and give the images whose search ended."""
        started, network = perf_counter(), self._expander.seconds
        self._admit()
        if not len(self._search):
            return []
        candidates = self._expander.expand(self._search.frontier())
        finished: list[Finished] = []
        for outcome in self._search.advance(candidates):
            report = write_report(outcome, self._vocabulary)
            finished.append((outcome.image, report))
            stats.images += 1
            stats.image_steps += outcome.steps
            stats.steps_saved += outcome.settings.max_length - outcome.steps
            stats.words += len(report.tokens) if isinstance(report, Report) else 0
        stats.steps += 1
        stats.rows += self._expander.rows
        stats.decoder_seconds += self._expander.seconds - network
        stats.decode_seconds += perf_counter() - started
        return finished

    def clear(self) -> None:
        """Forget all images; the next one has the number 0."""
        self._expander.clear()
        self._search.clear()
        self._waiting.clear()
        self._offered = 0

    def _admit(self) -> None:
        if not self._waiting:
            return
        entering: list[tuple[int, BeamSettings]] = []
        room = self._search.room
        while self._waiting and len(entering) < room:
            width = self._waiting[0][1].beam_width
            if self._one_width and (entering or len(self._search)) and width != self._width:
                break
            self._width = width
            entering.append(self._waiting.popleft())
        if entering:
            self._search.admit(entering)
            self._expander.admit(len(entering))


class Schedulers:
    """Hands out schedulers: each call has one to itself, and calls one after the other have the same one.

    Safe to use from several threads.
    """

    def __init__(self, decoder: Decoder, vocabulary: Vocabulary, *, strict: bool) -> None:
        """`strict`: every call of the network has the same rows, whatever is searched for."""
        self._decoder = decoder
        self._vocabulary = vocabulary
        self._strict = strict
        # A stream that is collected gives its scheduler back in the middle of anything: no lock.
        self._idle: deque[Scheduler] = deque()

    def take(self, slots: int) -> Scheduler:
        """A scheduler without images, for so many at a time; no more than IMAGES_AT_ONCE where strict."""
        if self._strict:
            slots = min(slots, IMAGES_AT_ONCE)
        others: list[Scheduler] = []
        try:
            while True:
                scheduler = self._idle.pop()
                if scheduler.slots == slots:
                    return scheduler
                others.append(scheduler)
        except IndexError:
            pass
        finally:
            self._idle.extend(others)
        expander = self._decoder.expander(IMAGES_AT_ONCE if self._strict else 0)
        return Scheduler(expander, self._vocabulary, slots, one_width=self._strict)

    def give_back(self, scheduler: Scheduler) -> None:
        """Take a scheduler back, whatever images are left in it. One that has grown very large is let go."""
        scheduler.clear()
        if scheduler.held_bytes > _LARGE_BYTES:
            return
        self._idle.append(scheduler)
        if len(self._idle) > _IDLE_KEPT:
            with suppress(IndexError):
                self._idle.popleft()


def write_report(outcome: Outcome, vocabulary: Vocabulary) -> Report | DecodingError:
    """The image's report; its alternatives are results 2 to n_best.

    Where the search ended without any hypothesis, the error that says why: the caller raises it when that
    image's turn comes.
    """
    if outcome.has_nan:
        return DecodingError(_NAN)
    if not outcome.hypotheses:
        return DecodingError(
            f"the search ended without any report: {outcome.settings} forbid all of them; "
            "lower min_length or no_repeat_ngram, ban fewer words, or raise beam_width"
        )
    best, *others = outcome.hypotheses
    return _report(best, vocabulary, tuple(_report(each, vocabulary) for each in others))


def _report(hypothesis: Hypothesis, vocabulary: Vocabulary, alternatives: tuple[Report, ...] = ()) -> Report:
    return Report(
        text=vocabulary.text(hypothesis.words),
        tokens=tuple(hypothesis.words),
        log_prob=hypothesis.log_prob,
        score=hypothesis.score,
        token_log_probs=tuple(hypothesis.token_log_probs),
        finished=hypothesis.finished,
        alternatives=alternatives,
    )

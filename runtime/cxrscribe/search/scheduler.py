"""Continuous batching: searches that enter and leave at any step, and share each call of the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import DecodingError
from cxrscribe.report import Report
from cxrscribe.search.beam import BeamSearch, Outcome
from cxrscribe.search.expander import Decoder, Expander
from cxrscribe.search.hypotheses import Hypothesis
from cxrscribe.search.step import StepModel
from cxrscribe.settings import BeamSettings
from cxrscribe.stats import DecodingStats
from cxrscribe.vocabulary import Vocabulary, readable

if TYPE_CHECKING:
    from cxrscribe.search.sampling import SampleSearch

IMAGES_AT_ONCE: Final = 64
"""Images that are searched for at a time, unless the caller wants another number.

A call of the network costs much that doesn't depend on its rows: of many images, twice as many as 32 at a
time were searched for 1.05 (fp32) to 1.2 (int8, or a small model) times as fast.
"""
IMAGES_PADDED: Final = 32
"""Whose rows each call has where it always has as many: one image alone pays for all of them."""

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

    Images whose reports are drawn, and not searched for, go the same way beside the others, with a step of
    the network of their own.
    """

    def __init__(
        self,
        expander: Expander,
        vocabulary: Vocabulary,
        slots: int,
        *,
        one_width: bool,
        step_model: Callable[[], StepModel] | None = None,
    ) -> None:
        """`one_width`: never search with two beam widths at a time; an image with another waits. Samples are
        then drawn with a fixed number of rows a call. `step_model`: gives what samples are drawn with, once
        somebody wants some.
        """
        self.slots = slots
        self._expander = expander
        self._vocabulary = vocabulary
        self._search = BeamSearch(vocabulary, slots)
        self._one_width = one_width
        self._step_model = step_model
        self._samples: SampleSearch | None = None
        self._waiting: deque[tuple[int, BeamSettings]] = deque()
        self._offered = 0
        self._width = 0  # of the image that entered last

    @property
    def has_room(self) -> bool:
        """Whether more images could enter at the next step than wait."""
        return len(self._waiting) < self._room

    @property
    def held_bytes(self) -> int:
        """Memory of the search, which stays for the next caller."""
        return self._search.held_bytes

    @property
    def busy(self) -> bool:
        """Whether any image is searched for, or waits."""
        return bool(self._room < self.slots or self._waiting)

    @property
    def _room(self) -> int:
        return self._search.room - (0 if self._samples is None else len(self._samples))

    def enqueue(
        self, features: NDArray[np.float32], settings: Sequence[BeamSettings], stats: DecodingStats
    ) -> None:
        """Let images wait for a place. `features`: float32 [n, F], finite; `settings`: n, words all known."""
        if not len(features):
            return
        started, network = perf_counter(), self._network_seconds
        drawn = [place for place, each in enumerate(settings) if each.draws]
        if drawn:
            self._sampler().enqueue(features[drawn], [settings[place] for place in drawn])
        if len(drawn) < len(features):
            self._expander.enqueue(np.delete(features, drawn, axis=0) if drawn else features)
        self._waiting.extend(enumerate(settings, self._offered))
        self._offered += len(features)
        stats.decode_seconds += perf_counter() - started
        stats.decoder_seconds += self._network_seconds - network

    def step(self, stats: DecodingStats) -> list[Finished]:
        """Admit who waits, go one step further, and give the images whose search ended."""
        started, network = perf_counter(), self._network_seconds
        self._admit()
        outcomes: list[Outcome] = []
        if len(self._search):
            outcomes += self._search.advance(self._expander.expand(self._search.frontier()))
            stats.steps += 1
            stats.rows += self._expander.rows
        if self._samples is not None and len(self._samples):
            outcomes += self._samples.advance()
            stats.steps += 1
            stats.rows += self._samples.rows
        finished: list[Finished] = []
        for outcome in outcomes:
            report = write_report(outcome, self._vocabulary)
            finished.append((outcome.image, report))
            stats.images += 1
            stats.image_steps += outcome.steps
            stats.steps_saved += outcome.settings.max_length - outcome.steps
            stats.words += len(report.tokens) if isinstance(report, Report) else 0
        stats.decoder_seconds += self._network_seconds - network
        stats.decode_seconds += perf_counter() - started
        return finished

    def drop(self, image: int) -> bool:
        """Let an image go, of which nothing will be said any more; whether it had a place.

        One that waits keeps its turn: ask again once it may have entered.
        """
        drawn = self._samples is not None and self._samples.drop(image)
        return drawn or self._search.drop(image)

    def clear(self) -> None:
        """Forget all images; the next one has the number 0."""
        self._expander.clear()
        self._search.clear()
        if self._samples is not None:
            self._samples.clear()
        self._waiting.clear()
        self._offered = 0

    def _admit(self) -> None:
        if not self._waiting:
            return
        entering: list[tuple[int, BeamSettings]] = []
        drawn: list[tuple[int, BeamSettings]] = []
        room = self._room
        while self._waiting and len(entering) + len(drawn) < room:
            settings = self._waiting[0][1]
            if settings.draws:
                drawn.append(self._waiting.popleft())
                continue
            width = settings.beam_width
            if self._one_width and (entering or len(self._search)) and width != self._width:
                break
            self._width = width
            entering.append(self._waiting.popleft())
        if entering:
            self._search.admit(entering)
            self._expander.admit(len(entering))
        if drawn:
            self._sampler().admit(drawn)

    @property
    def _network_seconds(self) -> float:
        return self._expander.seconds + (0.0 if self._samples is None else self._samples.seconds)

    def _sampler(self) -> SampleSearch:
        if self._samples is None:
            from cxrscribe.search.sampling import SampleSearch  # few callers draw

            assert self._step_model is not None
            rows = IMAGES_PADDED if self._one_width else 0
            self._samples = SampleSearch(self._step_model(), self._vocabulary, rows)
        return self._samples


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
        """A scheduler without images, for so many at a time; no more than IMAGES_PADDED where strict."""
        if self._strict:
            slots = min(slots, IMAGES_PADDED)
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
        expander = self._decoder.expander(IMAGES_PADDED if self._strict else 0)
        return Scheduler(
            expander,
            self._vocabulary,
            slots,
            one_width=self._strict,
            step_model=self._decoder.step_model,
        )

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
        raising = "samples" if outcome.settings.draws else "beam_width"
        return DecodingError(
            f"the search ended without any report: {outcome.settings} forbid all of them; "
            f"lower min_length or no_repeat_ngram, ban fewer words, or raise {raising}"
        )
    best, *others = outcome.hypotheses
    return _report(best, vocabulary, tuple(_report(each, vocabulary) for each in others))


def _report(hypothesis: Hypothesis, vocabulary: Vocabulary, alternatives: tuple[Report, ...] = ()) -> Report:
    return Report(
        # Without the checks of `Vocabulary.text`: a search names no word that isn't there.
        text=readable(map(vocabulary.words.__getitem__, hypothesis.words)),
        tokens=tuple(hypothesis.words),
        log_prob=hypothesis.log_prob,
        score=hypothesis.score,
        token_log_probs=tuple(hypothesis.token_log_probs),
        finished=hypothesis.finished,
        alternatives=alternatives,
    )

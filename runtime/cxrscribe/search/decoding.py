"""From image features to reports, in order, with whatever computes the steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Final, TypeAlias

from numpy.typing import ArrayLike

from cxrscribe.errors import DecodingError, FilmError
from cxrscribe.report import Report
from cxrscribe.search.requests import FeatureMatrix, FeatureRows, RequestSource, feature_matrix
from cxrscribe.search.scheduler import IMAGES_AT_ONCE, Scheduler
from cxrscribe.search.step import StepModel
from cxrscribe.search.step_expander import StepExpander
from cxrscribe.settings import BeamSettings, settings_of_each
from cxrscribe.stats import DecodingStats
from cxrscribe.vocabulary import Vocabulary

# Reports that may wait for one whose search takes longer, as a multiple of the scheduler's slots.
_MOST_HELD: Final = 8

ReportOrError: TypeAlias = Report | DecodingError | FilmError


def decode(
    model: StepModel,
    vocabulary: Vocabulary,
    features: ArrayLike,
    settings: BeamSettings | Sequence[BeamSettings],
    stats: DecodingStats | None = None,
) -> list[Report]:
    """One report for each row of `features`, float32 [N, F], in order.

    `settings` is one for all, or one for each. Raises SettingsError for settings that don't fit the
    vocabulary or the number of rows, InputError for features that aren't finite numbers [N, F], and
    DecodingError when a search ends without any report, for its settings forbid all or the network gives NaN.
    """
    rows = feature_matrix(features)
    source = FeatureMatrix(rows, settings_of_each(settings, len(rows)), vocabulary, IMAGES_AT_ONCE)
    return list(raising(search_in_order(_scheduler(model, vocabulary), source, stats)))


def decode_stream(
    model: StepModel,
    vocabulary: Vocabulary,
    features: Iterable[ArrayLike],
    settings: BeamSettings | Iterable[BeamSettings],
    stats: DecodingStats | None = None,
) -> Iterator[Report]:
    """One report for each row float32 [F] that `features` gives, in order; bounded memory.

    Raises as `decode` does, when the image's turn comes.
    """
    source = FeatureRows(features, settings, vocabulary, IMAGES_AT_ONCE)
    return raising(search_in_order(_scheduler(model, vocabulary), source, stats))


def search_in_order(
    scheduler: Scheduler,
    source: RequestSource,
    stats: DecodingStats | None = None,
    turn: AbstractContextManager[object] | None = None,
) -> Generator[ReportOrError, None, None]:
    """One item for each image that `source` gives, in order: its report, or why it has none.

    Keeps the scheduler full. Each call of the network takes its turn, if that is given. What `source` raises
    comes after the items of all images that it gave before.
    """
    counted = stats if stats is not None else DecodingStats()
    turn = turn if turn is not None else nullcontext()
    order = _Order()
    failure: Exception | None = None
    ended = False
    while scheduler.busy or not ended:
        while not ended and scheduler.has_room and len(order) < _MOST_HELD * scheduler.slots:
            try:
                requests = source.fetch(idle=not scheduler.busy and not len(order))
            except Exception as error:
                requests, failure = None, error
            if requests is None:
                ended = True
                break
            if not requests.errors:
                break
            order.expect(requests.errors)
            with turn:
                scheduler.enqueue(requests.features, requests.settings, counted)
            yield from order.ready()
        with turn:
            finished = scheduler.step(counted)
        if finished:
            for image, report in finished:
                order.fill(image, report)
            yield from order.ready()
    if failure is not None:
        raise failure


def raising(outcomes: Generator[ReportOrError, None, None]) -> Generator[Report, None, None]:
    """The reports; raises the first error, once `outcomes` is closed: nothing waits for a traceback to go."""
    with closing(outcomes):
        for outcome in outcomes:
            if not isinstance(outcome, Report):
                error = outcome
                break
            yield outcome
        else:
            return
    raise error


def _scheduler(model: StepModel, vocabulary: Vocabulary) -> Scheduler:
    return Scheduler(
        StepExpander(model), vocabulary, IMAGES_AT_ONCE, one_width=False, step_model=lambda: model
    )


class _Order:
    """Items on their way out: those that are there, and places for those that are not."""

    def __init__(self) -> None:
        self._places: deque[ReportOrError | int] = deque()  # a number: the image that is not there yet
        self._there: dict[int, ReportOrError] = {}
        self._images = 0

    def __len__(self) -> int:
        return len(self._places)

    def expect(self, errors: Sequence[FilmError | None]) -> None:
        """Add places: for errors, which are there, and for the scheduler's next images."""
        for error in errors:
            if error is None:
                self._places.append(self._images)
                self._images += 1
            else:
                self._places.append(error)

    def fill(self, image: int, outcome: ReportOrError) -> None:
        """Put an image's item into its place."""
        self._there[image] = outcome

    def ready(self) -> Iterator[ReportOrError]:
        """Take out the items before which nothing is missing."""
        while self._places:
            place = self._places[0]
            if isinstance(place, int):
                if place not in self._there:
                    return
                place = self._there.pop(place)
            self._places.popleft()
            yield place

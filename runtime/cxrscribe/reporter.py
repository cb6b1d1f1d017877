"""A loaded bundle that writes reports."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Final, Never, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxrscribe.arguments import MOST_AT_ONCE, none_or, several, shown, whole_number
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.disclaimer import with_disclaimer
from cxrscribe.errors import DecodingError, FilmError, InputError, Reason
from cxrscribe.films.film import film_name
from cxrscribe.films.isolation import Isolation
from cxrscribe.films.levels import Picture
from cxrscribe.films.read_ahead import FilmFeed, film_feed, read_batches
from cxrscribe.films.rules import FILM_MODALITIES
from cxrscribe.forks import Owner, keep_from_forks
from cxrscribe.indications import Indication, Indications
from cxrscribe.networks.encoder import FILMS_AT_ONCE, Encoder
from cxrscribe.report import Report
from cxrscribe.search.constraints import banned_ids
from cxrscribe.search.decoding import ReportOrError, raising, search_in_order
from cxrscribe.search.expander import Decoder
from cxrscribe.search.requests import FeatureMatrix, FeatureRows, Requests, RequestSource, feature_matrix
from cxrscribe.search.scheduler import IMAGES_AT_ONCE, Schedulers
from cxrscribe.sessions.session import Placement
from cxrscribe.settings import BeamSettings, settings_of_each, settings_of_stream
from cxrscribe.stats import DecodingStats
from cxrscribe.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pathlib import Path

    from cxrscribe.films.film import FilmSource, Pixels
    from cxrscribe.patient_text import PatientText

Tag = TypeVar("Tag")
Chosen = TypeVar("Chosen")
Films = TypeVar("Films", bound=Iterable["FilmSource"])
Item = TypeVar("Item")

_Encode: TypeAlias = Callable[["list[Pixels]", DecodingStats], NDArray[np.float32]]
_Tell: TypeAlias = Callable[[Indication, Picture], "tuple[NDArray[np.float32], str | None]"]
_NamedSettings: TypeAlias = tuple[str, BeamSettings, Indication]
"""What errors call a film, how its report is searched for, and what the call says of the patient."""

_GIVEN: Final = "given"

Settings: TypeAlias = BeamSettings | Sequence[BeamSettings]
SettingsStream: TypeAlias = BeamSettings | Iterable[BeamSettings]


@dataclass(frozen=True)
class OpenedBundle:
    """A bundle that has been opened on a device: what a Reporter is made of."""

    manifest: Manifest
    encoder: Encoder
    decoder: Decoder
    device: str
    """Name of the one that was chosen."""
    precision: str
    threads: int
    placement: tuple[Placement, ...]
    """Of each graph."""
    strict: bool = False
    isolation: Isolation = field(default_factory=Isolation)
    """Which films are decoded in processes of their own."""
    modalities: tuple[str, ...] = FILM_MODALITIES
    """Which modalities of DICOM are read; empty for all."""
    folder: Path | None = None
    """Where the bundle is; None for one that isn't in a folder."""
    patient_text: PatientText | None = None
    """How the model reads what is known of a patient; None where it sees the film alone."""
    indication_from_dicom: str | None = None
    """Keyword of the attribute of DICOM films that says it; None for none."""


class Reporter:
    """Writes a report for each film. Made by `cxrscribe.load`; a context manager that frees the model.

    May be used from several threads: every call has a state cache of its own, and calls of the network take
    turns, step by step, so that other calls go on while a stream is open. Every call takes `stats`, to which
    it adds what it did.

    A film that can't be read is a FilmError, and so is one whose search ends without any report. Where there
    are features and no film, such a search is a DecodingError.

    A model with a context (`reads_indications`) takes what is known of each patient, too, as `indication`; it
    writes a report without one as well. Where a call gives none, `load(indication_from_dicom=)` lets a film
    say it. Other models refuse any: SettingsError. docs/context.md says more.
    """

    def __init__(self, opened: OpenedBundle) -> None:
        self.manifest = opened.manifest
        self.device = opened.device
        """Where the model runs: `cpu`, `cuda`, ..."""
        self.precision = opened.precision
        self.threads = opened.threads
        """Threads of the CPU that each graph uses."""
        self.placement = opened.placement
        """Where the nodes of each graph really run, as onnxruntime says."""
        self.strict = opened.strict
        """Whether every call of the network has the same number of rows, whatever there is to do."""
        self.isolation = opened.isolation
        """Which films are decoded in processes of their own, and what each may take there."""
        self.modalities = opened.modalities
        """Which modalities of DICOM are read; empty for all."""
        self.folder = opened.folder
        """Where the bundle was opened; None for one that isn't in a folder."""
        self.indication_from_dicom = opened.indication_from_dicom
        """Which attribute of a DICOM film is its indication where a call gives none; None for none."""
        self._indications = Indications(opened.patient_text)
        schedulers = Schedulers(opened.decoder, self.vocabulary, strict=opened.strict)
        self._model = _Model(opened.encoder, schedulers)

    @property
    def vocabulary(self) -> Vocabulary:
        """The words that reports are made of; `vocabulary.words[id]` is a token's word."""
        return self.manifest.vocabulary

    @property
    def settings(self) -> BeamSettings:
        """The bundle's default beam settings."""
        return self.manifest.settings

    @property
    def disclaimer(self) -> str:
        """What every report has to say of itself wherever it leaves the system.

        The bundle's own words, behind the general disclaimer unless they hold it.
        """
        return with_disclaimer(self.manifest.disclaimer)

    @property
    def reads_indications(self) -> bool:
        """Whether the model takes what is known of a patient, and not the film alone."""
        return self._indications.text is not None

    def report(
        self,
        image: FilmSource,
        settings: BeamSettings | None = None,
        *,
        indication: Indication = None,
        stats: DecodingStats | None = None,
    ) -> Report:
        """The report of one film: a path, the bytes of a file, a PIL image, or uint8 [h, w].

        `indication`: what is known of the patient, such as "Chest pain. Smoker."

        Raises FilmError when it can't be read or its search ends without any report, SettingsError when a
        banned word isn't in the vocabulary, or an indication is given to a model that reads none.
        """
        told = None if indication is None else [indication]
        (outcome,) = self.report_batch([image], settings, indications=told, stats=stats)
        if isinstance(outcome, FilmError):
            raise outcome
        return outcome

    def report_batch(
        self,
        images: Sequence[FilmSource],
        settings: Settings | None = None,
        *,
        indications: Sequence[Indication] | None = None,
        stats: DecodingStats | None = None,
    ) -> list[Report | FilmError]:
        """One item for each film, in order: its report, or the FilmError that says why it has none.

        The FilmError of a film whose search ended without any report has the DecodingError as its cause.
        `settings` is one BeamSettings, one for each film, or None for the bundle's; `indications` is a text
        for each film, or None for a patient of whom nothing is known.
        """
        if not hasattr(type(_several(images)), "__len__"):
            raise InputError(
                f"images is {shown(images)}, whose number isn't known; give a list, or call `report_stream`"
            )
        each = settings_of_each(self._chosen(settings), len(images))
        patients = iter(self._indications.texts_of_each(indications, len(images)))
        return list(self._report_stream(images, each, patients, IMAGES_AT_ONCE, stats))

    def report_stream(
        self,
        images: Iterable[FilmSource],
        settings: SettingsStream | None = None,
        *,
        indications: Iterable[Indication] | None = None,
        batch_size: int = IMAGES_AT_ONCE,
        stats: DecodingStats | None = None,
    ) -> Iterator[Report | FilmError]:
        """As `report_batch`, for any iterable, endless ones too: items come in order, each once it is done.

        `batch_size` films, 1 to 4096, are searched for at a time; as soon as one is done, the next one takes
        its place.
        Of an iterable that is no sequence, those are searched for that it has given by then. Memory is
        bounded: at most `batch_size` films are read ahead, and a few times as many reports wait for one
        before them. `images` is iterated on a thread of its own. What it raises comes after the items of all
        films that it gave before.
        """
        patients = self._indications.texts_of_stream(indications)
        return self._report_stream(images, settings, patients, batch_size, stats)

    def _report_stream(
        self,
        images: Iterable[FilmSource],
        settings: SettingsStream | None,
        patients: Iterator[Indication],
        batch_size: int,
        stats: DecodingStats | None,
    ) -> Iterator[Report | FilmError]:
        counted = _counted(stats)
        batch_size = whole_number("batch_size", batch_size, 1, MOST_AT_ONCE)
        self._model.require_open()
        each = settings_of_stream(self._chosen(settings))
        named = (
            (film, (film_name(film), own, patient))
            for film, own, patient in zip(_several(images), each, patients, strict=False)
        )
        reports = self._reports(named, isinstance(images, Sequence), batch_size, counted)
        return _Stream(self._model, reports)

    def encode(
        self, images: Iterable[FilmSource], *, stats: DecodingStats | None = None
    ) -> NDArray[np.float32]:
        """Features float32 [N, F] of the films, for `decode_features`. Raises FilmError at a bad one."""
        counted = _counted(stats)
        self._model.require_open()
        parts = [np.empty((0, self.manifest.architecture.feature_size), np.float32)]
        tagged = ((image, None) for image in _several(images))
        read = self._read
        with closing(read_batches(tagged, read, self.threads, IMAGES_AT_ONCE, IMAGES_AT_ONCE)) as batches:
            while True:
                with counted.timed("read"):
                    batch = next(batches, None)
                if batch is None:
                    return np.concatenate(parts)
                counted.films += len(batch)
                counted.film_errors += sum(isinstance(picture, FilmError) for picture, _ in batch)
                parts.append(self._encode([_pixels(picture) for picture, _ in batch], counted))

    def encode_indications(self, indications: Sequence[Indication]) -> NDArray[np.float32]:
        """The numbers of each text, float32 [N, P], as the input `patient` of `report.onnx` takes them.

        Raises SettingsError for a model that reads none.
        """
        return self._indications.of_each(indications, len(indications))

    def decode_features(
        self,
        features: ArrayLike,
        settings: Settings | None = None,
        *,
        indications: Sequence[Indication] | None = None,
        stats: DecodingStats | None = None,
    ) -> list[Report]:
        """One report for each row of `features`, float32 [N, F] as `encode` gives them, in order.

        `settings` and `indications` are as for `report_batch`.

        Raises DecodingError when a search ends without any report.
        """
        rows = feature_matrix(features, self.manifest.architecture.feature_size)
        each = settings_of_each(self._chosen(settings), len(rows))
        starts = np.hstack((rows, self._indications.of_each(indications, len(rows))))
        source = FeatureMatrix(starts, each, self.vocabulary, IMAGES_AT_ONCE)
        return list(raising(self._search(source, IMAGES_AT_ONCE, _counted(stats))))

    def decode_stream(
        self,
        features: Iterable[ArrayLike],
        settings: SettingsStream | None = None,
        *,
        indications: Iterable[Indication] | None = None,
        batch_size: int = IMAGES_AT_ONCE,
        stats: DecodingStats | None = None,
    ) -> Iterator[Report]:
        """As `decode_features`, for any iterable of rows float32 [F]; bounded memory.

        `batch_size` images are searched for at a time; rows are taken so many at once, as there is room.
        """
        stats = _counted(stats)
        batch_size = whole_number("batch_size", batch_size, 1, MOST_AT_ONCE)
        self._model.require_open()
        size = self.manifest.architecture.feature_size
        patients = self._indications.of_stream(indications)
        source = FeatureRows(features, self._chosen(settings), self.vocabulary, batch_size, size, patients)
        return _Stream(self._model, raising(self._search(source, batch_size, stats)))

    def warmup(self, images: int = 1, settings: BeamSettings | None = None) -> None:
        """Run the model on `images` black films, so that the first films don't pay for what comes but once.

        That is memory, threads, and on a GPU the choice of kernels for these sizes. `settings` matters by its
        beam width. Raises InputError unless `images` is from 1 to 4096.
        """
        images = whole_number("images", images, 1, MOST_AT_ONCE)
        (settings,) = settings_of_each(self.settings if settings is None else settings, 1)
        size = (self.manifest.preprocessing.height, self.manifest.preprocessing.width)
        brief = replace(settings, max_length=2, min_length=0)
        features = self._encode([np.zeros(size, np.uint8)] * images, DecodingStats())
        starts = np.hstack((features, self._indications.of_each(None, images)))
        source = FeatureMatrix(starts, [brief] * images, self.vocabulary, images)
        for _ in self._search(source, IMAGES_AT_ONCE, None):
            pass

    def close(self) -> None:
        """Free the model; further calls raise InputError. Waits for the batch that is being worked on.

        Raises InputError in a process that was forked off: the model isn't its own.
        """
        self._model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._model.is_here:  # a forked process may leave the `with` too, and has nothing to free
            self.close()

    def __reduce__(self) -> Never:
        raise InputError("a reporter can't be copied or sent to another process; load its bundle there")

    def _reports(
        self,
        named: Iterable[tuple[FilmSource, _NamedSettings]],
        all_there: bool,
        batch_size: int,
        stats: DecodingStats,
    ) -> Generator[Report | FilmError, None, None]:
        read = self._read
        with film_feed(named, read, self.threads, batch_size) as feed:
            source = _FilmRequests(feed, self._encode, self._tell, all_there, batch_size, stats)
            with closing(self._search(source, batch_size, stats)) as outcomes:
                for outcome in outcomes:
                    name, display, told = source.arrived.popleft()
                    if isinstance(outcome, DecodingError):
                        yield _film_error(outcome, name)
                    elif isinstance(outcome, Report):
                        yield replace(outcome, display=display, indication_from=told)
                    else:
                        yield outcome

    def _search(
        self, source: RequestSource, batch_size: int, stats: DecodingStats | None
    ) -> Generator[ReportOrError, None, None]:
        """Search with a scheduler that nobody else uses meanwhile."""
        schedulers = self._model.schedulers
        scheduler = schedulers.take(batch_size)
        whole = False  # after any other end than these two, nobody knows what is in it
        try:
            yield from search_in_order(scheduler, source, stats, self._model)
            whole = True
        except GeneratorExit:
            whole = True
            raise
        finally:
            if whole:
                schedulers.give_back(scheduler)

    def _read(self, film: FilmSource) -> Picture:
        return self.manifest.preprocessing.read_shown(
            film, self.isolation, self.modalities, self.indication_from_dicom
        )

    def _tell(self, given: Indication, film: Picture) -> tuple[NDArray[np.float32], str | None]:
        """What is known of a film's patient, float32 [P], and where from: the call, or else the film."""
        text, source = given, _GIVEN
        if text is None:
            text, source = film.text, f"dicom:{self.indication_from_dicom}"
        return self._indications.encode(text), source if text and not text.isspace() else None

    def _encode(self, films: list[Pixels], stats: DecodingStats) -> NDArray[np.float32]:
        """Features float32 [N, F] of preprocessed films, each uint8 [H, W]."""
        size = (self.manifest.preprocessing.height, self.manifest.preprocessing.width)
        pictures = np.stack(films) if films else np.empty((0, *size), np.uint8)
        with self._model, stats.timed("encode"):
            return self._model.encoder.encode(pictures)

    def _chosen(self, settings: Chosen | None) -> Chosen | BeamSettings:
        """The settings to use. One that fits all films is checked before the first of them is read."""
        chosen = self.settings if settings is None else settings
        if isinstance(chosen, BeamSettings):
            banned_ids(chosen, self.vocabulary)
        return chosen


class _Stream(Iterator[Item]):
    """What a call gives, item by item; for the process that made the call only."""

    def __init__(self, model: _Model, items: Generator[Item, None, None]) -> None:
        self._model = model
        self._items = items
        # In another process, closing it would wait for threads and locks that nobody there lets go.
        keep_from_forks(items)

    def __next__(self) -> Item:
        self._model.require_here()
        return next(self._items)

    def close(self) -> None:
        """End it, whatever is left."""
        if self._model.is_here:
            self._items.close()


class _FilmRequests:
    """The RequestSource of films: read ahead, then through the encoder, a few at a time."""

    def __init__(
        self,
        feed: FilmFeed[Picture, _NamedSettings],
        encode: _Encode,
        tell: _Tell,
        all_there: bool,
        most: int,
        stats: DecodingStats,
    ) -> None:
        """At most `most` films at a time. `all_there`: whether all films are known from the start.

        Then a fetch may wait until it has as many as it may give. Otherwise whoever gives the films may wait
        for the report of one before giving the next, so that a fetch waits for one at most, and only if idle.
        """
        self._feed = feed
        self._encode = encode
        self._tell = tell
        self._most = min(FILMS_AT_ONCE, most)
        self._all_there = all_there
        self._stats = stats
        self.arrived: deque[tuple[str, str, str | None]] = deque()
        """Each film's name, how it is shown, and where what is known of its patient came from; whoever hands
        a film's item out takes its own away."""

    def fetch(self, idle: bool) -> Requests | None:
        with self._stats.timed("read"):
            batch = self._feed.take(self._most if self._all_there else int(idle), self._most)
        if not batch and self._feed.ended:
            return None
        errors = [picture if isinstance(picture, FilmError) else None for picture, _ in batch]
        pictures = [picture.pixels for picture, _ in batch if not isinstance(picture, FilmError)]
        self._stats.films += len(batch)
        self._stats.film_errors += len(batch) - len(pictures)
        features = self._encode(pictures, self._stats)
        patients = []
        for picture, (name, _, given) in batch:
            if isinstance(picture, FilmError):
                self.arrived.append((name, "", None))
                continue
            patient, told = self._tell(given, picture)
            patients.append(patient)
            self.arrived.append((name, picture.display, told))
        if patients:
            features = np.hstack((features, np.stack(patients)))
        readable = [settings for picture, (_, settings, _) in batch if not isinstance(picture, FilmError)]
        return Requests(features, readable, errors)


def _pixels(picture: Picture | FilmError) -> Pixels:
    if isinstance(picture, FilmError):
        raise picture
    return picture.pixels


def _film_error(error: DecodingError, name: str) -> FilmError:
    film_error = FilmError(f"{name}: {error}", Reason.SEARCH_FAILED)
    film_error.__cause__ = error
    return film_error


def _several(images: Films) -> Films:
    """`images`, unless it is one film in the place of several: the letters of a path would pass for paths."""
    if isinstance(images, str | bytes | bytearray | memoryview | os.PathLike):
        raise InputError(f"images is one film ({film_name(images)}); put it in a list, or call `report`")
    if isinstance(images, np.ndarray) and images.ndim < 3 and images.dtype.kind in "biuf":
        raise InputError(f"images is one array {list(images.shape)}; put it in a list, or call `report`")
    several("images", images, "films")
    return images


def _counted(stats: DecodingStats | None) -> DecodingStats:
    """What a call adds to. Raises InputError when that is something else."""
    none_or(DecodingStats, "stats", stats)
    return DecodingStats() if stats is None else stats


class _Model:
    """A reporter's networks. Calls take turns with them, each by entering; they are gone once it is closed.

    Raises InputError wherever they are used after that, or in a process that was forked off since.
    """

    def __init__(self, encoder: Encoder, schedulers: Schedulers) -> None:
        self._turn = RLock()
        self._parts: tuple[Encoder, Schedulers] | None = (encoder, schedulers)
        self._owner = Owner()

    @property
    def is_here(self) -> bool:
        """Whether it was loaded in this process."""
        return self._owner.is_here

    def require_here(self) -> None:
        self._owner.require("this reporter")

    @property
    def encoder(self) -> Encoder:
        return self.require_open()[0]

    @property
    def schedulers(self) -> Schedulers:
        return self.require_open()[1]

    def require_open(self) -> tuple[Encoder, Schedulers]:
        self.require_here()
        if self._parts is None:
            raise InputError("this reporter is closed; load the bundle again")
        return self._parts

    def close(self) -> None:
        self.require_here()
        with self._turn:
            self._parts = None

    def __enter__(self) -> None:
        self.require_here()  # the lock may be a thread's that isn't here
        self._turn.acquire()
        try:
            self.require_open()
        except InputError:
            self._turn.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._turn.release()

"""A loaded bundle that writes reports."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Final, Never, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxrscribe.arguments import MOST_AT_ONCE, none_or, several, shown, whole_number
from cxrscribe.disclaimer import with_disclaimer
from cxrscribe.errors import FilmError, InputError, SettingsError
from cxrscribe.film_requests import FilmRequests
from cxrscribe.films.film import film_name
from cxrscribe.films.levels import Picture
from cxrscribe.films.read_ahead import film_feed, read_batches
from cxrscribe.indications import Indication, Indications
from cxrscribe.opened_bundle import OpenedBundle
from cxrscribe.report import Report
from cxrscribe.search.constraints import banned_ids
from cxrscribe.search.decoding import ReportOrError, raising, search_in_order
from cxrscribe.search.requests import FeatureMatrix, FeatureRows, RequestSource, feature_matrix
from cxrscribe.search.scheduler import IMAGES_AT_ONCE, Schedulers
from cxrscribe.settings import BeamSettings, settings_of_each, settings_of_stream
from cxrscribe.shared_model import SharedModel, Stream
from cxrscribe.stats import DecodingStats
from cxrscribe.study import Image, Study, films_of, image_name, pooled
from cxrscribe.vocabulary import Vocabulary
from cxrscribe.wanted import Wanted

if TYPE_CHECKING:
    from cxrscribe.films.film import FilmSource, Pixels
    from cxrscribe.report_queue import ReportQueue

_MOST_WAITING: Final = 1_000_000

Chosen = TypeVar("Chosen")
Images = TypeVar("Images", bound=Iterable[Image])

Settings: TypeAlias = BeamSettings | Sequence[BeamSettings]
SettingsStream: TypeAlias = BeamSettings | Iterable[BeamSettings]


class Reporter:
    """Writes a report for each film. Made by `cxrscribe.load`; a context manager that frees the model.

    May be used from several threads: every call has a state cache of its own, and calls of the network take
    turns, step by step, so that other calls go on while a stream is open. Every call takes `stats`, to which
    it adds what it did.

    Wherever a call takes a film, it takes a Study, too, and gives one report for all films of that; a film is
    a study of one. A report says which films it was made without, for they can't be read: `left_out`.

    A film that can't be read is a FilmError, and so is a study without any that can, and one whose search
    ends without any report. Where there are features and no film, such a search is a DecodingError.

    A model with a context (`reads_indications`) takes what is known of each patient, too, as `indication`; it
    writes a report without one as well. Where a call gives none, `load(indication_from_dicom=)` lets a film
    say it. Other models refuse any: SettingsError. docs/context.md says more.
    """

    def __init__(self, opened: OpenedBundle) -> None:
        self.manifest = opened.manifest
        self.device = opened.device
        """Where the model runs: `cpu`, `cuda`, ..."""
        self.precision = opened.precision
        """Of encoder and decoder: `int8`, or two where they differ, `int8+fp32`."""
        self._engines = opened.engines
        self.choice = opened.choice
        """How `fastest` came to device and precision, and what else there was; None where they were given."""
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
        self._indications = Indications(opened.patient_text, opened.indication_from_dicom)
        schedulers = Schedulers(opened.decoder, self.vocabulary, strict=opened.strict)
        self._model = SharedModel(opened.encoder, schedulers)

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
        image: Image,
        settings: BeamSettings | None = None,
        *,
        indication: Indication = None,
        stats: DecodingStats | None = None,
    ) -> Report:
        """The report of one film: a path, the bytes of a file, a PIL image, or uint8 [h, w]; or of a Study.

        `indication`: what is known of the patient, such as "Chest pain. Smoker." A study may bring its own.

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
        images: Sequence[Image],
        settings: Settings | None = None,
        *,
        indications: Sequence[Indication] | None = None,
        stats: DecodingStats | None = None,
    ) -> list[Report | FilmError]:
        """One item for each film or Study, in order: its report, or the FilmError that says why it has none.

        The FilmError of a film whose search ended without any report has the DecodingError as its cause.
        `settings` is one BeamSettings, one for each image, or None for the bundle's; `indications` is a text
        for each image, or None for a patient of whom nothing is known. Where they are given, no study may
        bring one of its own: SettingsError.
        """
        if not hasattr(type(_several(images)), "__len__"):
            raise InputError(
                f"images is {shown(images)}, whose number isn't known; give a list, or call `report_stream`"
            )
        each = settings_of_each(self._chosen(settings), len(images))
        texts = iter(self._indications.texts_of_each(indications, len(images)))
        told = indications is not None
        if isinstance(images, list | tuple):  # other sequences may make a film whenever they are asked for it
            for image in images:
                if isinstance(image, Study):
                    self._indication_of(image, None, told)
        return list(self._report_stream(images, each, texts, told, IMAGES_AT_ONCE, stats))

    def report_stream(
        self,
        images: Iterable[Image],
        settings: SettingsStream | None = None,
        *,
        indications: Iterable[Indication] | None = None,
        batch_size: int = IMAGES_AT_ONCE,
        stats: DecodingStats | None = None,
    ) -> Iterator[Report | FilmError]:
        """As `report_batch`, for any iterable, endless ones too: items come in order, each once it is done.

        `batch_size` images, 1 to 4096, are searched for at a time; as soon as one is done, the next one takes
        its place.
        Of an iterable that is no sequence, those are searched for that it has given by then. Memory is
        bounded: at most `batch_size` films are read ahead, and a few times as many reports wait for one
        before them. `images` is iterated on a thread of its own. What it raises comes after the items of all
        films that it gave before.
        """
        texts = self._indications.texts_of_stream(indications)
        return self._report_stream(images, settings, texts, indications is not None, batch_size, stats)

    def _report_stream(
        self,
        images: Iterable[Image],
        settings: SettingsStream | None,
        texts: Iterator[Indication],
        told: bool,
        batch_size: int,
        stats: DecodingStats | None,
    ) -> Iterator[Report | FilmError]:
        counted = self._counted(stats)
        batch_size = whole_number("batch_size", batch_size, 1, MOST_AT_ONCE)
        self._model.require_open()
        each = settings_of_stream(self._chosen(settings))
        wanted = (
            (image, Wanted(image_name(image), own, self._indication_of(image, text, told)))
            for image, own, text in zip(_several(images), each, texts, strict=False)
        )
        reports = self._reports(wanted, isinstance(images, Sequence), batch_size, counted)
        return Stream(self._model, reports)

    def queue(
        self,
        *,
        batch_size: int = IMAGES_AT_ONCE,
        most_waiting: int = 1024,
        stats: DecodingStats | None = None,
        on_read: Callable[[float], None] | None = None,
    ) -> ReportQueue:
        """A queue for a service: films come and go one by one, each report is there as soon as it is done.

        `batch_size` images, 1 to 4096, are searched for at a time, and share each call of the network. At
        most `most_waiting` requests, 1 to 1,000,000, are in it. `stats` is the queue's until it is closed.
        `on_read` is told how many seconds each film took to read, on the thread that read it.

            with reporter.queue() as queue:
                futures = [queue.submit(film) for film in films]
                for future in concurrent.futures.as_completed(futures):
                    print(future.result().text)
        """
        from cxrscribe.queue_ticket import QueueParts
        from cxrscribe.report_queue import ReportQueue  # few callers need one

        counted = self._counted(stats)
        batch_size = whole_number("batch_size", batch_size, 1, MOST_AT_ONCE)
        most_waiting = whole_number("most_waiting", most_waiting, 1, _MOST_WAITING)
        self._model.require_open()
        parts = QueueParts(
            self._model, self._read, self._encode, self._indications, self._wanted, self.threads, on_read
        )
        return ReportQueue(parts, batch_size, most_waiting, counted)

    def encode(self, images: Iterable[Image], *, stats: DecodingStats | None = None) -> NDArray[np.float32]:
        """Features float32 [N, F], for `decode_features`: one row a film, and one a Study, pooled.

        Raises FilmError at a film that can't be read, of a study too.
        """
        counted = self._counted(stats)
        self._model.require_open()
        parts = [np.empty((0, self.manifest.architecture.feature_size), np.float32)]
        films = films_of((image, None) for image in _several(images))
        of_image: list[NDArray[np.float32]] = []  # whose films are being read
        with closing(
            read_batches(films, self._read, self.threads, IMAGES_AT_ONCE, IMAGES_AT_ONCE)
        ) as batches:
            while True:
                with counted.timed("read"):
                    batch = next(batches, None)
                if batch is None:
                    return np.concatenate(parts)
                counted.films += len(batch)
                counted.film_errors += sum(isinstance(picture, FilmError) for picture, _ in batch)
                rows = self._encode([_pixels(picture) for picture, _ in batch], counted)
                for row, (_, (_, is_last)) in zip(rows, batch, strict=True):
                    of_image.append(row)
                    if is_last:
                        parts.append(pooled(of_image)[np.newaxis])
                        of_image.clear()

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
        return list(raising(self._search(source, IMAGES_AT_ONCE, self._counted(stats))))

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
        stats = self._counted(stats)
        batch_size = whole_number("batch_size", batch_size, 1, MOST_AT_ONCE)
        self._model.require_open()
        size = self.manifest.architecture.feature_size
        patients = self._indications.of_stream(indications)
        source = FeatureRows(features, self._chosen(settings), self.vocabulary, batch_size, size, patients)
        return Stream(self._model, raising(self._search(source, batch_size, stats)))

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
        wanted: Iterable[tuple[Image, Wanted]],
        all_there: bool,
        batch_size: int,
        stats: DecodingStats,
    ) -> Generator[Report | FilmError, None, None]:
        with film_feed(films_of(wanted), self._read, self.threads, batch_size) as feed:
            source = FilmRequests(feed, self._encode, self._indications, all_there, batch_size, stats)
            with closing(self._search(source, batch_size, stats)) as outcomes:
                for outcome in outcomes:
                    yield source.item(outcome)

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

    def _wanted(self, image: Image, settings: BeamSettings | None, indication: Indication) -> Wanted:
        """What one request asks for. Raises as `report` does."""
        (own,) = settings_of_each(self._chosen(settings), 1)
        told = None if indication is None else [indication]
        (text,) = self._indications.texts_of_each(told, 1)
        return Wanted(image_name(image), own, self._indication_of(image, text, told is not None))

    def _read(self, film: FilmSource) -> Picture:
        return self.manifest.preprocessing.read_shown(
            film, self.isolation, self.modalities, self.indication_from_dicom
        )

    def _encode(self, films: list[Pixels], stats: DecodingStats) -> NDArray[np.float32]:
        """Features float32 [N, F] of preprocessed films, each uint8 [H, W]."""
        size = (self.manifest.preprocessing.height, self.manifest.preprocessing.width)
        pictures = np.stack(films) if films else np.empty((0, *size), np.uint8)
        with self._model.encoding, stats.timed("encode"):
            return self._model.encoder.encode(pictures)

    def _indication_of(self, image: Image, text: Indication, told: bool) -> Indication:
        """What a call says of an image's patient: what its study says, or else `text`.

        `told`: whether the call has indications.
        """
        own = image.indication if isinstance(image, Study) else None
        if own is None:
            return text
        if told:
            raise SettingsError(
                "a study has an indication, and the call has some too; give each patient's once, in the "
                "study or beside it"
            )
        self._indications.check_read("an indication is given")
        return own

    def _counted(self, stats: DecodingStats | None) -> DecodingStats:
        """What a call adds to. Raises InputError when that is something else."""
        none_or(DecodingStats, "stats", stats)
        counted = DecodingStats() if stats is None else stats
        counted.encoder, counted.decoder = self._engines
        return counted

    def _chosen(self, settings: Chosen | None) -> Chosen | BeamSettings:
        """The settings to use. One that fits all films is checked before the first of them is read."""
        chosen = self.settings if settings is None else settings
        if isinstance(chosen, BeamSettings):
            banned_ids(chosen, self.vocabulary)
        return chosen


def _pixels(picture: Picture | FilmError) -> Pixels:
    if isinstance(picture, FilmError):
        raise picture
    return picture.pixels


def _several(images: Images) -> Images:
    """`images`, unless it is one in the place of several: the letters of a path would pass for paths."""
    given: object = images
    if isinstance(given, Study):
        raise InputError("images is one study; put it in a list, or call `report`")
    if isinstance(images, str | bytes | bytearray | memoryview | os.PathLike):
        raise InputError(f"images is one film ({film_name(images)}); put it in a list, or call `report`")
    if isinstance(images, np.ndarray) and images.ndim < 3 and images.dtype.kind in "biuf":
        raise InputError(f"images is one array {list(images.shape)}; put it in a list, or call `report`")
    several("images", images, "films")
    return images

"""A loaded bundle that writes reports."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxrscribe.constraints import banned_ids
from cxrscribe.decoder import IMAGES_AT_ONCE, decode_batch, feature_matrix, search_in_batches
from cxrscribe.disclaimer import with_disclaimer
from cxrscribe.encoder import Encoder
from cxrscribe.errors import DecodingError, FilmError, InputError
from cxrscribe.film import film_name
from cxrscribe.manifest import Manifest
from cxrscribe.onnx_step import OnnxStep
from cxrscribe.read_ahead import Batch, read_batches
from cxrscribe.report import Report
from cxrscribe.settings import BeamSettings, settings_of_each, settings_of_stream
from cxrscribe.stats import DecodingStats
from cxrscribe.vocabulary import Vocabulary

if TYPE_CHECKING:
    from cxrscribe.film import FilmSource, Pixels

Tag = TypeVar("Tag")
Chosen = TypeVar("Chosen")
Films = TypeVar("Films", bound=Iterable["FilmSource"])

_NamedSettings: TypeAlias = tuple[str, BeamSettings]
"""What errors call a film, and how its report is searched for."""

Settings: TypeAlias = BeamSettings | Sequence[BeamSettings]
SettingsStream: TypeAlias = BeamSettings | Iterable[BeamSettings]


class Reporter:
    """Writes a report for each film. Made by `cxrscribe.load`; a context manager that frees the model.

    May be used from several threads: their batches take turns. A stream takes its turn batch by batch, so
    other calls go on while it is open. Every call takes `stats`, to which it adds what it did.

    A film that can't be read is a FilmError, and so is one whose search ends without any report. Where there
    are features and no film, such a search is a DecodingError.
    """

    def __init__(
        self,
        manifest: Manifest,
        encoder: Encoder,
        step: OnnxStep,
        *,
        device: str,
        precision: str,
        threads: int,
    ) -> None:
        self.manifest = manifest
        self.device = device
        """Where the model runs: `cpu` or `cuda`."""
        self.precision = precision
        self.threads = threads
        """Threads of the CPU that each graph uses."""
        self._model: tuple[Encoder, OnnxStep] | None = (encoder, step)
        self._turn = RLock()

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

    def report(
        self,
        image: FilmSource,
        settings: BeamSettings | None = None,
        *,
        stats: DecodingStats | None = None,
    ) -> Report:
        """The report of one film: a path, the bytes of a file, a PIL image, or uint8 [h, w].

        Raises FilmError when it can't be read or its search ends without any report, SettingsError when a
        banned word isn't in the vocabulary.
        """
        (outcome,) = self.report_batch([image], settings, stats=stats)
        if isinstance(outcome, FilmError):
            raise outcome
        return outcome

    def report_batch(
        self,
        images: Sequence[FilmSource],
        settings: Settings | None = None,
        *,
        stats: DecodingStats | None = None,
    ) -> list[Report | FilmError]:
        """One item for each film, in order: its report, or the FilmError that says why it has none.

        The FilmError of a film whose search ended without any report has the DecodingError as its cause.
        `settings` is one BeamSettings, one for each film, or None for the bundle's.
        """
        each = settings_of_each(self._chosen(settings), len(_several(images)))
        return list(self.report_stream(images, each, stats=stats))

    def report_stream(
        self,
        images: Iterable[FilmSource],
        settings: SettingsStream | None = None,
        *,
        batch_size: int = IMAGES_AT_ONCE,
        stats: DecodingStats | None = None,
    ) -> Iterator[Report | FilmError]:
        """As `report_batch`, for any iterable, endless ones too: an item comes when its batch is done.

        The batches of a sequence are full. Of any other iterable, a batch is what it has given by the time
        that the model is free, at most `batch_size` films. At most two batches are held: the next one is read
        while one is worked on. `images` is iterated on a thread of its own. What it raises comes after the
        items of all films that it gave before.
        """
        counted = stats if stats is not None else DecodingStats()
        _check_batch_size(batch_size)
        self._loaded()
        pairs = zip(_several(images), settings_of_stream(self._chosen(settings)), strict=False)
        named = ((film, (film_name(film), each)) for film, each in pairs)
        least = batch_size if isinstance(images, Sequence) else 1
        return self._reports(self._read(named, least, batch_size, counted), counted)

    def encode(
        self, images: Iterable[FilmSource], *, stats: DecodingStats | None = None
    ) -> NDArray[np.float32]:
        """Features float32 [N, F] of the films, for `decode_features`. Raises FilmError at a bad one."""
        counted = stats if stats is not None else DecodingStats()
        self._loaded()
        parts = [np.empty((0, self.manifest.architecture.feature_size), np.float32)]
        tagged = ((image, None) for image in _several(images))
        with closing(self._read(tagged, IMAGES_AT_ONCE, IMAGES_AT_ONCE, counted)) as batches:
            parts += (self._encode([_pixels(film) for film, _ in batch], counted) for batch in batches)
        return np.concatenate(parts)

    def decode_features(
        self,
        features: ArrayLike,
        settings: Settings | None = None,
        *,
        stats: DecodingStats | None = None,
    ) -> list[Report]:
        """One report for each row of `features`, float32 [N, F] as `encode` gives them, in order.

        Raises DecodingError when a search ends without any report.
        """
        rows = feature_matrix(features)
        each = settings_of_each(self._chosen(settings), len(rows))
        return list(self.decode_stream(rows, each, stats=stats))

    def decode_stream(
        self,
        features: Iterable[ArrayLike],
        settings: SettingsStream | None = None,
        *,
        batch_size: int = IMAGES_AT_ONCE,
        stats: DecodingStats | None = None,
    ) -> Iterator[Report]:
        """As `decode_features`, for any iterable of rows float32 [F]; one batch of them is held."""
        counted = stats if stats is not None else DecodingStats()
        _check_batch_size(batch_size)
        self._loaded()
        return search_in_batches(
            features, self._chosen(settings), partial(self._decode, stats=counted), batch_size
        )

    def close(self) -> None:
        """Free the model; further calls raise InputError. Waits for the batch that is being worked on."""
        with self._turn:
            self._model = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reports(
        self, batches: Generator[Batch[_NamedSettings], None, None], stats: DecodingStats
    ) -> Iterator[Report | FilmError]:
        with closing(batches):
            for batch in batches:
                read = [(film, each) for film, (_, each) in batch if not isinstance(film, FilmError)]
                features = self._encode([film for film, _ in read], stats)
                reports = iter(self._decode(features, [each for _, each in read], stats))
                for film, (name, _) in batch:
                    yield film if isinstance(film, FilmError) else _outcome(next(reports), name)

    def _read(
        self, films: Iterable[tuple[FilmSource, Tag]], least: int, most: int, stats: DecodingStats
    ) -> Generator[Batch[Tag], None, None]:
        batches = read_batches(films, self.manifest.preprocessing.read, self.threads, least, most)
        with closing(batches):
            while True:
                with stats.timed("read"):
                    batch = next(batches, None)
                if batch is None:
                    return
                stats.films += len(batch)
                stats.film_errors += sum(isinstance(film, FilmError) for film, _ in batch)
                yield batch

    def _encode(self, films: list[Pixels], stats: DecodingStats) -> NDArray[np.float32]:
        """Features float32 [N, F] of preprocessed films, each uint8 [H, W]."""
        size = (self.manifest.preprocessing.height, self.manifest.preprocessing.width)
        pictures = np.stack(films) if films else np.empty((0, *size), np.uint8)
        with self._turn, stats.timed("encode"):
            encoder, _ = self._loaded()
            return encoder.encode(pictures)

    def _decode(
        self, features: NDArray[np.float32], settings: list[BeamSettings], stats: DecodingStats
    ) -> list[Report | DecodingError]:
        expected = self.manifest.architecture.feature_size
        if features.shape[1] != expected:
            raise InputError(
                f"features have {features.shape[1]} numbers a film, but this bundle takes {expected}; "
                "make them with this bundle's encoder"
            )
        with self._turn:
            _, step = self._loaded()
            return decode_batch(step, self.vocabulary, features, settings, stats)

    def _loaded(self) -> tuple[Encoder, OnnxStep]:
        if self._model is None:
            raise InputError("this reporter is closed; load the bundle again")
        return self._model

    def _chosen(self, settings: Chosen | None) -> Chosen | BeamSettings:
        """The settings to use. One that fits all films is checked before the first of them is read."""
        chosen = self.settings if settings is None else settings
        if isinstance(chosen, BeamSettings):
            banned_ids(chosen, self.vocabulary)
        return chosen


def _pixels(film: Pixels | FilmError) -> Pixels:
    if isinstance(film, FilmError):
        raise film
    return film


def _outcome(report: Report | DecodingError, name: str) -> Report | FilmError:
    if isinstance(report, Report):
        return report
    error = FilmError(f"{name}: {report}")
    error.__cause__ = report
    return error


def _several(images: Films) -> Films:
    """`images`, unless it is one film in the place of several: the letters of a path would pass for paths."""
    if isinstance(images, str | bytes | bytearray | memoryview | os.PathLike):
        raise InputError(f"images is one film ({film_name(images)}); put it in a list, or call `report`")
    return images


def _check_batch_size(batch_size: int) -> None:
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f"batch_size is {batch_size!r}; give a whole number of at least 1")

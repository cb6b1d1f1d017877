"""What is evaluated: a bundle on ONNX Runtime, or a run folder on Paddle, behind one interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.files import sha256_of
from cxrscribe.bundle.manifest import MANIFEST_NAME, Manifest
from cxrscribe.disclaimer import disclaimer_of
from cxrscribe.errors import FilmError, InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.indications import Indications
from cxrscribe.settings import BeamSettings
from cxrscribe.study import Image, Study, pooled
from cxrscribe_train.evaluation.metrics.bleu import Words
from cxrscribe_train.evaluation.subject import By, Film
from cxrscribe_train.fitting.config import Views
from cxrscribe_train.fitting.consensus import in_description

if TYPE_CHECKING:
    from cxrscribe_train.run import Run

ENCODER_WEIGHTS: Final = "encoder.safetensors"
DECODER_WEIGHTS: Final = "decoder.safetensors"
_RUN_FILE: Final = "run.json"
_FILMS_AT_ONCE: Final = 32


class Ablation(StrEnum):
    """An input of a model, taken away to see what its reports owe to it. The names are those of columns."""

    WITHOUT_FILM = "without_film"
    """Every film gets the mean features of some: there is a film, but not this one."""
    WITHOUT_TEXT = "without_text"
    """The patient's text is absent. For models that read one."""


@dataclass(frozen=True)
class ModelIdentity:
    """Which model it is. `sha256` is that of the bundle's manifest, or of the run's decoder weights."""

    kind: str
    name: str
    sha256: str
    encoder_sha256: str | None
    """Of the safetensors file that the encoder was made from; None where a bundle doesn't say."""
    decoder_sha256: str | None
    """Of the one that the decoder was made from; None likewise."""
    targets: str | None = None
    """In words, what it was taught in place of the films' own reports; None where those were taught."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values; `targets` only where it says something."""
        return {
            "kind": self.kind,
            "name": self.name,
            "sha256": self.sha256,
            "encoder_sha256": self.encoder_sha256,
            "decoder_sha256": self.decoder_sha256,
            **({} if self.targets is None else {"targets": self.targets}),
        }


class ReportModel(Protocol):
    """A model that writes reports, as words. A context manager."""

    @property
    def identity(self) -> ModelIdentity:
        """Which model it is."""

    @property
    def disclaimer(self) -> str:
        """What its reports have to say of themselves."""

    @property
    def settings(self) -> BeamSettings:
        """Its default beam settings."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How its encoder takes films."""

    @property
    def ablations(self) -> tuple[Ablation, ...]:
        """The inputs that it has and can be asked to do without."""

    @property
    def by(self) -> By:
        """What it was trained to write one report for, as far as that is known."""

    def from_films(self, films: Sequence[Film], settings: BeamSettings) -> Iterator[Words | FilmError]:
        """One report a film, in order; that film's error where it can't be read.

        A film together with others gets one report with them, and none where one of them can't be read. A
        model that reads the patient's text gets each film's INDICATION.
        """

    def from_features(
        self,
        features: NDArray[np.float32],
        settings: BeamSettings,
        indications: Sequence[str] | None = None,
    ) -> Iterator[Words]:
        """One report a row of `features`, float32 [N, F].

        `indications`: the text of each patient, for a model that reads one; None where nothing is known.
        """

    def encode(self, films: Sequence[Film]) -> NDArray[np.float32]:
        """Features float32 [n, F] of films that can be read; pooled, of those that are together."""

    def __enter__(self) -> ReportModel: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def is_run(path: Path) -> bool:
    """Whether the folder is a run, and no bundle."""
    return not (path / MANIFEST_NAME).is_file() and (path / _RUN_FILE).is_file()


def open_model(path: Path, device: str = "auto") -> ReportModel:
    """Open the bundle or run folder at `path`. Raises InputError when it is neither.

    `device` is a device of `cxrscribe.load` for a bundle; for a run it is `auto`, `cpu` or `cuda`.
    """
    if (path / MANIFEST_NAME).is_file():
        return BundleModel(path, device)
    if (path / _RUN_FILE).is_file():
        return RunModel(path, device)
    raise InputError(
        f"{path} is neither a bundle ({MANIFEST_NAME}) nor a run folder ({_RUN_FILE}); "
        "give what `cxrscribe export` or `cxrscribe train` wrote"
    )


class BundleModel:
    """The ReportModel of a bundle, run by the runtime that users run."""

    def __init__(self, path: Path, device: str) -> None:
        import cxrscribe

        self._manifest = Manifest.read(path)
        self._reporter = cxrscribe.load(path, device=device, modalities=())
        weights = self._manifest.provenance.sha256
        self.identity = ModelIdentity(
            kind="bundle",
            name=path.resolve().name,
            sha256=sha256_of(path / MANIFEST_NAME),
            encoder_sha256=weights.get(ENCODER_WEIGHTS),
            decoder_sha256=weights.get(DECODER_WEIGHTS),
            targets=in_description(self._manifest.provenance.description),
        )
        self.disclaimer = self._reporter.disclaimer
        self.settings = self._manifest.settings
        self.ablations = _ablations(reads_text=self._reporter.reads_indications)
        self.by = By.IMAGE
        self.preprocessing = self._manifest.preprocessing

    def from_films(self, films: Sequence[Film], settings: BeamSettings) -> Iterator[Words | FilmError]:
        there = [film for film in films if film.path]
        told = [film.indication for film in there] if self._reporter.reads_indications else None
        images = [_image(film) for film in there]
        for report in self._reporter.report_stream(images, settings, indications=told):
            if isinstance(report, FilmError):
                yield report
            elif report.left_out:
                yield FilmError("; ".join(str(film.error) for film in report.left_out))
            else:
                yield self._words(report.tokens)

    def from_features(
        self,
        features: NDArray[np.float32],
        settings: BeamSettings,
        indications: Sequence[str] | None = None,
    ) -> Iterator[Words]:
        told = indications if self._reporter.reads_indications else None
        for report in self._reporter.decode_stream(features, settings, indications=told):
            yield self._words(report.tokens)

    def encode(self, films: Sequence[Film]) -> NDArray[np.float32]:
        return self._reporter.encode([_image(film) for film in films if film.path])

    def _words(self, tokens: Sequence[int]) -> Words:
        return tuple(self._manifest.vocabulary.decode(tokens))

    def __enter__(self) -> BundleModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reporter.__exit__(kind, error, trace)


class RunModel:
    """The ReportModel of a run folder: encoder and decoder on Paddle, under the runtime's beam search."""

    def __init__(self, path: Path, device: str) -> None:
        from cxrscribe_train.run import Run
        from cxrscribe_train.step import PaddleStep

        _choose_paddle_device(device)
        self._run: Run = Run.open(path)
        self._step = PaddleStep(self._run.decoder())
        decoder_sha256 = sha256_of(path / DECODER_WEIGHTS)
        self.identity = ModelIdentity(
            kind="run",
            name=path.resolve().name,
            sha256=decoder_sha256,
            encoder_sha256=sha256_of(path / ENCODER_WEIGHTS),
            decoder_sha256=decoder_sha256,
            targets=None if self._run.targets is None else str(self._run.targets),
        )
        self.disclaimer = disclaimer_of(drawn=self._run.corpus.drawn)
        self.settings: BeamSettings = self._run.settings
        self._indications = Indications(self._run.patient_text())
        self.ablations = _ablations(reads_text=self._indications.text is not None)
        self.by = By.STUDY if self._run.config.fit.views == Views.ALL else By.IMAGE
        self.preprocessing: Preprocessing = self._run.preprocessing

    def from_films(self, films: Sequence[Film], settings: BeamSettings) -> Iterator[Words | FilmError]:
        waiting: list[tuple[Film, NDArray[np.float32] | FilmError]] = []
        for each in self._encoded([film for film in films if film.path]):
            waiting.append(each)
            if len(waiting) == _FILMS_AT_ONCE:
                yield from self._reports(waiting, settings)
                waiting.clear()
        yield from self._reports(waiting, settings)

    def encode(self, films: Sequence[Film]) -> NDArray[np.float32]:
        encoded = self._encoded([film for film in films if film.path])
        return np.stack([row for _, row in encoded if not isinstance(row, FilmError)])

    def _reports(
        self, encoded: Sequence[tuple[Film, NDArray[np.float32] | FilmError]], settings: BeamSettings
    ) -> Iterator[Words | FilmError]:
        readable = [(row, film.indication) for film, row in encoded if not isinstance(row, FilmError)]
        reports: Iterator[Words] = iter(())
        if readable:
            features = np.stack([row for row, _ in readable])
            reports = self.from_features(features, settings, [text for _, text in readable])
        for _, row in encoded:
            yield row if isinstance(row, FilmError) else next(reports)

    def _encoded(self, films: Sequence[Film]) -> Iterator[tuple[Film, NDArray[np.float32] | FilmError]]:
        """Each film with its features float32 [F], pooled with those that are together with it."""
        rows = self._rows([each for film in films for each in film.pooled])
        for film in films:
            own = list(islice(rows, len(film.pooled)))
            errors = [str(row) for row in own if isinstance(row, FilmError)]
            readable = [row for row in own if not isinstance(row, FilmError)]
            yield film, FilmError("; ".join(errors)) if errors else pooled(readable)

    def _rows(self, films: Sequence[Film]) -> Iterator[NDArray[np.float32] | FilmError]:
        """The features float32 [F] of each film by itself."""
        from cxrscribe_train.corpus.films import DamagedFilm, read_films
        from cxrscribe_train.features import encode_batch

        encoder = self._run.encoder()
        read = read_films([(film.image_id, film.path) for film in films if film.path], self.preprocessing)
        while batch := [film for _, film in islice(read, _FILMS_AT_ONCE)]:
            pixels = [film for film in batch if not isinstance(film, DamagedFilm)]
            features = iter(encode_batch(encoder, np.stack(pixels)) if pixels else ())
            for film in batch:
                yield FilmError(film.reason) if isinstance(film, DamagedFilm) else next(features)

    def from_features(
        self,
        features: NDArray[np.float32],
        settings: BeamSettings,
        indications: Sequence[str] | None = None,
    ) -> Iterator[Words]:
        from cxrscribe.search.decoding import decode_stream

        vocabulary = self._run.vocabulary
        told = indications if self._indications.text is not None else None
        starts = np.hstack((features, self._indications.of_each(told, len(features))))
        for report in decode_stream(self._step, vocabulary, starts, settings):
            yield tuple(vocabulary.decode(report.tokens))

    def __enter__(self) -> RunModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def _image(film: Film) -> Image:
    """What a reporter takes for a film, or for one together with others."""
    paths = [each.path for each in film.pooled if each.path]
    return paths[0] if len(paths) == 1 else Study(paths)


def _ablations(*, reads_text: bool) -> tuple[Ablation, ...]:
    """What a model can be asked to do without."""
    return (Ablation.WITHOUT_FILM, Ablation.WITHOUT_TEXT) if reads_text else (Ablation.WITHOUT_FILM,)


def _choose_paddle_device(device: str) -> None:
    import paddle

    from cxrscribe.errors import DeviceError

    if device not in {"auto", "cpu", "cuda"}:
        raise DeviceError(
            f"device {device!r} can't run a run folder; choose auto, cpu or cuda, or export a bundle"
        )
    has_cuda = paddle.device.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
    if device == "cuda" and not has_cuda:
        raise DeviceError(
            "device 'cuda' is not available to Paddle here; install paddlepaddle-gpu or choose cpu"
        )
    paddle.set_device("gpu" if has_cuda and device != "cpu" else "cpu")

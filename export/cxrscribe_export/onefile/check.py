"""A file held against the runtime before it is written: the same words of drawn films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

import cxrscribe
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.contract import PATIENT_TEXT
from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.precision_pair import FP16, PrecisionPair
from cxrscribe.errors import BundleError, DecodingError, DeviceError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.patient_text import PatientText
from cxrscribe.reporter import Reporter
from cxrscribe.sessions.device import import_onnxruntime
from cxrscribe.settings import BeamSettings
from cxrscribe_export.onefile.file import FEATURES, PATIENT
from cxrscribe_export.onefile.letterbox import letterbox_model
from cxrscribe_export.onefile.limits import given_settings
from cxrscribe_export.onefile.variant import ENCODER, FILM, IMAGE, INPUTS, SEARCH, Variant

FILMS: Final = 8
"""How many are drawn for the command."""
SEED: Final = 31
"""Of these films; the demo model was trained on others."""

_NEAR: Final = 1e-3
"""How far scores may be apart: in other company, sums round otherwise. Results as near may change places."""
_NEAR_IN_HALF: Final = 2e-2
"""The same where graphs of the bundle compute in float16."""

Film = NDArray[np.uint8]


@dataclass(frozen=True)
class Agreement:
    """Of how many films a file and the runtime write the same."""

    films: int
    same_best: int
    """Whose best report has the same words."""
    same_words: int
    """Whose results all have the same words, in the same order."""

    def to_json(self) -> dict[str, int]:
        """The fields by name."""
        return {"films": self.films, "same_best": self.same_best, "same_words": self.same_words}


class _Result(NamedTuple):
    words: tuple[int, ...]
    finished: bool
    score: float


def check(
    file: bytes,
    bundle: Bundle,
    precision: str,
    settings: BeamSettings,
    variant: Variant,
    films: int = FILMS,
) -> Agreement:
    """Run `file`, which `one_file` made of the others, on so many drawn films, and the runtime too.

    Raises BundleError where the file's weights are float32 and its words or scores are others, but for near
    ties; DeviceError where onnxruntime doesn't run it, or fits a film otherwise than the runtime.
    """
    if variant.input == FILM:
        check_letterbox(bundle.manifest.preprocessing)
    near = _NEAR_IN_HALF if FP16 in PrecisionPair.parse(precision).graphs else _NEAR
    drawn = drawn_films(films)
    texts = _texts(bundle, films)
    everything = replace(settings, n_best=settings.beam_width)
    with cxrscribe.load(bundle.path, device="cpu", precision=precision, cache=False) as reporter:
        features = reporter.encode(drawn)
        patient = reporter.encode_indications(texts) if _reads_text(bundle) else None
        wanted = _decoded(reporter, features, everything, texts)
        run = _File(file, bundle, settings, variant)
        if variant.part == ENCODER:
            found = _decoded(reporter, run.features(drawn), everything, texts)
        else:
            found = run.results(features if variant.part == SEARCH else drawn, patient)
    for film, (own, other) in enumerate(zip(found, wanted, strict=True), 1):
        if variant.weights == FP32 and not _agree(own, other, near):
            raise BundleError(
                f"{bundle.path}: of drawn film {film} of {films} the file writes other words or scores than "
                "the runtime, and wasn't kept. Export the bundle again, or choose another --precision"
            )
    return Agreement(
        films,
        sum(_words(own[:1]) == _words(other[:1]) for own, other in zip(found, wanted, strict=True)),
        sum(_words(own) == _words(other) for own, other in zip(found, wanted, strict=True)),
    )


def check_letterbox(picture: Preprocessing) -> None:
    """Fit films of some sizes by a graph too. Raises DeviceError where its pixels aren't the runtime's."""
    height, width = picture.height, picture.width
    session = _session(letterbox_model(height, width).SerializeToString())
    random = np.random.default_rng(0)
    for size in (
        (height, width),
        (height + 1, width),
        (7 * height + 3, 5 * width + 2),
        (2 * height, 4 * width + 1),
        (16, 3 * width),
        (6 * height + 5, 17),
        (max(1, height // 2), max(1, width // 3)),
    ):
        film = random.integers(0, 256, size, np.uint8)
        (image,) = _run(session, {FILM: film})
        if not np.array_equal(image[0], picture.apply(film)):
            raise DeviceError(
                f"this onnxruntime fits a film of {size[1]} x {size[0]} pixels otherwise than the runtime; "
                "install another version of onnxruntime, or make the file with --input image"
            )


def drawn_films(count: int) -> list[Film]:
    """Grey films of different sizes, with findings as often as in a drawn corpus."""
    from cxrscribe_train.phantom.drawing.film import draw_film
    from cxrscribe_train.phantom.recipe import sampled_recipe

    random = np.random.default_rng(SEED)
    films = []
    for number in range(1, count + 1):
        recipe = sampled_recipe(SEED, number)
        down, across = random.integers(1, 4, 2)
        top, left = random.integers(0, 40, 2)
        large = draw_film(recipe.findings, recipe.drawing_seed).repeat(down, axis=0).repeat(across, axis=1)
        films.append(np.ascontiguousarray(large[top:, left:]))
    return films


class _File:
    """The file on onnxruntime."""

    def __init__(self, file: bytes, bundle: Bundle, settings: BeamSettings, variant: Variant) -> None:
        self._session = _session(file)
        self._fit = bundle.manifest.preprocessing.apply
        self._variant = variant
        self._settings = given_settings(settings) if variant.settings == INPUTS else {}

    def features(self, films: Sequence[Film]) -> NDArray[np.float32]:
        """float32 [N, F]"""
        return np.concatenate([_run(self._session, self._seen(each))[0] for each in self._batches(films)])

    def results(
        self, given: Sequence[Film] | NDArray[np.float32], patient: NDArray[np.float32] | None
    ) -> list[list[_Result]]:
        """What it finds for each film, or row of features, with its patient."""
        found: list[list[_Result]] = []
        for batch in self._batches(given):
            known = {} if patient is None else {PATIENT: patient[len(found) : len(found) + len(batch)]}
            outputs = _run(self._session, self._seen(batch) | known | self._settings)
            found += (_results(*film) for film in zip(*outputs, strict=True))
        return found

    def _batches(self, given: Sequence[Any] | NDArray[Any]) -> list[Any]:
        """All at once, or one after the other where the file takes no more."""
        if self._variant.input == FILM:
            return [given[place : place + 1] for place in range(len(given))]
        return [given]

    def _seen(self, batch: Any) -> dict[str, NDArray[Any]]:
        if self._variant.part == SEARCH:
            return {FEATURES: batch}
        if self._variant.input == FILM:
            return {FILM: batch[0]}
        return {IMAGE: np.stack([self._fit(film) for film in batch])}


def _results(
    tokens: NDArray[np.int64],
    lengths: NDArray[np.int64],
    scores: NDArray[np.float64],
    ends: NDArray[np.bool_],
) -> list[_Result]:
    return [
        _Result(tuple(row[:length].tolist()), bool(end), float(score))
        for row, length, score, end in zip(tokens, lengths, scores, ends, strict=True)
        if score > -np.inf
    ]


def _decoded(
    reporter: Reporter, features: NDArray[np.float32], settings: BeamSettings, texts: Sequence[str | None]
) -> list[list[_Result]]:
    """What the runtime finds for each row of features."""
    found = []
    for row, text in zip(features, texts, strict=True):
        try:
            known = None if text is None else [text]
            (report,) = reporter.decode_features(row[None], settings, indications=known)
            results = (report, *report.alternatives)
        except DecodingError:  # the settings forbid all
            results = ()
        found.append([_Result(each.tokens, each.finished, each.score) for each in results])
    return found


def _agree(own: Sequence[_Result], other: Sequence[_Result], near: float = _NEAR) -> bool:
    """The same scores, and the same words but where results of near scores have changed places.

    The last one may have changed places with one that is in neither list.
    """
    if len(own) != len(other):
        return False
    last = len(own) - 1
    return all(
        abs(mine.score - theirs.score) <= near
        and (
            mine[:2] == theirs[:2]
            or rank == last
            or (_is_among(mine, other, near) and _is_among(theirs, own, near))
        )
        for rank, (mine, theirs) in enumerate(zip(own, other, strict=True))
    )


def _is_among(result: _Result, others: Sequence[_Result], near: float) -> bool:
    return any(result[:2] == each[:2] and abs(result.score - each.score) <= near for each in others)


def _words(results: Sequence[_Result]) -> list[tuple[tuple[int, ...], bool]]:
    return [(each.words, each.finished) for each in results]


def _reads_text(bundle: Bundle) -> bool:
    return bundle.manifest.architecture.patient_size > 0


def _texts(bundle: Bundle, count: int) -> list[str | None]:
    """What is known of each film's patient: of the first nothing, of the others terms that it knows."""
    if not _reads_text(bundle):
        return [None] * count
    terms = PatientText.read(bundle.file(PATIENT_TEXT)).terms
    return [" ".join(terms[place::count][:6]) if place else None for place in range(count)]


def _session(file: bytes) -> Any:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it warns of every setting that may be left out; what fails is raised
    try:
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own have no common class
        raise DeviceError(f"onnxruntime doesn't load the file ({error}); install a newer version") from error


def _run(session: Any, given: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    try:
        outputs: list[NDArray[Any]] = session.run(None, given)
    except Exception as error:
        raise DeviceError(f"onnxruntime doesn't run the file ({error}); install a newer version") from error
    return outputs

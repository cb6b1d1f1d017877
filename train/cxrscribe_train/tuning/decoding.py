"""Beam settings tried on the validation split: every combination, on features that are encoded once.

OUT/decoding.jsonl   one line a combination, written when it is done; the first line says of what
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.cleaning import comparable
from cxrscribe.errors import InputError
from cxrscribe.settings import BeamSettings
from cxrscribe_train.evaluation.metrics.bootstrap import Resamples
from cxrscribe_train.evaluation.metrics.labels import LABELS
from cxrscribe_train.evaluation.metrics.places import PLACEMENTS
from cxrscribe_train.evaluation.metrics.statements import Statements
from cxrscribe_train.evaluation.model import ReportModel
from cxrscribe_train.evaluation.scorer import Scorer
from cxrscribe_train.evaluation.subject import Film

FIGURES: Final = (
    "bleu_4",
    "rouge_l",
    "cider",
    "label_f1_micro",
    "place_f1_micro",
    "distinct_share",
    "length_mean",
)
BY: Final = ("label_f1_micro", "place_f1_micro", "bleu_4", "rouge_l", "cider")
"""What the best settings may be chosen by."""
_JOURNAL: Final = "decoding.jsonl"
_FILMS_AT_ONCE: Final = 32


@dataclass(frozen=True)
class Grid:
    """The values that are combined."""

    beam_width: tuple[int, ...] = (1, 3, 5)
    length_penalty: tuple[float, ...] = (0.0, 1.0)
    min_length: tuple[int, ...] = (0, 20, 30)
    no_repeat_ngram: tuple[int, ...] = (0, 4)

    def combinations(self, defaults: BeamSettings) -> list[BeamSettings]:
        """Every combination over `defaults`. Raises SettingsError for one that can't be."""
        names = [field.name for field in dataclasses.fields(self)]
        values = itertools.product(*(getattr(self, name) for name in names))
        return [
            dataclasses.replace(defaults, n_best=1, **dict(zip(names, each, strict=True))) for each in values
        ]


@dataclass(frozen=True)
class Tried:
    """Beam settings, the figures of their reports, and how many reports a second were decoded."""

    settings: BeamSettings
    figures: Mapping[str, float]
    reports_per_second: float

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {
            "settings": self.settings.to_json(),
            "figures": dict(self.figures),
            "reports_per_second": self.reports_per_second,
        }


def encode_once(model: ReportModel, films: Sequence[Film]) -> NDArray[np.float32]:
    """Features float32 [N, F] of the films. Raises InputError where one can't be read."""
    parts = [
        model.encode(films[start : start + _FILMS_AT_ONCE]) for start in range(0, len(films), _FILMS_AT_ONCE)
    ]
    features = np.concatenate(parts)
    if len(features) != len(films):
        raise InputError(
            f"{len(films) - len(features)} of {len(films)} films can't be read; `cxrscribe evaluate` names "
            "them: restore them, or give --features"
        )
    return features


def scorer_of(films: Sequence[Film]) -> Scorer:
    """What scores one combination, without intervals and METEOR."""
    truths = [film.truth for film in films]
    counted: list[Statements] = [LABELS]
    if all(truth.places is not None for truth in truths):
        counted.append(PLACEMENTS)
    true = [(statements, statements.matrix(truths)) for statements in counted]
    resamples = Resamples.draw([film.study_id for film in films], 0, 0)
    return Scorer([comparable(film.reference) for film in films], true, resamples, None)


def try_settings(
    model: ReportModel, features: NDArray[np.float32], scorer: Scorer, settings: BeamSettings
) -> Tried:
    """Decode all features under `settings`, float32 [N, F], and score the reports."""
    started = time.perf_counter()
    reports = list(model.from_features(features, settings))
    seconds = time.perf_counter() - started
    column = scorer.column([comparable(report) for report in reports])
    figures = {name: column[name].value for name in FIGURES if name in column}
    return Tried(settings, figures, len(reports) / seconds)


def try_all(
    out: Path,
    identity: Mapping[str, object],
    combinations: Sequence[BeamSettings],
    attempt: Callable[[BeamSettings], Tried],
) -> Iterator[Tried]:
    """Yield what came of each combination; those that an earlier call did in `out` are read.

    Raises InputError when `out` holds trials of something else than `identity`, or can't be written.
    """
    done = _read(out, identity)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (out / _JOURNAL).open("a", encoding="utf-8") as journal:
            if done is None:
                journal.write(json.dumps(dict(identity)) + "\n")
            for settings in combinations:
                found = (done or {}).get(settings)
                if found is None:
                    found = attempt(settings)
                    journal.write(json.dumps(found.to_json()) + "\n")
                    journal.flush()
                yield found
    except OSError as error:
        raise InputError(f"can't write {out / _JOURNAL}: {error}; choose another folder") from None


def best_of(tried: Sequence[Tried], by: str) -> Tried:
    """The combination with the highest figure; of equals that with the higher BLEU-4, then the quicker."""
    return max(
        tried,
        key=lambda one: (one.figures[by], one.figures["bleu_4"], -one.settings.beam_width),
    )


def _read(out: Path, identity: Mapping[str, object]) -> dict[BeamSettings, Tried] | None:
    """What is done; None where nothing was begun. A last line that was cut is cut off."""
    path = out / _JOURNAL
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    if not whole:
        return None
    try:
        begun, *lines = map(json.loads, whole.splitlines())
        tried = [
            Tried(
                BeamSettings(**{**line["settings"], "banned_words": tuple(line["settings"]["banned_words"])}),
                line["figures"],
                line["reports_per_second"],
            )
            for line in lines
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}); delete it, or give another --out") from None
    for name, value in json.loads(json.dumps(dict(identity))).items():
        if begun.get(name) != value:
            raise InputError(
                f"the trials in {out} are of another {name}; give the one they were begun with, or another "
                "--out"
            )
    return {one.settings: one for one in tried}

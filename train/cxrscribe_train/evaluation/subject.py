"""Which films are evaluated, and what is true of each."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from cxrscribe.cleaning import clean, comparable
from cxrscribe.errors import InputError
from cxrscribe_train.corpus.table import Corpus, CorpusRow
from cxrscribe_train.evaluation.metrics.bleu import Words
from cxrscribe_train.evaluation.metrics.finding_set import FindingSet, placed
from cxrscribe_train.findings import FindingKind, Severity, Side, Zone

TRUTH_FILE: Final = "findings.csv"
_PLACE_COLUMNS: Final = frozenset({"side", "zone"})  # a file without both says nothing of places
_SEVERITY_COLUMN: Final = "severity"
_Name = TypeVar("_Name", bound=StrEnum)


class By(StrEnum):
    """What gets one report."""

    IMAGE = "image"
    STUDY = "study"
    """All films of a study together: their features are pooled."""


@dataclass(frozen=True)
class Film:
    """One film of a corpus: its reference report as cleaned words, and the findings that it truly shows.

    Or one study, where that gets one report: its first film, and `together` with it the others.
    """

    image_id: str
    study_id: str
    path: Path | None
    """None where the corpus has no file of it: it can then be evaluated from features only."""
    reference: Words
    truth: FindingSet
    view: str = ""
    """The projection, as in `reports.csv`."""
    indication: str = ""
    comparison: str = ""
    """What the radiologist was told, and compared with."""
    drawn: tuple[str, ...] = ()
    """In words, each finding that was drawn; empty for real films and normal drawings."""
    others: tuple[OtherView, ...] = ()
    """The other films of the study."""
    together: tuple[Film, ...] = ()
    """The other films whose features are pooled with this one's."""

    @property
    def pooled(self) -> tuple[Film, ...]:
        """All films that the report is made of."""
        return (self, *self.together)

    @property
    def name(self) -> str:
        """The ids of their images, parted by `;`."""
        return ";".join(film.image_id for film in self.pooled)


@dataclass(frozen=True)
class OtherView:
    """Another film of the same study: its view, and its file, None where the corpus has none."""

    view: str
    path: Path | None


@dataclass(frozen=True)
class DrawnTruth:
    """The findings that were drawn, by image, from a corpus's `findings.csv`."""

    by_image: Mapping[str, FindingSet]
    in_words: Mapping[str, tuple[str, ...]]
    """The same for people: severity, side, zone and kind of each finding."""
    normal: FindingSet
    """No finding; places and severities unknown where the file has no columns of them."""

    @classmethod
    def read(cls, corpus: Corpus) -> DrawnTruth | None:
        """Read the file; None when the corpus has none. Raises InputError naming the line that is wrong."""
        path = corpus.root / TRUTH_FILE
        if not path.is_file():
            return None
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            columns = frozenset(reader.fieldnames or ())
            lacking = {"image_id", "finding"} - columns
            if lacking:
                raise InputError(f"{path} has no column {', '.join(sorted(lacking))}; draw the corpus again")
            normal = FindingSet(
                frozenset(),
                frozenset() if columns >= _PLACE_COLUMNS else None,
                frozenset() if _SEVERITY_COLUMN in columns else None,
            )
            by_image: dict[str, FindingSet] = {}
            in_words: dict[str, tuple[str, ...]] = {}
            for row in reader:
                found = _finding(row, f"{path}, line {reader.line_num}")
                image_id = row["image_id"]
                by_image[image_id] = by_image.get(image_id, normal) | found
                in_words[image_id] = (*in_words.get(image_id, ()), _in_words(row))
        return cls(by_image, in_words, normal)

    def of(self, image_id: str) -> FindingSet:
        """What was drawn on the film; nothing for one that the file doesn't name: a normal phantom."""
        return self.by_image.get(image_id, self.normal)


@dataclass(frozen=True)
class Subject:
    """The films of one split that can be evaluated, and how many can't be and why."""

    films: tuple[Film, ...]
    without_findings: int
    without_image: int
    truth: str
    """`findings.csv`, or `labeller` where the truth is read from the references."""

    @classmethod
    def of(
        cls,
        corpus: Corpus,
        split: str,
        image_ids: frozenset[str] | None = None,
        limit: int | None = None,
        by: By = By.IMAGE,
    ) -> Subject:
        """Take the rows of a split that have a FINDINGS text and a film, the first `limit` of them.

        `image_ids`: evaluate these from features, so that no image file is needed. `by` study, `films` has
        the first film of each study, together with the others. Raises InputError when no film is left, or
        the films of a study have several reports.
        """
        drawn = DrawnTruth.read(corpus)
        views: dict[str, list[CorpusRow]] = defaultdict(list)
        for row in corpus.rows:
            if row.image_id:
                views[row.study_id].append(row)
        films: list[Film] = []
        without_findings = without_image = 0
        for row in corpus.split(split):
            reference = tuple(clean(row.findings))
            available = bool(row.image_path) if image_ids is None else row.image_id in image_ids
            if not reference:
                without_findings += 1
            elif not available:
                without_image += 1
            else:
                films.append(_film(corpus, row, reference, drawn, views[row.study_id]))
        if not films:
            raise InputError(
                f"no film of split {split!r} in {corpus.root} can be evaluated: {without_findings} have no "
                f"FINDINGS, {without_image} no {'image file' if image_ids is None else 'features'}; "
                "choose another split or corpus"
            )
        truth = "labeller" if drawn is None else TRUTH_FILE
        chosen = films if by is By.IMAGE else _by_study(films)
        return cls(tuple(chosen[:limit]), without_findings, without_image, truth)


@dataclass(frozen=True)
class TrainingReports:
    """References and truths of the training split, one a film or study: the baselines are chosen of them."""

    reports: tuple[Words, ...]
    """As scores count words: `comparable`."""
    truths: tuple[FindingSet, ...]

    @classmethod
    def of(cls, corpus: Corpus, by: By = By.IMAGE) -> TrainingReports:
        """Rows with a FINDINGS text, with or without image. Raises InputError when there is none."""
        drawn = DrawnTruth.read(corpus)
        of_each: dict[str | int, tuple[Words, FindingSet]] = {}
        for number, row in enumerate(corpus.split("train")):
            if reference := comparable(clean(row.findings)):
                truth = _truth(row, reference, drawn)
                one: str | int = number if by is By.IMAGE else row.study_id
                of_each[one] = (reference, truth | of_each[one][1] if one in of_each else truth)
        pairs = list(of_each.values())
        if not pairs:
            raise InputError(
                f"split 'train' of {corpus.root} has no FINDINGS, so that no baseline can be chosen; "
                "give a corpus that has training reports"
            )
        reports, truths = zip(*pairs, strict=True)
        return cls(reports, truths)


def _by_study(films: Sequence[Film]) -> list[Film]:
    """The first film of each study, together with the others; what is true of any of them is true of it."""
    studies: dict[str, list[Film]] = defaultdict(list)
    for film in films:
        studies[film.study_id].append(film)
    return [_together(first, others) for first, *others in studies.values()]


def _together(first: Film, others: Sequence[Film]) -> Film:
    truth, drawn = first.truth, dict.fromkeys(first.drawn)
    for film in others:
        if film.reference != first.reference:
            raise InputError(
                f"study {first.study_id!r} has films with different FINDINGS, so that it can't be evaluated "
                "as one; correct the corpus, or give --by image"
            )
        truth |= film.truth
        drawn |= dict.fromkeys(film.drawn)
    return replace(first, truth=truth, drawn=tuple(drawn), together=tuple(others))


def _film(
    corpus: Corpus, row: CorpusRow, reference: Words, drawn: DrawnTruth | None, study: Sequence[CorpusRow]
) -> Film:
    return Film(
        image_id=row.image_id,
        study_id=row.study_id,
        path=_file(corpus, row),
        reference=reference,
        truth=_truth(row, reference, drawn),
        view=row.view,
        indication=row.indication,
        comparison=row.comparison,
        drawn=() if drawn is None else drawn.in_words.get(row.image_id, ()),
        others=tuple(
            OtherView(other.view, _file(corpus, other)) for other in study if other.image_id != row.image_id
        ),
    )


def _file(corpus: Corpus, row: CorpusRow) -> Path | None:
    return corpus.image_file(row) if row.image_path else None


def _in_words(row: Mapping[str, str]) -> str:
    """`mild left lower nodule`: what a row of the file says, as far as it says it."""
    names = (row.get(column, "") for column in (_SEVERITY_COLUMN, "side", "zone", "finding"))
    return " ".join(name.replace("_", " ") for name in names if name)


def _truth(row: CorpusRow, reference: Words, drawn: DrawnTruth | None) -> FindingSet:
    return FindingSet.stated_by(reference) if drawn is None else drawn.of(row.image_id)


def _finding(row: Mapping[str, str], line: str) -> FindingSet:
    """The one finding of a row. Raises InputError naming the line where a name in it isn't known."""
    kind = _named(FindingKind, row, "finding", line)
    places = severities = None
    if row.keys() >= _PLACE_COLUMNS:
        places = placed(kind, _named(Side, row, "side", line), _named(Zone, row, "zone", line))
    if _SEVERITY_COLUMN in row:
        severity = _named(Severity, row, _SEVERITY_COLUMN, line)
        severities = frozenset({(kind, severity)} if severity is not Severity.NONE else ())
    return FindingSet(frozenset({kind}), places, severities)


def _named(names: type[_Name], row: Mapping[str, str], column: str, line: str) -> _Name:
    try:
        return names(row[column])
    except ValueError:
        known = ", ".join(name or "nothing" for name in names)
        raise InputError(f"{line}: no {column} is called {row[column]!r}; known are {known}") from None

"""Which films are evaluated, and what is true of each."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from cxrscribe.errors import InputError
from cxrscribe_train.cleaning import clean
from cxrscribe_train.corpus.table import Corpus, CorpusRow
from cxrscribe_train.evaluation.metrics.bleu import Words
from cxrscribe_train.evaluation.metrics.finding_set import FindingSet, placed
from cxrscribe_train.findings import FindingKind, Severity, Side, Zone

TRUTH_FILE: Final = "findings.csv"
_PLACE_COLUMNS: Final = frozenset({"side", "zone"})  # a file without both says nothing of places
_SEVERITY_COLUMN: Final = "severity"
_Name = TypeVar("_Name", bound=StrEnum)


@dataclass(frozen=True)
class Film:
    """One film of a corpus: its reference report as cleaned words, and the findings that it truly shows."""

    image_id: str
    study_id: str
    path: Path | None
    """None where the corpus has no file of it: it can then be evaluated from features only."""
    reference: Words
    truth: FindingSet


@dataclass(frozen=True)
class DrawnTruth:
    """The findings that were drawn, by image, from a corpus's `findings.csv`."""

    by_image: Mapping[str, FindingSet]
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
            for row in reader:
                found = _finding(row, f"{path}, line {reader.line_num}")
                by_image[row["image_id"]] = by_image.get(row["image_id"], normal) | found
        return cls(by_image, normal)

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
        cls, corpus: Corpus, split: str, image_ids: frozenset[str] | None = None, limit: int | None = None
    ) -> Subject:
        """Take the rows of a split that have a FINDINGS text and a film, the first `limit` of them.

        `image_ids`: evaluate these from features, so that no image file is needed. Raises InputError when no
        film is left.
        """
        drawn = DrawnTruth.read(corpus)
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
                films.append(_film(corpus, row, reference, drawn))
        if not films:
            raise InputError(
                f"no film of split {split!r} in {corpus.root} can be evaluated: {without_findings} have no "
                f"FINDINGS, {without_image} no {'image file' if image_ids is None else 'features'}; "
                "choose another split or corpus"
            )
        truth = "labeller" if drawn is None else TRUTH_FILE
        return cls(tuple(films[:limit]), without_findings, without_image, truth)


@dataclass(frozen=True)
class TrainingReports:
    """References and truths of the training split, one a film, from which the baselines are chosen."""

    reports: tuple[Words, ...]
    truths: tuple[FindingSet, ...]

    @classmethod
    def of(cls, corpus: Corpus) -> TrainingReports:
        """Rows with a FINDINGS text, with or without image. Raises InputError when there is none."""
        drawn = DrawnTruth.read(corpus)
        pairs = [
            (reference, _truth(row, reference, drawn))
            for row in corpus.split("train")
            if (reference := tuple(clean(row.findings)))
        ]
        if not pairs:
            raise InputError(
                f"split 'train' of {corpus.root} has no FINDINGS, so that no baseline can be chosen; "
                "give a corpus that has training reports"
            )
        reports, truths = zip(*pairs, strict=True)
        return cls(reports, truths)


def _film(corpus: Corpus, row: CorpusRow, reference: Words, drawn: DrawnTruth | None) -> Film:
    return Film(
        image_id=row.image_id,
        study_id=row.study_id,
        path=corpus.image_file(row) if row.image_path else None,
        reference=reference,
        truth=_truth(row, reference, drawn),
    )


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

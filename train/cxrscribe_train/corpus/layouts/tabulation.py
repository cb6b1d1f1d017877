"""From the rows of a collection to `reports.csv` and `summary.json`."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeAlias

from cxrscribe.errors import InputError
from cxrscribe_train.atomic import write_atomically
from cxrscribe_train.corpus.layouts.entry import Damaged, Entry, LeftOut
from cxrscribe_train.corpus.split import HashSplit, ListedSplit, Split
from cxrscribe_train.corpus.study import study_of
from cxrscribe_train.corpus.summary import SUMMARY_FILE, LengthStatistics, SplitSize, findings_lengths
from cxrscribe_train.corpus.table import SPLITS, CorpusRow, write_reports

ChooseSplit: TypeAlias = Callable[[Callable[[str], str]], Split]
"""Makes the split that was asked for, given what says which study a listed id is of."""

_COUNTED: Final = (
    "rows",
    "damaged_rows",
    "patients",
    "studies",
    "images",
    "image_files_found",
    "image_files_missing",
    "studies_without_patient",
    "studies_without_image",
    "studies_without_findings",
    "studies_without_impression",
    "studies_without_both",
    "reports_without_findings",
)


@dataclass(frozen=True)
class TableSummary:
    """Everything that was counted while a collection was tabled.

    `rows` is what was read: those that became rows of `reports.csv`, `damaged_rows`, and those under
    `left_out`, by reason. `reports_without_findings` are studies whose report is one text in which
    FINDINGS weren't found. `damaged` names each damaged row and why. `split_by` says what decided: the
    collection (`published`), a `file`, or a hash of the `patient` or of the `study`. Patients of
    `patients_in_several_splits` are in training and in another split.
    """

    layout: str
    rows: int
    damaged_rows: int
    left_out: Mapping[str, int]
    patients: int
    studies: int
    images: int
    image_files_found: int
    image_files_missing: int
    studies_without_patient: int
    studies_without_image: int
    studies_without_findings: int
    studies_without_impression: int
    studies_without_both: int
    reports_without_findings: int
    views: Mapping[str, int]
    findings_tokens: LengthStatistics
    split_by: str
    splits: Mapping[str, SplitSize]
    patients_in_several_splits: tuple[str, ...] = ()
    split_ids_unknown: tuple[str, ...] = ()
    split_ids_repeated: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()

    def to_json(self) -> str:
        """One JSON object with the fields' names."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    def to_table(self) -> str:
        """The same for a reader, one figure a line."""
        lines = [(name.replace("_", " "), f"{getattr(self, name):,}") for name in _COUNTED]
        lines[2:2] = [(f"left out: {reason}", f"{count:,}") for reason, count in self.left_out.items()]
        lines += [(f"view {view or '(unknown)'}, images", f"{count:,}") for view, count in self.views.items()]
        tokens = self.findings_tokens
        lines.append(("FINDINGS tokens, mean", f"{tokens.mean:.1f}"))
        lines += [
            (f"FINDINGS tokens, {name}", f"{getattr(tokens, name):,}") for name in ("p50", "p90", "max")
        ]
        lines.append(("split by", self.split_by))
        for split, size in self.splits.items():
            called = f"split {split or '(unused)'}"
            lines.append((f"{called}, studies", f"{size.studies:,}"))
            lines.append((f"{called}, images", f"{size.images:,}"))
            lines.append((f"{called}, with file and FINDINGS", f"{size.usable_images:,}"))
        lines.append(("patients in several splits", f"{len(self.patients_in_several_splits):,}"))
        return "\n".join(f"{label:<40} {figure:>9}" for label, figure in lines)


@dataclass(frozen=True)
class ImagePlaces:
    """The folders that a collection's image paths are relative to, the first one that has a file counting."""

    folders: Sequence[Path]

    def path(self, files: Iterable[str], corpus: Path) -> str:
        """The first file that is there, as `image_path` of `reports.csv` in the folder `corpus`.

        Empty where there is none.
        """
        for file in files:
            for name in dict.fromkeys((file, file.replace("\\", "/"))):
                for folder in self.folders:
                    path = folder / name
                    if _is_file(path):
                        path, root = path.resolve(), corpus.resolve()
                        return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
        return ""


def tabulate(
    layout: str,
    entries: Iterable[Entry | Damaged],
    images: ImagePlaces,
    out: Path,
    choose_split: ChooseSplit | None = None,
    views: Sequence[str] = (),
    left_out: LeftOut | None = None,
    source: Path | None = None,
) -> TableSummary:
    """Write `reports.csv` and `summary.json` into the folder `out`.

    Args:
        layout: the collection's, for the summary. entries: its rows. images: where the files are. out: the
        corpus folder. choose_split: a split that was asked for; None takes the published one, and where
        there is none a hash. views: only these, where any are given; an empty one stands for images whose
        view isn't known. left_out: what the reader of `entries` counts meanwhile. source: the file or folder
        that was read, for messages.

    Raises:
        InputError: no row is usable, or `out` can't be written to.
    """
    left_out = left_out or LeftOut()
    kept, damaged, read = _sorted_out(entries, views, left_out)
    if not kept:
        first = f"; the first problem: {damaged[0]}" if damaged else ""
        raise InputError(f"no usable row among the {read} in {source or layout}{first}")
    split, split_by = _split(kept, choose_split)
    rows = [
        CorpusRow(
            study_id=entry.study_id,
            image_id=entry.image_id,
            image_path=images.path(entry.files, out),
            findings=entry.findings,
            impression=entry.impression,
            indication=entry.indication,
            comparison=entry.comparison,
            mesh=";".join(heading.replace(";", ",") for heading in entry.mesh),
            split=split(entry),
            patient_id=entry.patient_id,
            view=entry.view,
        )
        for entry in kept
    ]
    unfound = {entry.study_id for entry in kept if entry.of_one_report and not entry.findings}
    read += sum(left_out.reasons.values())
    summary = _summary(layout, read, rows, damaged, left_out, split_by, len(unfound))
    write_reports(out, rows)
    write_atomically(out / SUMMARY_FILE, summary.to_json().encode("utf-8"))
    return summary


@dataclass(frozen=True)
class _SplitBy:
    """How the split was decided: `name`, and what a file of ids listed wrongly."""

    name: str
    unknown: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()


def _sorted_out(
    entries: Iterable[Entry | Damaged], views: Sequence[str], left_out: LeftOut
) -> tuple[list[Entry], list[str], int]:
    """The usable rows in the order of study ids, the damaged ones in words, and how many were read."""
    kept: list[Entry] = []
    damaged: list[str] = []
    images: dict[str, str] = {}
    firsts: dict[str, Entry] = {}
    for entry in entries:
        problem = str(entry) if isinstance(entry, Damaged) else _problem(entry, images, firsts)
        if problem or isinstance(entry, Damaged):
            damaged.append(problem)
            continue
        if entry.image_id:
            images[entry.image_id] = entry.place
        firsts.setdefault(entry.study_id, entry)
        if views and entry.view not in views:
            left_out.count("images with another view")
            continue
        kept.append(entry)
    kept.sort(key=lambda entry: _by_number(entry.study_id))
    return kept, damaged, len(kept) + len(damaged)


def _problem(entry: Entry, images: Mapping[str, str], firsts: Mapping[str, Entry]) -> str:
    """What is wrong with a row beside those before it; empty where nothing is."""
    first = firsts.get(entry.study_id)
    if entry.image_id in images:
        here = f"{entry.place}: image {entry.image_id!r} stands at {images[entry.image_id]} too"
        return f"{here}; keep one, or give each its image_id"
    if first is None:
        return ""
    if not entry.image_id or not first.image_id:
        here = f"{entry.place}: study {entry.study_id!r} stands at {first.place} too"
        return f"{here}; keep one, or give its image"
    for name in ("patient_id", "split"):
        before, now = getattr(first, name), getattr(entry, name)
        if before != now:
            return (
                f"{entry.place}: study {entry.study_id!r} has {name} {now!r} here and {before!r} at "
                f"{first.place}; keep one"
            )
    return ""


def _split(entries: Sequence[Entry], choose: ChooseSplit | None) -> tuple[Callable[[Entry], str], _SplitBy]:
    """What says an entry's split: the one asked for, else the published one, else a hash of the patient."""
    if choose is None and any(entry.split for entry in entries):
        return (lambda entry: entry.split), _SplitBy("published")
    studies = {entry.study_id for entry in entries}
    image_studies = {entry.image_id: entry.study_id for entry in entries if entry.image_id}
    split: Split = HashSplit()
    if choose is not None:
        split = choose(lambda name: name if name in studies else image_studies.get(name, study_of(name)))
    if isinstance(split, ListedSplit):
        unknown = tuple(sorted(split.splits.keys() - studies))
        return (lambda entry: split(entry.study_id)), _SplitBy("file", unknown, split.repeated)
    # All studies of a patient together: the same chest, often the same words.
    by_patient = any(entry.patient_id for entry in entries)
    return (lambda entry: split(entry.patient_id or entry.study_id)), _SplitBy(
        "hash of the patient" if by_patient else "hash of the study"
    )


def _summary(
    layout: str,
    read: int,
    rows: Sequence[CorpusRow],
    damaged: Sequence[str],
    left_out: LeftOut,
    split_by: _SplitBy,
    reports_without_findings: int,
) -> TableSummary:
    of_study = {row.study_id: row for row in reversed(rows)}
    studies = of_study.values()
    images = [row for row in rows if row.image_id]
    found = sum(bool(row.image_path) for row in images)
    splits_of_patient: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.patient_id and row.split:
            splits_of_patient[row.patient_id].add(row.split)
    splits = {name: _size([row for row in rows if row.split == name]) for name in SPLITS}
    unused = [row for row in rows if not row.split]
    if unused:
        splits[""] = _size(unused)
    return TableSummary(
        layout=layout,
        rows=read,
        damaged_rows=len(damaged),
        left_out=dict(left_out.reasons),
        patients=len({row.patient_id for row in rows if row.patient_id}),
        studies=len(of_study),
        images=len(images),
        image_files_found=found,
        image_files_missing=len(images) - found,
        studies_without_patient=sum(not study.patient_id for study in studies),
        studies_without_image=sum(not study.image_id for study in studies),
        studies_without_findings=sum(not study.findings for study in studies),
        studies_without_impression=sum(not study.impression for study in studies),
        studies_without_both=sum(not study.findings and not study.impression for study in studies),
        reports_without_findings=reports_without_findings,
        views=dict(sorted(Counter(row.view for row in images).items())),
        findings_tokens=findings_lengths(study.findings for study in studies),
        split_by=split_by.name,
        splits=splits,
        patients_in_several_splits=tuple(
            sorted(patient for patient, names in splits_of_patient.items() if len(names) > 1)
        ),
        split_ids_unknown=split_by.unknown,
        split_ids_repeated=split_by.repeated,
        damaged=tuple(damaged),
    )


def _size(rows: Sequence[CorpusRow]) -> SplitSize:
    return SplitSize(
        studies=len({row.study_id for row in rows}),
        images=sum(bool(row.image_id) for row in rows),
        usable_images=sum(bool(row.image_path and row.findings) for row in rows),
    )


def _by_number(study_id: str) -> tuple[tuple[int, str], ...]:
    """Natural order: CXR9 before CXR10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", study_id)  # numbers by length, then digits: they may have dozens
    return tuple(
        (len(part.lstrip("0")), part.lstrip("0")) if part.isdecimal() else (-1, part) for part in parts
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a zero
        return False

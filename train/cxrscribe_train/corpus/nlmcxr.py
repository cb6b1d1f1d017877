"""The Indiana University chest X-ray collection (Open-i), and all that is in its format, as a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.archive import Collection, open_collection
from cxrscribe_train.corpus.images import ImageFolders, find_images
from cxrscribe_train.corpus.split import HashSplit, ListedSplit, Split
from cxrscribe_train.corpus.study import Study, parse_study
from cxrscribe_train.corpus.summary import SplitSize, Summary, findings_lengths, write_summary
from cxrscribe_train.corpus.table import SPLITS, CorpusRow, write_reports


@dataclass(frozen=True)
class ParsedReports:
    """The studies of a collection, ordered by id (numbers by value), and why other files were skipped."""

    studies: tuple[Study, ...]
    malformed: tuple[str, ...]


def tabulate(root: Path, out: Path, images: Path | None = None, split: Split | None = None) -> Summary:
    """Write `reports.csv` and `summary.json` of the collection at `root` into the folder `out`.

    `root` is the folder that holds `ecgen-radiology/*.xml`, that folder itself, or the `.tgz`.
    PNG images are looked for by image id in `images`, or, where it is None, in the collection's
    folder and its `images`. `split` is a HashSplit (the default, seed 0) or a ListedSplit.
    Malformed files are skipped and named in the summary.

    Raises InputError when there is no report, none is well-formed, or `out` can't be written to.
    """
    collection = open_collection(root)
    reports = read_studies(collection)
    if not reports.studies:
        first = f"; the first problem: {reports.malformed[0]}" if reports.malformed else ""
        raise InputError(f"no readable report in {collection.source}{first}")
    films = find_images(collection.base, images)
    split = split or HashSplit()
    rows = tuple(row for study in reports.studies for row in _rows(study, films, out, split(study.study_id)))
    summary = _summarize(reports, films, rows, split)
    write_reports(out, rows)
    write_summary(out, summary)
    return summary


def read_studies(collection: Collection) -> ParsedReports:
    """Parse every report of a collection. Raises InputError when an archive is damaged."""
    studies: dict[str, Study] = {}
    malformed: list[str] = []
    for file in collection.report_files():
        try:
            if file.error:
                raise InputError(file.error)
            study = parse_study(file.xml, file.name)
            if study.study_id in studies:
                raise InputError(
                    f"{file.name}: study {study.study_id!r} stands in another file too; keep one"
                )
            studies[study.study_id] = study
        except InputError as error:
            malformed.append(str(error))
    return ParsedReports(tuple(sorted(studies.values(), key=_by_number)), tuple(malformed))


def _by_number(study: Study) -> tuple[tuple[int, str], ...]:
    """Natural order: CXR9 before CXR10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", study.study_id)
    return tuple((int(part), part) if part.isdecimal() else (-1, part) for part in parts)


def _rows(study: Study, films: ImageFolders, out: Path, split: str) -> list[CorpusRow]:
    return [
        CorpusRow(
            study_id=study.study_id,
            image_id=image_id,
            image_path=films.path(image_id, out),
            findings=study.findings,
            impression=study.impression,
            indication=study.indication,
            comparison=study.comparison,
            mesh=";".join(study.mesh),
            split=split,
        )
        for image_id in study.image_ids or ("",)
    ]


def _summarize(
    reports: ParsedReports, films: ImageFolders, rows: Sequence[CorpusRow], split: Split
) -> Summary:
    studies = reports.studies
    known = {study.study_id for study in studies}
    image_rows = [row for row in rows if row.image_id]
    found = sum(bool(row.image_path) for row in image_rows)
    splits = {name: _size([row for row in rows if row.split == name]) for name in SPLITS}
    unused = [row for row in rows if not row.split]
    if unused:
        splits[""] = _size(unused)
    listed = split if isinstance(split, ListedSplit) else ListedSplit({})
    return Summary(
        files=len(studies) + len(reports.malformed),
        studies=len(studies),
        malformed_files=len(reports.malformed),
        images=len(image_rows),
        image_files_found=found,
        image_files_missing=len(image_rows) - found,
        image_files_unnamed=len(films.files.keys() - {row.image_id for row in image_rows}),
        studies_without_image=_count(not study.image_ids for study in studies),
        studies_without_findings=_count(not study.findings for study in studies),
        studies_without_impression=_count(not study.impression for study in studies),
        studies_without_both=_count(not study.findings and not study.impression for study in studies),
        findings_tokens=findings_lengths(study.findings for study in studies),
        splits=splits,
        split_ids_unknown=tuple(sorted(listed.splits.keys() - known)),
        split_ids_repeated=listed.repeated,
        malformed=reports.malformed,
    )


def _size(rows: Sequence[CorpusRow]) -> SplitSize:
    return SplitSize(
        studies=len({row.study_id for row in rows}),
        images=_count(bool(row.image_id) for row in rows),
        usable_images=_count(bool(row.image_path and row.findings) for row in rows),
    )


def _count(conditions: Iterable[bool]) -> int:
    return sum(conditions)

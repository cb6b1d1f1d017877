"""R2Gen's `annotation.json`: lists of studies under `train`, `val` and `test`, each with a report and images.

Z. Chen et al., "Generating Radiology Reports via Memory-driven Transformer", EMNLP 2020. Its two files are
of the Indiana collection (`id` CXR2384_IM-0942, two images a study) and of MIMIC-CXR (`id` of the image,
`study_id`, `subject_id`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.layouts.entry import (
    Damaged,
    Entries,
    Entry,
    image_id_of,
    paragraph,
    split_of,
    value_of,
)
from cxrscribe_train.corpus.layouts.records import read_json

ANNOTATION_FILE = "annotation.json"
_INDIANA = re.compile(r"(CXR\d+)_.*")


def read_annotation(path: Path) -> Entries:
    """The images of an `annotation.json`. Names are read without the blanks that some copies pad them with.

    Raises InputError when the file can't be read or is something else.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} must be a JSON object with lists of studies under train, val and test")
    for name, studies in content.items():
        try:
            split = split_of(name)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        if not isinstance(studies, list) or not split:
            raise InputError(f"{path}: {name!r} must be train, val or test, with a list of studies")
        for number, study in enumerate(studies, start=1):
            place = f"{path.name}, {split} {number}"
            if not isinstance(study, Mapping):
                yield Damaged(place, "is no JSON object")
                continue
            try:
                yield from _images({str(key).strip(): value for key, value in study.items()}, split, place)
            except InputError as error:
                yield Damaged(place, str(error))


def _images(study: Mapping[str, object], split: str, place: str) -> list[Entry]:
    name, report = value_of(study.get("id")), study.get("report")
    if not name:
        raise InputError("has no id")
    if not isinstance(report, str):
        raise InputError(f"study {name!r} has no report")
    paths = study.get("image_path", ())
    paths = (paths,) if isinstance(paths, str) else paths
    if not isinstance(paths, Iterable) or not all(isinstance(path, str) and path.strip() for path in paths):
        raise InputError(f"study {name!r} has image_path {str(paths)[:60]!r}, which is no list of files")
    files = [path.strip() for path in paths]
    return [
        Entry(
            place=place,
            study_id=_study_id(name, value_of(study.get("study_id"))),
            image_id=image_id_of(name, file) if file else "",
            files=(file,) if file else (),
            findings=paragraph(report),
            patient_id=_numbered("p", value_of(study.get("subject_id"))),
            split=split,
        )
        for file in files or [""]
    ]


def _study_id(name: str, listed: str) -> str:
    """`s50414267` of MIMIC-CXR, `CXR2384` of the Indiana collection: as in the collections themselves."""
    if listed:
        return _numbered("s", listed)
    indiana = _INDIANA.fullmatch(name)
    return indiana[1] if indiana else name


def _numbered(letter: str, identifier: str) -> str:
    return f"{letter}{identifier}" if identifier.isdecimal() else identifier

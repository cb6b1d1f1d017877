"""One row of a collection, whatever the layout, and one that can't be used."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from cxrscribe.cleaning import close_lines
from cxrscribe.errors import InputError
from cxrscribe_train.corpus.table import MOST_CHARACTERS, SPLITS

_LONGEST_ID: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MISSING: Final = frozenset({"", "nan", "null", "<na>"})
_NO_TEXT: Final = frozenset({"none", "n/a", "#n/a", "-", "--"})
"""What stands for an empty FINDINGS or report; a COMPARISON with "None" is one, with no earlier film."""
_WHOLE_FLOAT: Final = re.compile(r"(\d+)\.0")
_SPLIT_NAMES: Final = {
    **{split: split for split in SPLITS},
    **dict.fromkeys(("valid", "validate", "validation", "dev"), "val"),
    **dict.fromkeys(("training",), "train"),
    **dict.fromkeys(("testing",), "test"),
    "": "",
}


@dataclass(frozen=True)
class Entry:
    """An image with the report of its study, or a study without image.

    `place` is where it stands, for messages. `files` are the paths that the image may have, most likely
    first, relative to a folder of images or absolute. `split` is the published one, or empty. Texts are
    paragraphs; `of_one_report` says that they were cut from one text by its headings.

    Raises InputError when an id is empty, too long or holds a control character, or a text is too long.
    """

    place: str
    study_id: str
    image_id: str = ""
    files: tuple[str, ...] = ()
    findings: str = ""
    impression: str = ""
    indication: str = ""
    comparison: str = ""
    mesh: tuple[str, ...] = ()
    patient_id: str = ""
    view: str = ""
    split: str = ""
    of_one_report: bool = False

    def __post_init__(self) -> None:
        if not self.study_id:
            raise InputError("has no study id")
        for name in ("study_id", "image_id", "patient_id"):
            value = getattr(self, name)
            if len(value) > _LONGEST_ID or any(unicodedata.category(sign)[0] == "C" for sign in value):
                raise InputError(
                    f"{name} {value[:40]!r} must have at most {_LONGEST_ID} characters, none that controls"
                )
        for name in ("findings", "impression", "indication", "comparison"):
            length = len(getattr(self, name))
            if length > MOST_CHARACTERS:
                raise InputError(f"{name} has {length:,} characters; at most {MOST_CHARACTERS:,} are read")


@dataclass(frozen=True)
class Damaged:
    """A row that is skipped, where it stands, and why."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass
class LeftOut:
    """How many rows a reader passed over on purpose, by reason."""

    reasons: dict[str, int] = field(default_factory=dict)

    def count(self, reason: str) -> None:
        """One more for this reason."""
        self.reasons[reason] = self.reasons.get(reason, 0) + 1


Entries: TypeAlias = Iterator[Entry | Damaged]


def value_of(text: object) -> str:
    """A plain value without outer white space; empty for what spreadsheets and pandas write for none.

    Raises InputError for what is no text and no number, as JSON may hold.
    """
    if isinstance(text, (list, dict, bool)):
        raise InputError(f"holds a list, an object or true/false ({str(text)[:40]}); give text")
    value = "" if text is None else str(text).strip()
    return "" if value.lower() in _MISSING else value


def report_text_of(text: object) -> str:
    """`value_of` a FINDINGS or a whole report; empty, too, for "None", "N/A" and dashes."""
    value = value_of(text)
    return "" if value.lower().rstrip(".") in _NO_TEXT else value


def identifier_of(value: object) -> str:
    """`value_of` an id; `17.0` is `17`, for pandas makes floats of numbers beside empty cells."""
    text = value_of(value)
    whole = _WHOLE_FLOAT.fullmatch(text)
    return whole[1] if whole else text


def paragraph(text: object) -> str:
    """A text as one line: ends of lines that close a statement get a full stop; no control characters."""
    return " ".join(_CONTROL.sub(" ", close_lines(value_of(text))).split())


def split_of(name: object) -> str:
    """`train`, `val`, `test` or empty for a collection's name of a split.

    Raises InputError for another name.
    """
    try:
        return _SPLIT_NAMES[value_of(name).lower()]
    except KeyError:
        raise InputError(f"split {name!r} is none of {', '.join(filter(None, _SPLIT_NAMES))}") from None


def image_id_of(study_id: str, file: str) -> str:
    """An id for an image that has none: the study's, then the file's name without ending."""
    stem = re.sub(r"(\.dcm)?\.[A-Za-z0-9]{1,5}$", "", re.split(r"[/\\]", file)[-1])
    return stem if stem == study_id or stem.startswith(f"{study_id}_") else f"{study_id}_{stem}"

"""Which studies train, which validate, which test. Always whole studies: two views of a chest never part."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.study import study_of
from cxrscribe_train.corpus.table import SPLITS

_HASH_BITS = 64


class Split(Protocol):
    """Says for a study id: `train`, `val`, `test`, or empty for an unused study."""

    def __call__(self, study_id: str) -> str:
        """The split of one study."""
        ...


@dataclass(frozen=True)
class HashSplit:
    """A split by a seeded hash of the study id alone, so that adding studies moves none.

    `train` is the share of studies that are not for testing, `validation` the share of these that
    validate. The shares are met on average: a corpus of N studies is off by about sqrt(N) / 2.
    Raises InputError when a share is not between 0 and 1.
    """

    seed: int = 0
    train: float = 0.8
    validation: float = 0.1

    def __post_init__(self) -> None:
        for name, share in (("train", self.train), ("validation", self.validation)):
            if not 0 <= share <= 1:
                raise InputError(f"share {name} is {share}; it must be between 0 and 1")

    def __call__(self, study_id: str) -> str:
        """`val` from the bottom of [0, 1), then `train`, then `test`."""
        digest = hashlib.sha256(f"{self.seed}:{study_id}".encode()).digest()
        place = int.from_bytes(digest[: _HASH_BITS // 8]) / 2**_HASH_BITS
        if place < self.train * self.validation:
            return "val"
        return "train" if place < self.train else "test"


@dataclass(frozen=True)
class ListedSplit:
    """A split that somebody published: study ids and their split; other studies are unused.

    `repeated` names ids that stand more than once in one split's list, which changes nothing.
    """

    splits: Mapping[str, str]
    repeated: tuple[str, ...] = ()

    def __call__(self, study_id: str) -> str:
        """The listed split, or empty."""
        return self.splits.get(study_id, "")


def read_split(path: Path, study_of: Callable[[str], str] = study_of) -> ListedSplit:
    """Read a JSON object `{"train": [...], "val": [...], "test": [...]}` of study or image ids.

    `study_of` says which study an id is of; by default an id counts up to its first `_`. An entry may also
    be an object with an `id`, as in the annotation files that circulate for this collection. Raises
    InputError when the file is something else, or when one study stands in two splits.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"split file {path} can't be read as JSON ({error})") from None
    if not isinstance(content, dict) or not content or not set(content) <= set(SPLITS):
        raise InputError(
            f"split file {path} must be a JSON object with lists of ids under train, val and test"
        )
    splits: dict[str, str] = {}
    times: Counter[str] = Counter()
    for split, entries in content.items():
        for listed_id in _listed_ids(entries, split, path):
            times[listed_id] += 1
            study_id = study_of(listed_id)
            before = splits.setdefault(study_id, split)
            if before != split:
                raise InputError(
                    f"split file {path}: study {study_id!r} is in {before} and in {split}; keep one"
                )
    return ListedSplit(splits, tuple(listed_id for listed_id, count in times.items() if count > 1))


def _listed_ids(entries: object, split: str, path: Path) -> list[str]:
    if not isinstance(entries, list):
        raise InputError(f"split file {path}: {split} must be a list of study or image ids")
    listed: list[str] = []
    for place, entry in enumerate(entries, start=1):
        listed_id = entry.get("id") if isinstance(entry, dict) else entry
        if not isinstance(listed_id, str) or not listed_id:
            raise InputError(f"split file {path}: entry {place} of {split} has no study or image id")
        listed.append(listed_id)
    return listed

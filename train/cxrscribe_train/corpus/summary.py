"""`summary.json`: what a collection holds, what is missing, and what was left out and why."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Final

from cxrscribe.cleaning import clean, comparable
from cxrscribe_train.atomic import write_atomically

SUMMARY_FILE: Final = "summary.json"


@dataclass(frozen=True)
class LengthStatistics:
    """Lengths of FINDINGS in tokens after cleaning, sentence ends included and commas not.

    0 where there is no text. `p50` and `p90` are nearest-rank percentiles: the smallest length that this
    share doesn't exceed.
    """

    mean: float
    p50: int
    p90: int
    max: int

    @classmethod
    def of(cls, lengths: Iterable[int]) -> LengthStatistics:
        """The statistics of some lengths."""
        ranked = sorted(lengths)
        if not ranked:
            return cls(0.0, 0, 0, 0)

        def percentile(share: float) -> int:
            return ranked[max(0, math.ceil(share * len(ranked)) - 1)]

        return cls(round(fmean(ranked), 2), percentile(0.5), percentile(0.9), ranked[-1])


@dataclass(frozen=True)
class SplitSize:
    """How many studies and images a split has, and how many of them can be trained on or scored.

    `usable_images` have both a file and FINDINGS.
    """

    studies: int
    images: int
    usable_images: int


@dataclass(frozen=True)
class Summary:
    """Everything that was counted while a collection was tabled.

    `files` is what was found: `studies` and `malformed_files` make it up. `malformed` names each
    skipped file and why. `image_files_unnamed` counts PNG files that no report names.
    `split_ids_unknown` and `split_ids_repeated` concern a file of ids.
    """

    files: int
    studies: int
    malformed_files: int
    images: int
    image_files_found: int
    image_files_missing: int
    image_files_unnamed: int
    studies_without_image: int
    studies_without_findings: int
    studies_without_impression: int
    studies_without_both: int
    findings_tokens: LengthStatistics
    splits: dict[str, SplitSize]
    split_ids_unknown: tuple[str, ...] = ()
    split_ids_repeated: tuple[str, ...] = ()
    malformed: tuple[str, ...] = ()

    def to_json(self) -> str:
        """One JSON object with the fields' names."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    def to_table(self) -> str:
        """The same for a reader, one figure a line."""
        lines = [(name.replace("_", " "), f"{getattr(self, name):,}") for name in _COUNTED]
        tokens = self.findings_tokens
        lines.append(("FINDINGS tokens, mean", f"{tokens.mean:.1f}"))
        lines += [
            (f"FINDINGS tokens, {name}", f"{getattr(tokens, name):,}") for name in ("p50", "p90", "max")
        ]
        for split, size in self.splits.items():
            lines.append((f"split {split or '(unused)'}, studies", f"{size.studies:,}"))
            lines.append((f"split {split or '(unused)'}, images", f"{size.images:,}"))
            lines.append((f"split {split or '(unused)'}, with file and FINDINGS", f"{size.usable_images:,}"))
        lines.append(("listed split ids not in the corpus", f"{len(self.split_ids_unknown):,}"))
        lines.append(("listed split ids repeated", f"{len(self.split_ids_repeated):,}"))
        return "\n".join(f"{label:<40} {figure:>9}" for label, figure in lines)


_COUNTED: Final = (
    "files",
    "studies",
    "malformed_files",
    "images",
    "image_files_found",
    "image_files_missing",
    "image_files_unnamed",
    "studies_without_image",
    "studies_without_findings",
    "studies_without_impression",
    "studies_without_both",
)


def write_summary(directory: Path, summary: Summary) -> Path:
    """Write `summary.json` into `directory`, whole or not at all; returns its path."""
    path = Path(directory) / SUMMARY_FILE
    write_atomically(path, summary.to_json().encode("utf-8"))
    return path


def findings_lengths(findings: Iterable[str]) -> LengthStatistics:
    """Lengths of the FINDINGS of studies, over those that have some."""
    return LengthStatistics.of(len(comparable(clean(text))) for text in findings if text)

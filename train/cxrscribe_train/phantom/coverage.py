"""What the films of a phantom corpus show, and how many headings of real reports that covers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cxrscribe_train.findings import FindingKind
from cxrscribe_train.phantom.recipe import Recipe

_LISTED = 20


@dataclass(frozen=True)
class Coverage:
    """Counts over the films of a corpus.

    `findings` are films by kind, `films_without_finding` those drawn as normal. Headings count once in each
    study that has them, `distinct_...` once in all; `most_frequent_undrawn` lists those without drawing, and
    how often they occur.
    """

    films: int
    films_without_finding: int
    findings: dict[FindingKind, int]
    headings: int
    headings_drawn: int
    distinct_headings: int
    distinct_headings_drawn: int
    most_frequent_undrawn: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, recipes: Sequence[Recipe]) -> Coverage:
        """Count what `recipes` draw."""
        of_films = [recipe.findings for recipe in recipes for _ in recipe.study.image_ids]
        kinds = Counter(kind for findings in of_films for kind in {finding.kind for finding in findings})
        headings = Counter(heading for recipe in recipes for heading in recipe.study.mesh)
        undrawn = Counter(heading for recipe in recipes for heading in recipe.undrawn)
        ranked = sorted(undrawn.items(), key=lambda item: (-item[1], item[0]))
        return cls(
            films=len(of_films),
            films_without_finding=sum(not findings for findings in of_films),
            findings={kind: kinds[kind] for kind in FindingKind},
            headings=headings.total(),
            headings_drawn=headings.total() - undrawn.total(),
            distinct_headings=len(headings),
            distinct_headings_drawn=len(headings) - len(undrawn),
            most_frequent_undrawn=tuple(ranked[:_LISTED]),
        )

    def to_table(self) -> str:
        """The counts for a reader, one a line; headings without drawing are listed where there are any."""
        lines = [("films", self.films), ("films without finding", self.films_without_finding)]
        lines += [(f"films with {kind.replace('_', ' ')}", count) for kind, count in self.findings.items()]
        table = [f"{label:<40} {count:>9,}" for label, count in lines]
        if self.most_frequent_undrawn:
            shares = (
                ("headings drawn", _share(self.headings_drawn, self.headings)),
                ("distinct headings drawn", _share(self.distinct_headings_drawn, self.distinct_headings)),
            )
            table += [f"{label:<40} {share:>9}" for label, share in shares]
            table.append("most frequent headings without drawing:")
            table += [f"  {heading:<38} {count:>9,}" for heading, count in self.most_frequent_undrawn]
        return "\n".join(table)


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({100 * part / whole:.1f} %)" if whole else "none"

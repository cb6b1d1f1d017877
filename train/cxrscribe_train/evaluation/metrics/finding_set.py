"""What a film shows or a report states: kinds of finding, where they are, and how marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cxrscribe.cleaning import comparable
from cxrscribe_train.findings import ONE_SIDE, FindingKind, Severity, Side, Zone
from cxrscribe_train.labeller import PLACES, Place, label_places, label_severities, label_words

Placement: TypeAlias = tuple[FindingKind, Place]
"""A kind of finding at one side, or in one zone."""

Graded: TypeAlias = tuple[FindingKind, Severity]
"""A kind of finding with how marked it is."""


@dataclass(frozen=True)
class FindingSet:
    """All findings of one film or of one report.

    kinds: what is there.
    places: each side and each zone of each kind; None where they aren't known.
    severities: each severity of each kind that has some; None where they aren't known.
    """

    kinds: frozenset[FindingKind]
    places: frozenset[Placement] | None
    severities: frozenset[Graded] | None = None

    @classmethod
    def stated_by(cls, report: Sequence[str]) -> FindingSet:
        """What the labeller reads in the cleaned words of a report, taken as scores count them.

        A comma can part a negated list from what is there. Models of cleaning 1 write none, so references and
        reports are read without: a report that repeats its reference states what the reference states.
        """
        report = comparable(report)
        return cls(label_words(report), label_places(report), label_severities(report))

    def __or__(self, other: FindingSet) -> FindingSet:
        """The findings of both; their places and severities are unknown where those of one are."""
        return FindingSet(
            self.kinds | other.kinds,
            None if self.places is None or other.places is None else self.places | other.places,
            None
            if self.severities is None or other.severities is None
            else self.severities | other.severities,
        )


def placed(kind: FindingKind, side: Side, zone: Zone) -> frozenset[Placement]:
    """The places of a finding of the catalogue: a bilateral one is at the left and at the right."""
    sides = ONE_SIDE if side is Side.BILATERAL else (side,)
    return frozenset((kind, place) for place in PLACES if place in (*sides, zone))

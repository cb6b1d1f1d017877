"""How marked a sentence says that something is: small or mild, moderate, large or severe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cxrscribe_train.findings import VARIATIONS, FindingKind, Severity

_NAMES: Final[dict[str, Severity]] = {
    **dict.fromkeys(
        (
            *("mild", "mildly", "minimal", "minimally", "minor", "slight", "slightly", "small", "tiny"),
            *("trace", "borderline", "subtle", "early", "limited"),
        ),
        Severity.MILD,
    ),
    **dict.fromkeys(("moderate", "moderately"), Severity.MODERATE),
    **dict.fromkeys(
        (
            *("severe", "severely", "large", "marked", "markedly", "massive", "massively", "extensive"),
            *("extensively", "gross", "pronounced", "huge"),
        ),
        Severity.SEVERE,
    ),
}
# How dense a shadow is says how marked a consolidation is; a dense nodule is a calcified one.
_EXTENTS: Final = {"patchy": Severity.MILD, "hazy": Severity.MILD, "dense": Severity.SEVERE}
_GRADED: Final = frozenset(kind for kind, allowed in VARIATIONS.items() if len(allowed.severities) > 1)


def severities_of(words: Iterable[str], kind: FindingKind) -> frozenset[Severity]:
    """The severities that the cleaned words of one sentence name, for a kind that has some."""
    if kind not in _GRADED:
        return frozenset()
    names = _NAMES | _EXTENTS if kind is FindingKind.CONSOLIDATION else _NAMES
    return frozenset(names[word] for word in words if word in names)

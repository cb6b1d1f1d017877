"""Where a sentence says that something is: the patient's side, and the zone of the lung."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from cxrscribe_train.findings import Side, Zone

Place: TypeAlias = Side | Zone

PLACES: Final[tuple[Place, ...]] = (Side.LEFT, Side.RIGHT, Zone.UPPER, Zone.MID, Zone.LOWER)

_BOTH: Final = (Side.LEFT, Side.RIGHT)
_CURVES: Final = (
    "",
    "scoliosis",
    "scoliotic",
    "curvature",
    "convex",
    "convexity",
    "rotoscoliosis",
    "kyphoscoliosis",
)
_NAMES: Final[dict[str, tuple[Place, ...]]] = {
    **dict.fromkeys(("left", "leftward", "leftwards"), (Side.LEFT,)),
    **dict.fromkeys(("right", "rightward", "rightwards"), (Side.RIGHT,)),
    # A curve of the spine is named by the side that it is convex to.
    **{f"levo{curve}": (Side.LEFT,) for curve in _CURVES},
    **{f"dextro{curve}": (Side.RIGHT,) for curve in _CURVES},
    **dict.fromkeys(("both", "bilateral", "bilaterally"), _BOTH),
    **dict.fromkeys(("upper", "apex", "apical"), (Zone.UPPER,)),
    **dict.fromkeys(("apices", "biapical"), (*_BOTH, Zone.UPPER)),
    **dict.fromkeys(("mid", "middle", "midlung"), (Zone.MID,)),
    **dict.fromkeys(("lingula", "lingular"), (Side.LEFT, Zone.MID)),
    "lul": (Side.LEFT, Zone.UPPER),
    "lll": (Side.LEFT, Zone.LOWER),
    "rul": (Side.RIGHT, Zone.UPPER),
    "rml": (Side.RIGHT, Zone.MID),
    "rll": (Side.RIGHT, Zone.LOWER),
    **dict.fromkeys(("lower", "base", "basilar", "basal"), (Zone.LOWER,)),
    **dict.fromkeys(("bases", "bibasilar", "bibasal"), (*_BOTH, Zone.LOWER)),
}


def places_of(words: Iterable[str]) -> frozenset[Place]:
    """The sides and zones that the cleaned words of one sentence name, each of `PLACES` or none."""
    return frozenset(place for word in words for place in _NAMES.get(word, ()))

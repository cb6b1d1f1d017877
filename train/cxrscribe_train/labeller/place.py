"""Where a sentence says that something is: the patient's side, and the zone of the lung."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from cxrscribe_train.findings import Side, Zone

Place: TypeAlias = Side | Zone

PLACES: Final[tuple[Place, ...]] = (Side.LEFT, Side.RIGHT, Zone.UPPER, Zone.MID, Zone.LOWER)

_BOTH: Final = (Side.LEFT, Side.RIGHT)
_NAMES: Final[dict[str, tuple[Place, ...]]] = {
    "left": (Side.LEFT,),
    "right": (Side.RIGHT,),
    **dict.fromkeys(("both", "bilateral", "bilaterally"), _BOTH),
    **dict.fromkeys(("upper", "apex", "apical"), (Zone.UPPER,)),
    **dict.fromkeys(("apices", "biapical"), (*_BOTH, Zone.UPPER)),
    **dict.fromkeys(("mid", "middle", "midlung"), (Zone.MID,)),
    **dict.fromkeys(("lingula", "lingular"), (Side.LEFT, Zone.MID)),
    **dict.fromkeys(("lower", "base", "basilar", "basal"), (Zone.LOWER,)),
    **dict.fromkeys(("bases", "bibasilar", "bibasal"), (*_BOTH, Zone.LOWER)),
}


def places_of(words: Iterable[str]) -> frozenset[Place]:
    """The sides and zones that the cleaned words of one sentence name, each of `PLACES` or none."""
    return frozenset(place for word in words for place in _NAMES.get(word, ()))

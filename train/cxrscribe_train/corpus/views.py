"""The projection of a film, as collections call it, and as `reports.csv` does."""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = {
    "pa": "pa",
    "postero anterior": "pa",
    "posteroanterior": "pa",
    "ap": "ap",
    "antero posterior": "ap",
    "anteroposterior": "ap",
    "ap horizontal": "ap",
    "ap supine": "ap",
    "ap erect": "ap",
    "frontal": "frontal",
    "lateral": "lateral",
    "l": "lateral",
    "ll": "lateral",
    "rl": "lateral",
    "left lateral": "lateral",
    "right lateral": "lateral",
}
_UNKNOWN: Final = frozenset({"", "unk", "unknown", "nan", "none"})


def view_of(name: str) -> str:
    """One of `VIEWS` for a collection's name of a projection: `other` for unknown names, empty for none."""
    plain = re.sub(r"[^a-z]+", " ", name.lower()).strip()
    return "" if plain in _UNKNOWN else _NAMES.get(plain, "other")

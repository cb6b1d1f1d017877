"""How long the sender waits for what may pass, and how often it tries."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

_LONGEST_ASKED: Final = 300.0
"""Seconds that a PACS may ask to wait."""


@dataclass(frozen=True)
class Patience:
    """Tries, with growing pauses between them, of which chance takes up to a half."""

    tries: int = 5
    first: float = 0.5
    """Seconds of the first pause."""
    longest: float = 30.0

    def pause(self, tried: int, asked: float | None) -> float | None:
        """Seconds before the next try, `tried` having been made; None for no more.

        `asked`: seconds that the PACS asks for.
        """
        if tried >= self.tries or (asked or 0.0) > _LONGEST_ASKED:
            return None
        own = min(self.longest, self.first * math.pow(2, tried - 1))
        return max(asked or 0.0, own * random.uniform(0.5, 1.0))

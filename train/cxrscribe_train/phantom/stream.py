"""Random choices in whole numbers: the same seed gives the same choices on any machine and any Python.

Neither `random` nor numpy promises that from release to release, so the generator is written out here.
It is splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15

Weighted = tuple[tuple[int, Item], ...]
"""Alternatives, each with its whole-number weight (at least 1)."""


class IntegerStream:
    """An endless row of random 64-bit numbers, and the choices made from it.

    `seed` is any integer; only its lowest 64 bits count.
    """

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    @classmethod
    def named(cls, *names: int | str) -> IntegerStream:
        """The stream that belongs to a path of names, such as `("phantom", 7, 12, "wording")`.

        Streams of different names are independent, so that a new choice in one shifts no other.
        """
        return cls(named_seed(*names))

    def next(self) -> int:
        """The next number, 0 <= number < 2**64."""
        self._state = (self._state + _GOLDEN) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def below(self, limit: int) -> int:
        """A number, 0 <= number < limit. Raises ValueError where limit is not in 1 .. 2**32."""
        if not 1 <= limit <= 1 << 32:
            raise ValueError(f"limit is {limit}; it must lie in 1 .. 2**32")
        return (self.next() * limit) >> 64

    def chance(self, numerator: int, denominator: int) -> bool:
        """True in `numerator` of `denominator` cases."""
        return self.below(denominator) < numerator

    def choice(self, items: Sequence[Item]) -> Item:
        """One of `items`, each equally likely. Raises ValueError where there are none."""
        return items[self.below(len(items))]

    def weighted(self, items: Sequence[tuple[int, Item]]) -> Item:
        """One of `items`, given as (weight, item), in proportion to the weights."""
        remaining = self.below(sum(weight for weight, _ in items))
        for weight, item in items:
            remaining -= weight
            if remaining < 0:
                return item
        raise AssertionError("the weights add up to more than was drawn")


def named_seed(*names: int | str) -> int:
    """A seed, 0 <= seed < 2**63, made of a path of names by SHA-256."""
    digest = hashlib.sha256("/".join(str(name) for name in names).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1

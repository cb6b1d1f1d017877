from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe_train.phantom.stream import IntegerStream, named_seed


def test_numbers_are_those_of_splitmix64() -> None:
    # The first outputs of the reference implementation (S. Vigna, splitmix64.c) for the seed 1234567.
    stream = IntegerStream(1234567)
    assert [stream.next() for _ in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_named_seed_is_the_same_everywhere() -> None:
    assert named_seed("phantom", 7, 12, "words") == named_seed("phantom", "7", "12", "words")
    assert named_seed("phantom", 7, 12, "words") == 3618822870211972812


@given(st.integers(), st.integers(1, 1 << 32))
def test_below_stays_below(seed: int, limit: int) -> None:
    assert 0 <= IntegerStream(seed).below(limit) < limit


@pytest.mark.parametrize("limit", [0, -1, (1 << 32) + 1])
def test_below_refuses_an_impossible_limit(limit: int) -> None:
    with pytest.raises(ValueError, match=r"1 \.\. 2"):
        IntegerStream(0).below(limit)


def test_choices_follow_their_weights() -> None:
    stream = IntegerStream.named("weights")
    counts = Counter(stream.weighted(((6, "often"), (3, "at times"), (1, "seldom"))) for _ in range(10_000))
    assert counts["often"] == pytest.approx(6000, abs=200)
    assert counts["at times"] == pytest.approx(3000, abs=200)
    assert counts["seldom"] == pytest.approx(1000, abs=150)


def test_chance_is_as_asked() -> None:
    stream = IntegerStream.named("chance")
    assert sum(stream.chance(1, 4) for _ in range(10_000)) == pytest.approx(2500, abs=200)
    assert not any(stream.chance(0, 4) for _ in range(100))
    assert all(stream.chance(4, 4) for _ in range(100))


def test_choice_reaches_every_item() -> None:
    stream = IntegerStream(1)
    assert {stream.choice("abc") for _ in range(100)} == set("abc")

"""Random numbers and the words that they choose."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.search.draws import as_fraction, draw_words, number, stream_of
from support.reference_samples import split_mix

NEVER = -np.inf


def test_numbers_are_those_that_the_generators_authors_give() -> None:
    """The first ones of SplitMix64 from 1234567, as published with the reference implementation."""
    given_ones = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    start = np.full(4, 1234567, np.uint64)
    assert number(start, np.arange(4)).tolist() == given_ones


@given(st.integers(0, 2**64 - 1), st.integers(0, 10_000))
def test_numbers_are_the_same_in_whole_numbers_without_a_limit(start: int, place: int) -> None:
    found = number(np.array([start], np.uint64), np.array([place]))
    assert found.tolist() == [split_mix(start, place)]
    (fraction,) = as_fraction(found)
    assert 0.0 <= fraction < 1.0
    assert fraction == (split_mix(start, place) >> 11) * 2.0**-53


def test_an_images_numbers_depend_on_each_of_its_features_and_on_the_seed() -> None:
    features = np.arange(1, 6, dtype=np.float32)
    streams = {stream_of(features, seed) for seed in (0, 1, 2**63 - 1)}
    for place in range(len(features)):
        changed = features.copy()
        changed[place] = np.nextafter(changed[place], np.float32(np.inf))
        streams.add(stream_of(changed, 0))
    assert len(streams) == 3 + len(features)
    assert stream_of(features.copy(), 1) == stream_of(features, 1)


def draw(
    log_probs: list[list[float]],
    fraction: list[float],
    temperature: float = 1.0,
    top_k: int = 0,
    bias: list[list[float]] | None = None,
) -> tuple[list[int], list[float]]:
    rows = len(log_probs)
    drawn = draw_words(
        np.array(log_probs, np.float32),
        np.zeros((1, len(log_probs[0])), np.float32) if bias is None else np.array(bias, np.float32),
        np.full(rows, temperature),
        np.full(rows, top_k),
        np.array(fraction),
    )
    return drawn.word.tolist(), drawn.log_prob.tolist()


def test_a_fraction_hits_the_word_in_whose_part_it_lies() -> None:
    halves = [math.log(0.5), NEVER, math.log(0.25), math.log(0.25)]
    fractions = [0.0, 0.49, 0.51, 0.74, 0.76, 1 - 2.0**-53]
    words, log_probs = draw([halves] * 6, fractions)
    assert words == [0, 0, 2, 2, 3, 3]
    assert log_probs == [float(np.float32(halves[word])) for word in words]


def test_temperature_sharpens_and_flattens() -> None:
    thirds = [math.log(2 / 3), math.log(1 / 3)]
    assert draw([thirds] * 2, [0.79, 0.81], temperature=0.5)[0] == [0, 1]  # 4 to 1
    root = math.sqrt(2) / (1 + math.sqrt(2))
    assert draw([thirds] * 2, [root - 1e-6, root + 1e-6], temperature=2.0)[0] == [0, 1]
    assert draw([thirds], [1 - 2.0**-53], temperature=0.01)[0] == [0]  # 1 to 2 ** -100


def test_top_k_leaves_the_most_probable_allowed_words_and_of_equals_the_lower_ids() -> None:
    log_probs = [[-1.0, -2.0, -0.5, -2.0, -2.0]]
    bias = [[0, 0, NEVER, 0, 0]]
    last = 1 - 2.0**-53
    assert [draw(log_probs, [last], top_k=count, bias=bias)[0][0] for count in (1, 2, 3, 4, 5, 99)] == [
        0, 1, 3, 4, 4, 4,
    ]  # fmt: skip


def test_rows_with_other_settings_share_a_call() -> None:
    log_probs = np.log(np.array([[0.5, 0.3, 0.2]] * 3, np.float32))
    drawn = draw_words(
        log_probs, np.zeros((1, 3), np.float32), np.ones(3), np.array([1, 0, 2]), np.full(3, 0.9)
    )
    assert drawn.word.tolist() == [0, 2, 1]


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_nan_and_what_is_no_better_are_said_and_harm_no_other_row(wrong: float) -> None:
    _, log_probs = draw([[-1.0, wrong], [NEVER, NEVER], [NEVER, -2.0]], [0.5] * 3)
    assert math.isnan(log_probs[0])
    assert log_probs[1:] == [NEVER, -2.0]


@given(st.integers(0, 10_000), st.integers(2, 40), st.sampled_from([0.01, 0.5, 1.0, 7.0]), st.integers(0, 5))
def test_a_word_without_weight_is_never_drawn_and_a_row_depends_on_no_other(
    seed: int, words: int, temperature: float, top_k: int
) -> None:
    random = np.random.default_rng(seed)
    log_probs = np.where(random.random((8, words)) < 0.5, NEVER, -8 * random.random((8, words)))
    log_probs[:, random.integers(words)] = -1.0
    fraction = random.choice([0.0, 2.0**-53, 0.5, 1 - 2.0**-53], 8)
    together = draw(log_probs.tolist(), fraction.tolist(), temperature, top_k)
    assert all(log_prob > NEVER for log_prob in together[1])
    for row in range(8):
        alone = draw([log_probs[row].tolist()], [float(fraction[row])], temperature, top_k)
        assert (alone[0][0], alone[1][0]) == (together[0][row], together[1][row])

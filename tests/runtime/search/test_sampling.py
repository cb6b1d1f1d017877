"""Samples: held against plain ones, against the exact distribution, and against each other in any company."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cxrscribe.errors import DecodingError, SettingsError
from cxrscribe.report import Report
from cxrscribe.search.decoding import ReportOrError, decode, search_in_order
from cxrscribe.search.requests import FeatureMatrix
from cxrscribe.search.scheduler import Scheduler
from cxrscribe.search.step import State
from cxrscribe.search.step_expander import StepExpander
from cxrscribe.settings import BeamSettings
from cxrscribe.stats import DecodingStats
from support.reference_samples import Sampler
from support.reference_search import Found, Search
from support.small_models import SmallDecoder, letters

FEATURES = 3
END = 2


@st.composite
def sample_settings(draw: st.DrawFn, words: int) -> BeamSettings:
    """Any settings that samples over a vocabulary of `words` words may get."""
    samples = draw(st.integers(1, 5))
    max_length = draw(st.integers(1, 7))
    return BeamSettings(
        max_length=max_length,
        min_length=draw(st.integers(0, max_length)),
        length_penalty=draw(st.sampled_from([0.0, 0.5, 1.0, -1.0])),
        n_best=draw(st.integers(1, samples)),
        no_repeat_ngram=draw(st.integers(0, 3)),
        banned_words=tuple(draw(st.sets(st.sampled_from(letters(words).words[4:]), max_size=2))),
        decoding="sample",
        temperature=draw(st.sampled_from([0.05, 0.7, 1.0, 3.0])),
        top_k=draw(st.integers(0, 4)),
        samples=samples,
        seed=draw(st.integers(0, 2**63 - 1)),
    )


@st.composite
def batches(draw: st.DrawFn) -> tuple[SmallDecoder, NDArray[np.float32], list[BeamSettings]]:
    """A decoder, features of some images, and settings of each: samples, and some searches among them."""
    words = draw(st.integers(5, 12))
    model = SmallDecoder.random(
        seed=draw(st.integers(0, 10_000)),
        words=words,
        layers=draw(st.integers(1, 2)),
        features=FEATURES,
        quantum=draw(st.sampled_from([0.0, 0.25, 4.0])),
    )
    images = draw(st.integers(1, 6))
    features = np.random.default_rng(draw(st.integers(0, 100))).standard_normal((images, FEATURES))
    searches = st.builds(BeamSettings, beam_width=st.integers(1, 4), max_length=st.integers(1, 7))
    each = draw(st.lists(sample_settings(words) | searches, min_size=images, max_size=images))
    return model, features.astype(np.float32), each


def decode_all(
    model: SmallDecoder,
    features: NDArray[np.float32],
    each: list[BeamSettings],
    stats: DecodingStats | None = None,
    slots: int = 32,
    at_once: int = 32,
    one_width: bool = False,
) -> list[ReportOrError]:
    vocabulary = letters(len(model.embedding))
    scheduler = Scheduler(
        StepExpander(model), vocabulary, slots, one_width=one_width, step_model=lambda: model
    )
    return list(search_in_order(scheduler, FeatureMatrix(features, each, vocabulary, at_once), stats))


def reference(model: SmallDecoder, features: NDArray[np.float32], chosen: BeamSettings) -> list[Found]:
    banned = frozenset(letters(len(model.embedding)).encode(chosen.banned_words))
    limits = Search(
        1,
        chosen.max_length,
        chosen.min_length,
        chosen.length_penalty,
        chosen.n_best,
        chosen.no_repeat_ngram,
        banned,
    )
    sampler = Sampler(chosen.temperature, chosen.top_k, chosen.samples, chosen.seed, limits)
    return sampler.run(features.tolist(), lambda words: model.next_log_probs(features, words))


@settings(max_examples=100, deadline=None)
@given(batches())
def test_samples_are_those_that_are_drawn_one_by_one_in_plain_python(
    batch: tuple[SmallDecoder, NDArray[np.float32], list[BeamSettings]],
) -> None:
    model, features, each = batch
    for report, row, chosen in zip(decode_all(model, features, each), features, each, strict=True):
        if not chosen.draws:
            continue
        found = reference(model, row, chosen)
        if isinstance(report, DecodingError):
            assert found == []
            continue
        assert isinstance(report, Report)
        results = [report, *report.alternatives]
        assert [result.tokens for result in results] == [sample.words for sample in found]
        assert [result.finished for result in results] == [sample.finished for sample in found]
        assert [result.log_prob for result in results] == [float(sample.log_prob) for sample in found]
        assert [result.score for result in results] == [sample.score for sample in found]
        assert [result.token_log_probs for result in results] == [
            tuple(map(float, sample.token_log_probs)) for sample in found
        ]


@settings(max_examples=150, deadline=None)
@given(batches(), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_neither_samples_nor_searches_depend_on_their_company_or_on_when_they_were_admitted(
    batch: tuple[SmallDecoder, NDArray[np.float32], list[BeamSettings]],
    slots: int,
    at_once: int,
    one_width: bool,
) -> None:
    model, features, each = batch
    alone = [decode_all(model, row[None], [chosen])[0] for row, chosen in zip(features, each, strict=True)]
    together = decode_all(model, features, each, slots=slots, at_once=at_once, one_width=one_width)
    backwards = decode_all(model, features[::-1], each[::-1], slots=slots)
    assert list(map(str, together)) == list(map(str, alone)) == list(map(str, backwards))[::-1]


def frequencies(chosen: BeamSettings, model: SmallDecoder, draws: int) -> Counter[tuple[int, ...]]:
    """How often each sequence of tokens was drawn; `<end>` is one."""
    counted: Counter[tuple[int, ...]] = Counter()
    features = np.ones((1, FEATURES), np.float32)
    each = [replace(chosen, seed=seed) for seed in range(draws // chosen.samples)]
    for report in decode(model, letters(8), np.repeat(features, len(each), axis=0), each):
        counted.update(
            (*found.tokens, END) if found.finished else found.tokens
            for found in (report, *report.alternatives)
        )
    return counted


def exact(chosen: BeamSettings, model: SmallDecoder) -> dict[tuple[int, ...], float]:
    """The probability of every sequence that can be drawn."""
    limits = Search(1, chosen.max_length, chosen.min_length, no_repeat_ngram=chosen.no_repeat_ngram)
    sampler = Sampler(chosen.temperature, chosen.top_k, 1, 0, limits)
    features = np.ones(FEATURES, np.float32)
    found: dict[tuple[int, ...], float] = {}

    def walk(words: tuple[int, ...], probability: float) -> None:
        weights = sampler.weights(words, model.next_log_probs(features, words))
        for word, weight in weights.items():
            share = probability * weight / sum(weights.values())
            if word == END or len(words) + 1 == chosen.max_length:
                found[(*words, word)] = share
            else:
                walk((*words, word), share)

    walk((), 1.0)
    return found


def surprise(counted: Counter[tuple[int, ...]], probability: dict[tuple[int, ...], float]) -> float:
    """By how many standard deviations chi-square is above its mean; rare sequences count as one."""
    draws = counted.total()
    cells: list[tuple[float, float]] = []
    rare_expected, rare_counted = 0.0, 0.0
    for sequence, share in probability.items():
        if share * draws < 8:
            rare_expected += share * draws
            rare_counted += counted[sequence]
        else:
            cells.append((share * draws, counted[sequence]))
    if rare_expected >= 8:
        cells.append((rare_expected, rare_counted))
    square = sum((seen - expected) ** 2 / expected for expected, seen in cells)
    freedom = len(cells) - 1
    return (square - freedom) / math.sqrt(2 * freedom)


DRAWN = BeamSettings(max_length=4, decoding="sample", samples=64, n_best=64)


@pytest.mark.parametrize(
    "chosen",
    [
        DRAWN,
        replace(DRAWN, temperature=0.6),
        replace(DRAWN, temperature=2.0, top_k=3),
        replace(DRAWN, min_length=2, no_repeat_ngram=1),
    ],
    ids=["as the model says", "sharpened", "flattened among three", "limited"],
)
def test_sequences_are_drawn_as_often_as_their_probability_says(chosen: BeamSettings) -> None:
    """The seeds are fixed, and so is the result: 8,192 samples of a few dozen to a few hundred sequences."""
    model = SmallDecoder.random(seed=11, words=8)
    counted = frequencies(chosen, model, 8192)
    probability = exact(chosen, model)
    assert math.isclose(sum(probability.values()), 1.0, rel_tol=1e-6)
    assert set(counted) <= set(probability)
    assert len(counted) > 15
    assert surprise(counted, probability) < 4
    # The same samples are far from another temperature's: the measure would have shown it.
    assert surprise(counted, exact(replace(chosen, temperature=chosen.temperature * 2), model)) > 10


def test_samples_of_an_image_and_of_neighbouring_seeds_are_independent() -> None:
    """Of the first words of two samples, and of two seeds, each pair is as frequent as the product says."""
    model = SmallDecoder.random(seed=11, words=8)
    features = np.ones((1, FEATURES), np.float32)
    weights = Sampler(1.0, 0, 2, 0, Search(1, 1)).weights((), model.next_log_probs(features[0], ()))
    share = {word: weight / sum(weights.values()) for word, weight in weights.items()}
    two = BeamSettings(max_length=1, decoding="sample", samples=2, n_best=2)
    each = [replace(two, seed=seed) for seed in range(4000)]
    drawn = [
        sorted((found.tokens or (END,))[0] for found in (report, *report.alternatives))  # ranked anyway
        for report in decode(model, letters(8), np.repeat(features, len(each), axis=0), each)
    ]
    of_samples: dict[tuple[int, ...], float] = Counter()
    of_lower: dict[int, float] = Counter()
    for one, other in product(share, share):
        of_samples[min(one, other), max(one, other)] += share[one] * share[other]
        of_lower[min(one, other)] += share[one] * share[other]
    assert surprise(Counter(map(tuple, drawn)), of_samples) < 4
    of_seeds = {(one, other): of_lower[one] * of_lower[other] for one, other in product(of_lower, of_lower)}
    neighbours = zip(drawn[::2], drawn[1::2], strict=True)
    assert surprise(Counter((one[0], other[0]) for one, other in neighbours), of_seeds) < 4


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8))
def test_one_most_probable_word_at_a_time_is_greedy_search(seed: int, max_length: int) -> None:
    model = SmallDecoder.random(seed, words=9)
    features = np.random.default_rng(seed).standard_normal((4, FEATURES)).astype(np.float32)
    greedy = decode(model, letters(9), features, BeamSettings(beam_width=1, max_length=max_length))
    limited = BeamSettings(max_length=max_length, decoding="sample", top_k=1, seed=seed)
    assert decode(model, letters(9), features, limited) == greedy


def test_near_zero_the_temperature_makes_it_greedy_search_too() -> None:
    features = np.ones((1, FEATURES), np.float32)
    cold = BeamSettings(max_length=8, decoding="sample", temperature=0.01, samples=8, n_best=8)
    clear = 0
    for seed in range(30):
        model = SmallDecoder.random(seed, words=9)
        (greedy,) = decode(model, letters(9), features, BeamSettings(beam_width=1, max_length=8))
        steps = range(len(greedy.token_log_probs))
        best = [np.sort(model.next_log_probs(features[0], greedy.tokens[:step])[END:])[-2:] for step in steps]
        if min(np.ptp(two) for two in best) < 0.4:  # at 0.01 that is a factor of e ** 40
            continue
        (drawn,) = decode(model, letters(9), features, cold)
        assert {found.tokens for found in (drawn, *drawn.alternatives)} == {greedy.tokens}
        clear += 1
    assert clear > 3


def test_seeds_and_samples_give_other_reports_and_the_same_ones_again() -> None:
    model = SmallDecoder.random(seed=4, words=12)
    features = np.ones((1, FEATURES), np.float32)
    several = BeamSettings(max_length=12, decoding="sample", samples=8, n_best=8)

    def reports(chosen: BeamSettings) -> set[tuple[int, ...]]:
        (best,) = decode(model, letters(12), features, chosen)
        return {found.tokens for found in (best, *best.alternatives)}

    assert len(reports(several)) > 4
    assert reports(several) == reports(several)
    assert reports(several) != reports(replace(several, seed=1))
    fewer = reports(replace(several, samples=3, n_best=3))
    assert fewer <= reports(several)  # the first samples don't depend on how many there are


def test_a_longer_limit_changes_no_word_before_the_old_one() -> None:
    model = SmallDecoder.random(seed=4, words=12)
    features = np.ones((1, FEATURES), np.float32)
    short = BeamSettings(max_length=3, decoding="sample", min_length=3)
    (cut,) = decode(model, letters(12), features, short)
    (long,) = decode(model, letters(12), features, replace(short, max_length=9))
    assert not cut.finished
    assert long.tokens[:3] == cut.tokens


@settings(max_examples=60, deadline=None)
@given(batches())
def test_samples_keep_to_their_settings(
    batch: tuple[SmallDecoder, NDArray[np.float32], list[BeamSettings]],
) -> None:
    model, features, each = batch
    vocabulary = letters(len(model.embedding))
    for report, chosen in zip(decode_all(model, features, each), each, strict=True):
        if not isinstance(report, Report):
            continue
        results = [report, *report.alternatives]
        assert len(results) <= chosen.n_best
        assert results == sorted(results, key=lambda found: (not found.finished, -found.score))
        for found in results:
            words = [vocabulary.words[token] for token in found.tokens]
            assert not set(words) & {*chosen.banned_words, *vocabulary.words[:4]}
            assert len(words) >= chosen.min_length
            assert len(words) + found.finished <= chosen.max_length
            n = chosen.no_repeat_ngram
            grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
            assert n == 0 or len(set(grams)) == len(grams)


def test_samples_without_any_possible_word_are_a_decoding_error_that_says_what_to_do() -> None:
    model = SmallDecoder.random(seed=1, words=6)
    impossible = BeamSettings(max_length=6, min_length=2, banned_words=("a", "b"), decoding="sample")
    with pytest.raises(DecodingError, match=r"min_length.*raise samples"):
        decode(model, letters(6), np.ones((1, FEATURES)), impossible)


class SickDecoder:
    """Gives NaN for images whose first feature is negative, at the second step."""

    def __init__(self) -> None:
        self._model = SmallDecoder.random(seed=3, words=8)

    def initial_state(self, features: NDArray[np.float32]) -> State:
        state = self._model.initial_state(np.abs(features))
        mark = np.where(features[:, 0] < 0, 2.0, 0.0)[None, :, None] * np.ones((1, 1, 4))
        return self._marked(state, mark.astype(np.float32))

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        log_probs, after = self._model.step(tokens, State(state.hidden[:-1], state.cell[:-1]))
        mark = state.hidden[-1:]
        log_probs[mark[0, :, 0] == 1, 5] = np.nan
        return log_probs, self._marked(after, mark - (mark > 0).astype(np.float32))

    def _marked(self, state: State, mark: NDArray[np.float32]) -> State:
        return State(np.concatenate((state.hidden, mark)), np.concatenate((state.cell, mark)))


def test_nan_ends_the_samples_of_its_image_and_of_no_other() -> None:
    features = np.abs(np.random.default_rng(0).normal(size=(5, FEATURES))).astype(np.float32)
    chosen = BeamSettings(max_length=7, min_length=3, decoding="sample", samples=3, n_best=3)
    vocabulary = letters(8)

    def run(rows: NDArray[np.float32]) -> list[ReportOrError]:
        model = SickDecoder()
        scheduler = Scheduler(StepExpander(model), vocabulary, 2, one_width=False, step_model=lambda: model)
        return list(search_in_order(scheduler, FeatureMatrix(rows, [chosen] * len(rows), vocabulary, 2)))

    healthy = run(features)
    assert all(isinstance(report, Report) for report in healthy)
    features[2, 0] *= -1
    found = run(features)
    assert isinstance(found[2], DecodingError)
    assert "NaN" in str(found[2])
    assert found[:2] + found[3:] == healthy[:2] + healthy[3:]


def test_only_samples_that_still_grow_are_computed() -> None:
    model = SmallDecoder.random(seed=2, words=8)
    long = BeamSettings(max_length=5, min_length=5, decoding="sample", samples=4)
    short = BeamSettings(max_length=2, min_length=2, decoding="sample", samples=3)
    stats = DecodingStats()
    decode(model, letters(8), np.ones((3, FEATURES)), [short, long, short], stats)
    assert stats.steps == 5
    assert stats.rows == 2 * (3 + 4 + 3) + 3 * 4
    assert (stats.images, stats.image_steps, stats.steps_saved) == (3, 2 + 5 + 2, 0)


def test_fixed_rows_a_call_are_kept_to_and_change_nothing() -> None:
    class Counting(SmallDecoder):
        def initial_state(self, features: NDArray[np.float32]) -> State:
            seen.add(len(features))
            return super().initial_state(features)

        def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
            seen.add(len(tokens))
            return super().step(tokens, state)

    seen: set[int] = set()
    model = Counting.random(seed=5, words=9)
    features = np.random.default_rng(1).standard_normal((7, FEATURES)).astype(np.float32)
    each = [
        BeamSettings(max_length=6, decoding="sample", samples=1 + 5 * place, n_best=1 + 5 * place)
        for place in range(7)
    ]
    free = decode_all(model, features, each)
    seen.clear()
    assert decode_all(model, features, each, one_width=True) == free
    assert seen == {32}


def test_a_word_that_is_not_in_the_vocabulary_is_refused() -> None:
    model = SmallDecoder.random(seed=1, words=6)
    with pytest.raises(SettingsError, match="'zebra'"):
        decode(
            model,
            letters(6),
            np.ones((1, FEATURES)),
            BeamSettings(decoding="sample", banned_words=("zebra",)),
        )

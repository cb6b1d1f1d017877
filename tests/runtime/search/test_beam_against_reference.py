"""The vectorised search, held against the plain one on small random decoders."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe.errors import DecodingError
from cxrscribe.report import Report
from cxrscribe.search.decoding import ReportOrError, decode, search_in_order
from cxrscribe.search.requests import FeatureMatrix
from cxrscribe.search.scheduler import Scheduler
from cxrscribe.search.step_expander import StepExpander
from cxrscribe.settings import BeamSettings
from cxrscribe.stats import DecodingStats
from support.reference_search import Found, NextLogProbs, Search
from support.small_models import CompanyDecoder, SmallDecoder, assert_independent_rows, letters

FEATURES = 3


@st.composite
def beam_settings(draw: st.DrawFn, words: int) -> BeamSettings:
    """Any settings that a search over a vocabulary of `words` words may get."""
    beam_width = draw(st.integers(1, 5))
    max_length = draw(st.integers(1, 7))
    return BeamSettings(
        beam_width=beam_width,
        max_length=max_length,
        min_length=draw(st.integers(0, max_length)),
        length_penalty=draw(st.sampled_from([0.0, 0.5, 1.0, 2.0, -1.0])),
        n_best=draw(st.integers(1, beam_width)),
        no_repeat_ngram=draw(st.integers(0, 3)),
        banned_words=tuple(draw(st.sets(st.sampled_from(letters(words).words[4:]), max_size=2))),
    )


@st.composite
def batches(draw: st.DrawFn) -> tuple[SmallDecoder, np.ndarray, list[BeamSettings]]:
    """A decoder, features of some images, and settings of each."""
    words = draw(st.integers(5, 12))
    model = SmallDecoder.random(
        seed=draw(st.integers(0, 10_000)),
        words=words,
        layers=draw(st.integers(1, 2)),
        hidden=draw(st.integers(2, 4)),
        features=FEATURES,
        quantum=draw(st.sampled_from([0.0, 0.25, 1.0, 4.0])),
    )
    images = draw(st.integers(1, 6))
    features = np.random.default_rng(draw(st.integers(0, 100))).standard_normal((images, FEATURES))
    each = draw(st.lists(beam_settings(words), min_size=images, max_size=images))
    return model, features.astype(np.float32), each


def reference(model: SmallDecoder, chosen: BeamSettings) -> Search:
    words = len(model.embedding)
    return Search(
        chosen.beam_width,
        chosen.max_length,
        chosen.min_length,
        chosen.length_penalty,
        chosen.n_best,
        chosen.no_repeat_ngram,
        frozenset(letters(words).encode(chosen.banned_words)),
    )


def remembering(model: SmallDecoder, features: np.ndarray) -> NextLogProbs:
    @cache
    def next_log_probs(so_far: tuple[int, ...]) -> np.ndarray:
        return model.next_log_probs(features, so_far)

    return next_log_probs


def decode_all(
    model: SmallDecoder,
    features: np.ndarray,
    each: list[BeamSettings],
    stats: DecodingStats | None = None,
    slots: int = 32,
    at_once: int = 32,
    one_width: bool = False,
) -> list[ReportOrError]:
    """Search for all images in one scheduler of so many slots; errors are values."""
    assert_independent_rows(model, features)
    vocabulary = letters(len(model.embedding))
    scheduler = Scheduler(StepExpander(model), vocabulary, slots, one_width=one_width)
    return list(search_in_order(scheduler, FeatureMatrix(features, each, vocabulary, at_once), stats))


def assert_same(report: ReportOrError, found: list[Found]) -> None:
    if isinstance(report, DecodingError):
        assert found == []
        return
    assert isinstance(report, Report)
    results = [report, *report.alternatives]
    assert [result.tokens for result in results] == [each.words for each in found]
    assert [result.finished for result in results] == [each.finished for each in found]
    # To the bit: both add float32 one after the other, and divide in float64.
    assert [result.log_prob for result in results] == [float(each.log_prob) for each in found]
    assert [result.score for result in results] == [each.score for each in found]
    assert [result.token_log_probs for result in results] == [
        tuple(map(float, each.token_log_probs)) for each in found
    ]


@settings(max_examples=150, deadline=None)
@given(batches())
def test_batch_of_mixed_settings_finds_what_the_plain_search_finds(
    batch: tuple[SmallDecoder, np.ndarray, list[BeamSettings]],
) -> None:
    model, features, each = batch
    reports = decode_all(model, features, each)
    assert len(reports) == len(each)
    for report, row, chosen in zip(reports, features, each, strict=True):
        assert_same(report, reference(model, chosen).run(remembering(model, row)))


@settings(max_examples=150, deadline=None)
@given(batches(), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_a_report_does_not_depend_on_its_company_or_on_when_it_was_admitted(
    batch: tuple[SmallDecoder, np.ndarray, list[BeamSettings]], slots: int, at_once: int, one_width: bool
) -> None:
    model, features, each = batch
    alone = [decode_all(model, row[None], [chosen])[0] for row, chosen in zip(features, each, strict=True)]
    together = decode_all(model, features, each, slots=slots, at_once=at_once, one_width=one_width)
    assert list(map(str, together)) == list(map(str, alone))


def test_decoder_whose_rows_depend_on_their_company_is_named_as_the_culprit() -> None:
    """Rather than leaving a reader to wonder about last bits of a search that is right."""
    model = CompanyDecoder.random(seed=3, words=8)
    features = np.ones((3, FEATURES), np.float32)
    with pytest.raises(AssertionError, match="the test's own decoder is at fault, not the search: row 0"):
        decode_all(model, features, [BeamSettings(max_length=4)] * 3)


@settings(max_examples=60, deadline=None)
@given(batches())
def test_stopping_early_changes_no_result(
    batch: tuple[SmallDecoder, np.ndarray, list[BeamSettings]],
) -> None:
    model, features, each = batch
    reports = decode_all(model, features, each)
    for report, row, chosen in zip(reports, features, each, strict=True):
        assert_same(report, reference(model, chosen).run(remembering(model, row), stop_early=False))


@settings(max_examples=60, deadline=None)
@given(batches())
def test_search_stops_at_the_very_step_the_rule_says(
    batch: tuple[SmallDecoder, np.ndarray, list[BeamSettings]],
) -> None:
    model, features, each = batch
    for row, chosen in zip(features, each, strict=True):
        stats = DecodingStats()
        decode_all(model, row[None], [chosen], stats)
        search = reference(model, chosen)
        search.run(remembering(model, row))
        assert stats.steps == search.steps


def test_fewer_results_take_fewer_steps_and_are_the_same() -> None:
    """Rule 9: the search is over when the n_best best can't be beaten, whatever else could still finish."""
    saved = 0
    for seed in range(40):
        model = SmallDecoder.random(seed, words=9)
        features = np.ones((1, FEATURES), np.float32)
        few, many = DecodingStats(), DecodingStats()
        settings = BeamSettings(beam_width=4, max_length=12, length_penalty=0.5)
        (best,) = decode(model, letters(9), features, settings, few)
        (same,) = decode(model, letters(9), features, replace(settings, n_best=4), many)
        assert best == replace(same, alternatives=())
        saved += many.steps - few.steps
    assert saved > 0


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, -1.0])
def test_bound_uses_the_most_favourable_length(length_penalty: float) -> None:
    chosen = BeamSettings(beam_width=2, max_length=8, length_penalty=length_penalty)
    for seed in range(60):
        model = SmallDecoder.random(seed, words=7)
        features = np.ones((1, FEATURES), np.float32)
        stats = DecodingStats()
        decode(model, letters(7), features, chosen, stats)
        search = reference(model, chosen)
        search.run(remembering(model, features[0]))
        assert stats.steps == search.steps


@settings(max_examples=60, deadline=None)
@given(batches())
def test_reports_keep_to_their_settings(
    batch: tuple[SmallDecoder, np.ndarray, list[BeamSettings]],
) -> None:
    model, features, each = batch
    vocabulary = letters(len(model.embedding))
    for report, chosen in zip(decode_all(model, features, each), each, strict=True):
        if isinstance(report, DecodingError):
            continue
        results = [report, *report.alternatives]
        assert len(results) <= chosen.n_best
        assert len({(result.tokens, result.finished) for result in results}) == len(results)
        for result in results:
            words = [vocabulary.words[token] for token in result.tokens]
            assert not set(words) & {*chosen.banned_words, *vocabulary.words[:4]}
            assert len(words) >= chosen.min_length
            assert len(words) + result.finished <= chosen.max_length
            n = chosen.no_repeat_ngram
            grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
            assert n == 0 or len(set(grams)) == len(grams)


def test_wide_beam_over_all_sequences_finds_the_most_probable_report() -> None:
    model = SmallDecoder.random(seed=5, words=6)
    features = np.ones((1, FEATURES), np.float32)
    (report,) = decode(model, letters(6), features, BeamSettings(beam_width=64, max_length=5, n_best=64))

    def walk(words: tuple[int, ...], log_prob: np.float32) -> list[tuple[float, tuple[int, ...]]]:
        log_probs = model.next_log_probs(features[0], words)
        ends = [(float(np.float32(log_prob + log_probs[2])), words)]
        if len(words) == 4:
            return ends
        return ends + [
            entry for word in (4, 5) for entry in walk((*words, word), np.float32(log_prob + log_probs[word]))
        ]

    everything = sorted(walk((), np.float32(0)), reverse=True)
    finished = [each for each in (report, *report.alternatives) if each.finished]
    assert [(each.log_prob, each.tokens) for each in finished] == everything


def test_search_without_any_possible_word_is_a_decoding_error() -> None:
    model = SmallDecoder.random(seed=1, words=6)
    impossible = BeamSettings(max_length=6, min_length=2, banned_words=("a", "b"))
    with pytest.raises(DecodingError, match="min_length"):
        decode(model, letters(6), np.ones((1, FEATURES)), impossible)


def test_only_rows_that_hold_a_hypothesis_are_computed() -> None:
    model = SmallDecoder.random(seed=2, words=8)
    greedy = BeamSettings(beam_width=1, max_length=2)
    wide = BeamSettings(beam_width=4, max_length=5, min_length=5)
    stats = DecodingStats()
    decode(model, letters(8), np.ones((3, FEATURES)), [greedy, wide, greedy], stats)
    # Step 1: one row each. Step 2: one greedy row each and four wide ones. Then the greedy images are gone.
    assert stats.steps == 5
    assert stats.rows == 3 + (1 + 4 + 1) + 3 * 4
    assert stats.images == 3


@settings(max_examples=150, deadline=None)
@given(batches(), st.integers(1, 4), st.booleans(), st.data())
def test_images_that_are_dropped_leave_the_others_as_they_were(
    batch: tuple[SmallDecoder, np.ndarray, list[BeamSettings]],
    slots: int,
    one_width: bool,
    data: st.DataObject,
) -> None:
    """At any step, from any place; and all that were not dropped come to their end."""
    model, features, each = batch
    alone = [decode_all(model, row[None], [chosen])[0] for row, chosen in zip(features, each, strict=True)]
    vocabulary = letters(len(model.embedding))
    scheduler = Scheduler(StepExpander(model), vocabulary, slots, one_width=one_width)
    scheduler.enqueue(features, each, DecodingStats())
    left, unwanted = set(range(len(each))), set(data.draw(st.sets(st.integers(0, len(each) - 1))))
    for _ in range(1000):
        if not scheduler.busy:
            break
        for image in data.draw(st.sets(st.sampled_from(sorted(unwanted)))) if unwanted else ():
            if scheduler.drop(image):
                left.remove(image)
                unwanted.remove(image)
                assert not scheduler.drop(image)
        for image, outcome in scheduler.step(DecodingStats()):
            left.remove(image)
            unwanted.discard(image)
            assert str(outcome) == str(alone[image])
    assert not scheduler.busy
    assert not left

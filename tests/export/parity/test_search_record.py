"""The first decision in which two searches part, and its margin."""

from __future__ import annotations

import math

import numpy as np

from cxrscribe.settings import BeamSettings
from cxrscribe_export.parity.reference import ReferenceSearch
from cxrscribe_export.parity.search_record import Parting, SearchRecord, parting
from support.toy_model import ToyStep, toy_vocabulary


def record_of(
    *steps: tuple[list[float], list[int]], pools: list[dict[tuple[int, ...], float]]
) -> SearchRecord:
    """One live hypothesis all along: each step's totals and chosen words, and the scores of its pool."""
    record = SearchRecord()
    for (totals, words), pool in zip(steps, pools, strict=True):
        record.add_step([()], [np.array(totals, dtype=np.float32)], [(0, word) for word in words])
        record.add_finished(pool)
        record.set_pool(sorted(pool, key=lambda tokens: -pool[tokens]))
    return record


def test_equal_searches_never_part() -> None:
    record = record_of(([-1, -2, -3], [0, 1]), pools=[{(5,): -1.0}])
    assert parting(record, record) is None


def test_the_margin_is_measured_in_the_reference() -> None:
    reference = record_of(([-1, -2, -2.25], [0, 1]), pools=[{}])
    other = record_of(([-1, -2.5, -2.4], [0, 2]), pools=[{}])
    assert parting(reference, other) == Parting(step=0, margin=0.25)


def test_a_later_step_is_found_and_numbered_from_0() -> None:
    reference = record_of(([-1, -2], [0, 1]), ([-3, -3.5], [0, 1]), pools=[{}, {}])
    other = record_of(([-1, -2], [0, 1]), ([-3, -2.9], [1, 0]), pools=[{}, {}])
    assert parting(reference, other) == Parting(step=1, margin=0.5)


def test_the_order_of_the_pool_is_a_decision_too() -> None:
    reference = record_of(([-1, -2], [0, 1]), pools=[{(5,): -1.0, (6,): -1.5}])
    other = record_of(([-1, -2], [0, 1]), pools=[{(5,): -1.6, (6,): -1.5}])
    assert parting(reference, other) == Parting(step=0, margin=0.5)


def test_a_choice_that_the_reference_did_not_have_is_no_near_tie() -> None:
    reference = record_of(([-1, -2], [0, 1]), pools=[{(5,): -1.0}])
    assert parting(reference, record_of(([-1, -2], [0]), pools=[{(5,): -1.0}])) == Parting(0, math.inf)
    assert parting(reference, record_of(([-1, -2], [0, 1]), pools=[{(7,): -1.0}])) == Parting(0, math.inf)


def test_stopping_earlier_is_no_difference() -> None:
    reference = record_of(([-1, -2], [0, 1]), ([-3, -4], [0, 1]), pools=[{}, {}])
    assert parting(reference, record_of(([-1, -2], [0, 1]), pools=[{}])) is None


def test_searches_on_slightly_different_models_part_at_a_small_margin() -> None:
    """Ties in one model, broken by a hair in the other: whatever parts them is decided by that hair."""
    settings, vocabulary = BeamSettings(beam_width=3, max_length=8), toy_vocabulary(9)
    margins = []
    for seed in range(20):
        features = np.random.default_rng(seed).normal(size=4).astype(np.float32)
        tied, nudged = ToyStep(seed, 9, grain=0.5), ToyStep(seed, 9, grain=0.5, nudge=1e-6)
        records = [SearchRecord(), SearchRecord()]
        for model, record in zip((tied, nudged), records, strict=True):
            ReferenceSearch(model, vocabulary, settings).search(features, record)
        first = parting(*records)
        if first is not None:
            margins.append(first.margin)
    assert len(margins) > 5
    assert max(margins) < 1e-5

"""What features have to tell: findings and words of a report."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from cxrscribe.vocabulary import SPECIAL_TOKENS, Vocabulary
from cxrscribe_train.findings import FindingKind, Side
from cxrscribe_train.fitting.hints import FINDINGS, FeatureHints, MemoryHints, read_hints

VOCABULARY = Vocabulary((*SPECIAL_TOKENS, "no", "pneumothorax", "left", "nodule", "."))


def test_words_count_where_they_stand_and_findings_where_they_are_present() -> None:
    absent, present = read_hints(
        [["no", "pneumothorax", "."], ["left", "pneumothorax", ".", "zebra", "."]], VOCABULARY
    )
    pneumothorax = FindingKind.PNEUMOTHORAX
    there = [FINDINGS.index(pneumothorax), FINDINGS.index((pneumothorax, Side.LEFT))]
    assert absent[: len(FINDINGS)].sum() == 0
    assert np.flatnonzero(present[: len(FINDINGS)]).tolist() == there
    assert np.flatnonzero(absent[len(FINDINGS) :]).tolist() == [4, 5, 8]
    assert np.flatnonzero(present[len(FINDINGS) :]).tolist() == [3, 5, 6, 8]


def test_the_loss_equals_brute_force_and_skips_special_tokens() -> None:
    generator = np.random.default_rng(5)
    features = generator.normal(size=(3, 7)).astype(np.float32)
    hints = generator.integers(0, 2, (3, len(FINDINGS) + len(VOCABULARY))).astype(np.uint8)
    paddle.seed(0)
    head = FeatureHints(7, len(VOCABULARY), finding_weight=3.0, word_weight=0.5)
    logits = head.linear(paddle.to_tensor(features)).numpy().astype(float)
    by_hand = 0.0
    for row, hint in zip(logits, hints, strict=True):
        for place, (logit, there) in enumerate(zip(row, hint, strict=True)):
            if len(FINDINGS) <= place < len(FINDINGS) + len(SPECIAL_TOKENS):
                continue
            chance = 1.0 / (1.0 + np.exp(-logit))
            by_hand -= (3.0 if place < len(FINDINGS) else 0.5) * np.log(chance if there else 1.0 - chance)
    loss = head.summed_loss(paddle.to_tensor(features), paddle.to_tensor(hints))
    assert float(loss) == pytest.approx(by_hand, rel=1e-5)


def test_memory_counts_at_every_real_word() -> None:
    generator = np.random.default_rng(6)
    states = generator.normal(size=(2, 3, 5)).astype(np.float32)
    targets = np.array([[4, 2, 0], [5, 4, 2]])
    hints = generator.integers(0, 2, (2, len(FINDINGS) + len(VOCABULARY))).astype(np.uint8)
    paddle.seed(0)
    memory = MemoryHints(5, weight=0.25)
    logits = memory.linear(paddle.to_tensor(states)).numpy().astype(float)
    by_hand = 0.0
    for film, word in [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]:
        for kind in range(len(FINDINGS)):
            chance = 1.0 / (1.0 + np.exp(-logits[film, word, kind]))
            by_hand -= 0.25 * np.log(chance if hints[film, kind] else 1.0 - chance)
    loss = memory.summed_loss(*(paddle.to_tensor(array) for array in (states, targets, hints)))
    assert float(loss) == pytest.approx(by_hand, rel=1e-5)

from __future__ import annotations

import numpy as np
import pytest

from cxrscribe.vocabulary import END, PAD, SPECIAL_TOKENS, Vocabulary
from cxrscribe_train.fitting.reward import RewardOf, stated
from cxrscribe_train.ngrams import ngrams, sentence_bleu


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


OWN = words("there is a small nodule in the left upper lobe . the heart is normal .")
OTHER = words("there is a small nodule in the right upper lobe . no effusion .")
NORMAL = words("the heart is normal . no nodule .")
FALSE = words("there is a large pneumothorax on the left .")
WORDS = sorted({word for report in (OWN, OTHER, NORMAL, FALSE) for word in report})
VOCABULARY = Vocabulary((*SPECIAL_TOKENS, *WORDS))


def tokens_of(*reports: tuple[str, ...]) -> np.ndarray:
    ids = [[*VOCABULARY.encode(report), END] for report in reports]
    longest = max(map(len, ids))
    return np.array([row + [PAD] * (longest - len(row)) for row in ids], np.int64)


def bleu_of(report: tuple[str, ...], reference: tuple[str, ...]) -> float:
    return sentence_bleu(report, ngrams(reference), len(reference))


def test_a_reward_is_bleu_and_what_hits_and_false_alarms_weigh() -> None:
    reward = RewardOf([OWN, NORMAL], VOCABULARY, label_reward=0.25)
    found = reward([0, 0, 0, 0, 1], tokens_of(OWN, OTHER, NORMAL, FALSE, FALSE))
    true, other, false = stated(OWN), stated(OTHER), stated(FALSE)
    assert len(true) == len(other) == 3  # the finding, its side and its zone
    assert len(true & other) == 2
    assert not true & false
    expected = [
        1.0 + 0.25 * 3 / 2,
        bleu_of(OTHER, OWN) + 0.25 * (2 - 0.5) / 2,
        bleu_of(NORMAL, OWN),
        bleu_of(FALSE, OWN) - 0.25 * 0.5 * len(false) / 2,
        bleu_of(FALSE, NORMAL) - 0.25 * 0.5 * len(false) / 2,
    ]
    assert found == pytest.approx(expected)
    assert found[0] > found[1] > found[2] > found[3]


def test_without_label_reward_only_words_count() -> None:
    reward = RewardOf([OWN], VOCABULARY, label_reward=0.0)
    assert reward([0], tokens_of(FALSE)) == pytest.approx([bleu_of(FALSE, OWN)])


def test_a_cut_report_and_an_empty_one_are_worth_what_they_have() -> None:
    reward = RewardOf([OWN], VOCABULARY, label_reward=0.25)
    cut = np.array([VOCABULARY.encode(NORMAL)], np.int64)
    assert reward([0], cut) == pytest.approx(reward([0], tokens_of(NORMAL)))
    assert reward([0], np.array([[END, PAD]], np.int64)) == pytest.approx([0.0])

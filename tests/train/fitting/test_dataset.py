from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cxrscribe.errors import InputError
from cxrscribe.vocabulary import END, PAD, SPECIAL_TOKENS, START, UNK, Vocabulary
from cxrscribe_train.corpus.table import Corpus, read_reports
from cxrscribe_train.fitting.augmentation import Augmentation
from cxrscribe_train.fitting.dataset import EpochSampler, ReportDataset, ReportTokens, read_examples

VOCABULARY = Vocabulary((*SPECIAL_TOKENS, "heart", "normal"))


def test_inputs_start_and_targets_end_and_both_are_padded() -> None:
    tokens = ReportTokens.of([["heart", "normal"], ["mass"]], VOCABULARY, max_tokens=10)
    assert tokens.inputs.tolist() == [[START, 4, 5], [START, UNK, PAD]]
    assert tokens.targets.tolist() == [[4, 5, END], [UNK, END, PAD]]
    assert tokens.lengths.tolist() == [3, 2]


def some_lengths(samples: int) -> NDArray[np.int64]:
    return np.random.default_rng(samples).integers(1, 90, samples)


def test_a_cut_report_has_no_end() -> None:
    tokens = ReportTokens.of([["heart"] * 3, ["heart"] * 2], VOCABULARY, max_tokens=2)
    assert tokens.inputs.tolist() == [[START, 4, PAD], [START, 4, 4]]
    assert tokens.targets.tolist() == [[4, 4, PAD], [4, 4, END]]


def test_rows_without_image_or_findings_are_counted(squares: Path) -> None:
    corpus = read_reports(squares)
    rows = list(corpus.rows)
    rows[0] = replace(rows[0], image_path="")
    rows[1] = replace(rows[1], findings="")
    examples = read_examples(Corpus(squares, tuple(rows)), "train", need_file=True)
    assert (len(examples), examples.without_image, examples.without_findings) == (6, 1, 1)
    assert len(read_examples(Corpus(squares, tuple(rows)), "train", need_file=False)) == 7
    kept = examples.keep(examples.image_ids[:2])
    assert (kept.image_ids, kept.without_image) == (examples.image_ids[:2], 1)


@pytest.mark.parametrize(
    ("version", "words"),
    [(1, "no effusion 50 percent ano ."), (2, "no effusion , 50 % , año .")],
)
def test_words_follow_the_rules_that_a_run_was_begun_with(squares: Path, version: int, words: str) -> None:
    row = replace(read_reports(squares).split("train")[0], findings="No effusion, 50%; año.")
    examples = read_examples(Corpus(squares, (row,)), "train", need_file=True, cleaning=version)
    assert examples.words == (tuple(words.split()),)


def test_a_corpus_without_validation_split_is_refused(squares: Path) -> None:
    corpus = read_reports(squares)
    without = Corpus(squares, tuple(row for row in corpus.rows if row.split != "val"))
    with pytest.raises(InputError, match="'val'"):
        read_examples(without, "val", need_file=True)


def test_an_epoch_visits_every_sample_at_most_once_and_epochs_differ() -> None:
    sampler = EpochSampler(lengths=some_lengths(22), batch_size=4, seed=3)
    orders = []
    for epoch in range(2):
        sampler.begin(epoch)
        order = [sample for batch in sampler for sample in batch]
        assert len(order) == len(set(order)) == 20
        orders.append(order)
    assert orders[0] != orders[1]


def test_a_sampler_goes_on_in_the_middle_of_an_epoch() -> None:
    whole = EpochSampler(lengths=some_lengths(20), batch_size=4, seed=3)
    whole.begin(epoch=5)
    rest = EpochSampler(lengths=some_lengths(20), batch_size=4, seed=3)
    rest.begin(epoch=5, batch=2)
    assert list(rest) == list(whole)[2:]


def test_batches_hold_reports_of_like_lengths() -> None:
    lengths = some_lengths(512)
    sampler = EpochSampler(lengths, batch_size=8, seed=2)
    padded = sum(int(lengths[batch].max()) * len(batch) for batch in sampler)
    assert padded < 1.15 * lengths.sum()
    widths = [int(lengths[batch].max()) for batch in sampler]
    assert widths != sorted(widths)


def test_the_processes_share_each_batch() -> None:
    whole = EpochSampler(lengths=some_lengths(24), batch_size=8, seed=1)
    shares = [
        EpochSampler(lengths=some_lengths(24), batch_size=8, seed=1, rank=rank, processes=2)
        for rank in range(2)
    ]
    for batch, first, second in zip(whole, *shares, strict=True):
        assert sorted(first + second) == sorted(batch)
        assert len(first) == len(second)


def test_a_batch_is_as_wide_as_its_longest_report() -> None:
    tokens = ReportTokens.of([["heart"], ["heart"] * 2, ["heart"] * 9], VOCABULARY, max_tokens=20)
    dataset = ReportDataset(np.arange(12, dtype=np.float32).reshape(3, 4), tokens)
    features, inputs, targets, hints = dataset.collate([dataset[1], dataset[0]])
    assert features.tolist() == [[4, 5, 6, 7], [0, 1, 2, 3]]
    assert inputs.shape == targets.shape == (2, 3)
    assert hints.tolist() == tokens.hints[[1, 0]].tolist()
    assert targets.tolist() == [[4, 4, END], [4, END, PAD]]


def test_a_film_changes_from_epoch_to_epoch_but_not_within_one() -> None:
    tokens = ReportTokens.of([["heart"]], VOCABULARY, max_tokens=5)
    film = np.random.default_rng(0).integers(0, 256, (1, 32, 32), dtype=np.uint8)
    dataset = ReportDataset(film, tokens, Augmentation(), seed=1)
    first, again = dataset[0][0], dataset[0][0]
    dataset.epoch = 1
    assert np.array_equal(first, again)
    assert not np.array_equal(first, dataset[0][0])

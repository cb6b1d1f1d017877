from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import paddle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from cxrscribe.bundle.architecture import Architecture, ContextSizes
from cxrscribe.search.decoding import decode
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import END, PAD, SPECIAL_TOKENS, START, UNK, Vocabulary
from cxrscribe_models import ReportDecoder
from cxrscribe_train.fitting.dataset import inputs_of
from cxrscribe_train.fitting.self_critical import (
    Seen,
    advantages,
    greedy_reports,
    policy_loss,
    sample_reports,
)
from cxrscribe_train.step import PaddleStep

FEATURES, PATIENT, TAGS = 5, 3, 4
NEVER = (PAD, START, UNK)


def decoder_of(words: int, *, context: bool = False, layers: int = 1, dropout: float = 0.0) -> ReportDecoder:
    """A decoder with random weights, large enough that its words differ in probability."""
    paddle.seed(3)
    architecture = Architecture(
        backbone="mobilenet_v1",
        backbone_options={},
        feature_size=FEATURES,
        embedding_size=6,
        hidden_size=8,
        layers=layers,
        vocabulary_size=len(SPECIAL_TOKENS) + words,
        dropout=dropout,
        context=ContextSizes(PATIENT, 7, TAGS) if context else None,
    )
    decoder = ReportDecoder(architecture)
    random = np.random.default_rng(5)
    for parameter in decoder.parameters():
        parameter.set_value(random.normal(0, 0.7, parameter.shape).astype(np.float32))
    return decoder


def seen_of(films: int, *, context: bool = False) -> Seen:
    random = np.random.default_rng(11)

    def some(size: int) -> paddle.Tensor:
        return paddle.to_tensor(random.normal(size=(films, size)).astype(np.float32))

    return Seen(some(FEATURES), some(PATIENT), some(TAGS)) if context else Seen(some(FEATURES))


def reports_up_to(longest: int, words: int) -> NDArray[np.int64]:
    """All reports that can be written in `longest` tokens, padded."""
    real = range(len(SPECIAL_TOKENS), len(SPECIAL_TOKENS) + words)
    ended = [[*report, END] for length in range(longest) for report in itertools.product(real, repeat=length)]
    cut = [list(report) for report in itertools.product(real, repeat=longest)]
    return np.array([report + [PAD] * (longest - len(report)) for report in (*ended, *cut)], np.int64)


def next_word_probs(decoder: ReportDecoder, seen: Seen, tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """Teacher forcing in plain numpy from the logits on: float64 [R, T, V]; `seen` has a film a row."""
    with paddle.no_grad():
        inputs = paddle.to_tensor(inputs_of(tokens))
        logits = decoder(seen.features, inputs, *seen.known()).numpy().astype(np.float64)
    logits[..., list(NEVER)] = -np.inf
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probs: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probs


def report_probs(decoder: ReportDecoder, seen: Seen, tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """The probability of each report, [R]; `seen` is of one film."""
    of_words = next_word_probs(decoder, seen.rows(np.zeros(len(tokens), np.int64)), tokens)
    each = np.take_along_axis(of_words, tokens[..., None], axis=-1)[..., 0]
    probs: NDArray[np.float64] = np.where(tokens == PAD, 1.0, each).prod(axis=1)
    return probs


def test_reports_are_sampled_as_often_as_they_are_probable() -> None:
    decoder, seen, many = decoder_of(2), seen_of(1), 20_000
    random = np.random.default_rng(0)
    drawn = sample_reports(decoder, seen, many, 3, lambda: random.random((1, many)))
    counts = Counter(map(tuple, drawn.tolist()))
    reports = reports_up_to(3, 2)
    expected = report_probs(decoder, seen, reports)
    assert expected.sum() == pytest.approx(1.0, abs=1e-6)
    assert set(counts) <= set(map(tuple, reports.tolist()))
    for report, probability in zip(reports.tolist(), expected, strict=True):
        deviation = (many * probability * (1 - probability)) ** 0.5
        assert abs(counts[tuple(report)] - many * probability) < 5 * deviation + 1


@pytest.mark.parametrize("context", [False, True])
def test_each_word_is_where_its_number_falls_among_the_probabilities(context: bool) -> None:
    films, samples, longest = 3, 4, 9
    decoder, seen = decoder_of(6, context=context, layers=2), seen_of(films, context=context)
    numbers = np.random.default_rng(1).random((longest, films, samples))
    steps = iter(numbers)
    drawn = sample_reports(decoder, seen, samples, longest, lambda: next(steps))
    assert drawn.shape[0] == films * samples
    assert len({int((row == END).argmax()) for row in drawn if END in row}) > 1  # they end at several places
    probs = next_word_probs(decoder, seen.rows(np.arange(films).repeat(samples)), drawn)
    for row, report in enumerate(drawn.tolist()):
        length = report.index(END) + 1 if END in report else len(report)
        assert report[length:] == [PAD] * (len(report) - length)
        for step in range(length):
            reached = probs[row, step].cumsum()
            below, word = numbers[step].reshape(-1)[row], report[step]
            assert reached[word] - probs[row, step, word] <= below + 1e-5
            assert below <= reached[word] + 1e-5
            assert word not in NEVER


def test_a_report_without_end_is_cut() -> None:
    decoder = decoder_of(3)
    bias = decoder.output.bias.numpy()
    bias[END] = -50.0
    decoder.output.bias.set_value(bias)
    random = np.random.default_rng(0)
    drawn = sample_reports(decoder, seen_of(2), 2, 5, lambda: random.random((2, 2)))
    assert drawn.shape == (4, 5)
    assert not np.isin(drawn, [END, *NEVER]).any()


def test_greedy_reports_are_those_of_a_search_of_width_one() -> None:
    decoder, seen = decoder_of(9, layers=2), seen_of(6)
    vocabulary = Vocabulary((*SPECIAL_TOKENS, *(f"w{number}" for number in range(9))))
    greedy = greedy_reports(decoder, seen, 8)
    searched = decode(
        PaddleStep(decoder), vocabulary, seen.features.numpy(), BeamSettings(beam_width=1, max_length=8)
    )
    for row, result in zip(greedy.tolist(), searched, strict=True):
        found = list(result.tokens)
        assert [token for token in row if token not in (PAD, END)] == [
            token for token in found if token != END
        ]


@given(arrays(np.float64, (3, 4), elements=st.floats(-5, 5)))
def test_an_advantage_is_the_reward_less_the_mean_of_the_others(rewards: NDArray[np.float64]) -> None:
    found = advantages(rewards)
    for film, sample in itertools.product(range(3), range(4)):
        others = [rewards[film, other] for other in range(4) if other != sample]
        assert found[film, sample] == pytest.approx(rewards[film, sample] - np.mean(others), abs=1e-9)


def test_the_gradient_is_on_average_that_of_the_expected_reward() -> None:
    """Over all pairs of samples, each as often as it is drawn, against differences of the expectation."""
    decoder, seen, longest = decoder_of(2), seen_of(1), 2
    reports = reports_up_to(longest, 2)
    worth = np.random.default_rng(2).normal(size=len(reports))

    def expected_reward() -> float:
        return float(report_probs(decoder, seen, reports) @ worth)

    probs = report_probs(decoder, seen, reports)
    decoder.train()
    loss = paddle.zeros([])
    for first, second in itertools.product(range(len(reports)), repeat=2):
        weights = advantages(worth[None, [first, second]])
        chosen = policy_loss(decoder, seen, reports[[first, second]], weights)
        loss = loss + float(probs[first] * probs[second]) * chosen
    loss.backward()
    decoder.eval()
    for parameter in (decoder.output.bias, decoder.output.weight, decoder.image_projection.weight):
        before = parameter.numpy().copy()
        gradient = parameter.grad.numpy()
        for place in itertools.islice(np.ndindex(*before.shape), 12):
            found = []
            for change in (1e-2, -1e-2):
                changed = before.copy()
                changed[place] += change
                parameter.set_value(changed)
                found.append(expected_reward())
            parameter.set_value(before)
            numeric = (found[0] - found[1]) / 2e-2
            assert -gradient[place] == pytest.approx(numeric, abs=2e-4)
    assert np.abs(decoder.output.weight.grad.numpy()).max() > 1e-2


def test_the_policy_loss_is_without_dropout_and_leaves_it_as_it_was() -> None:
    losses = []
    tokens = np.array([[4, 5, END], [5, END, PAD]], np.int64)
    for dropout in (0.0, 0.6):
        decoder = decoder_of(2, layers=2, dropout=dropout)
        decoder.train()
        losses.append(float(policy_loss(decoder, seen_of(1), tokens, np.array([[0.5, -0.25]]))))
        assert (decoder.dropout.p, decoder.lstm.dropout) == (dropout, dropout)
    assert losses[0] == losses[1] != 0.0

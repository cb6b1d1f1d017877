"""Self-critical training: a decoder samples reports, and learns to write those that earn more than others.

The loss of a film's K samples is the sum of -a_k log p(sample k) / K. Its gradient is that of the expected
reward, negative, for any a_k that is the reward of sample k less what doesn't depend on it. Here that is the
mean reward of the film's other samples. Rennie et al., Self-critical Sequence Training for Image Captioning,
CVPR 2017 (arXiv:1612.00563), take the reward of the greedy caption; leaving one out of several samples is
after Kool et al., Buy 4 REINFORCE Samples, Get a Baseline for Free!, ICLR workshop 2019.

Words that a search never produces (`<pad>`, `<start>`, `<unk>`) are never sampled, and the probabilities here
are those of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import paddle
from numpy.typing import NDArray

from cxrscribe.vocabulary import END, PAD, START, UNK
from cxrscribe_models import ReportDecoder
from cxrscribe_train.fitting.dataset import inputs_of
from cxrscribe_train.fitting.loss import summed_token_loss
from cxrscribe_train.fitting.reward import RewardOf, Rewards

# Far below every logit: its exponential is 0, and no difference of two is infinite.
_NEVER: Final = -1e9

Choose = Callable[[paddle.Tensor, NDArray[np.int64]], paddle.Tensor]
"""Logits [r, V] and the numbers [r] of their rows -> the next word of each, int64 [r]."""


@dataclass(frozen=True)
class Seen:
    """What a decoder is told of N films.

    Attributes:
        features: float32 [N, F].
        patient: float32 [N, P], for a decoder with a context.
        tags: as `ReportContext` takes them.
    """

    features: paddle.Tensor
    patient: paddle.Tensor | None = None
    tags: paddle.Tensor | None = None

    def rows(self, films: NDArray[np.int64]) -> Seen:
        """What is told of these of the films, by their numbers [R]; a film may come more than once."""
        chosen = paddle.to_tensor(films)
        patient, tags = (None if part is None else paddle.gather(part, chosen) for part in self.known())
        return Seen(paddle.gather(self.features, chosen), patient, tags)

    def known(self) -> tuple[paddle.Tensor | None, paddle.Tensor | None]:
        """Patient and tags, as `ReportDecoder.states` takes them after the tokens."""
        return self.patient, self.tags


class SelfCritical:
    """What a training does in its self-critical epochs."""

    def __init__(self, rewards: Rewards, samples: int, longest: int, seed: int) -> None:
        """Keep what reports are held against; the arguments after it are those of `sample_reports`."""
        self._train = RewardOf(rewards.train, rewards.vocabulary, rewards.label_reward)
        self._val = RewardOf(rewards.val, rewards.vocabulary, rewards.label_reward)
        self._samples = samples
        self._longest = longest
        self._seed = seed

    def loss(
        self, decoder: ReportDecoder, seen: Seen, batch: NDArray[np.int64], share: slice, step: int
    ) -> tuple[paddle.Tensor, float]:
        """Sample reports of a process's share of a batch: their `policy_loss`, and the sum of their rewards.

        What is drawn for a film follows from the seed and the step, however many processes there are.

        Args:
            decoder: in train mode.
            seen: of the films of the share.
            batch: numbers of the batch's training films, int64 [n].
            share: the process's part of them.
            step: of the training.
        """
        random = np.random.default_rng((self._seed, step, 0, self._samples))

        def draw() -> NDArray[np.float64]:
            return random.random((len(batch), self._samples))[share]

        tokens = sample_reports(decoder, seen, self._samples, self._longest, draw)
        films = batch[share].repeat(self._samples)
        rewards = self._train(films.tolist(), tokens).reshape(-1, self._samples)
        return policy_loss(decoder, seen, tokens, advantages(rewards)), float(rewards.sum())

    def validation_reward(self, decoder: ReportDecoder, seen: Seen, films: Sequence[int]) -> float:
        """Sum of the rewards of the greedy reports of these validation films."""
        return float(self._val(films, greedy_reports(decoder, seen, self._longest)).sum())


def sample_reports(
    decoder: ReportDecoder, seen: Seen, samples: int, longest: int, draw: Callable[[], NDArray[np.float64]]
) -> NDArray[np.int64]:
    """Draw reports word by word from what the decoder thinks probable, without dropout.

    Args:
        decoder: in any mode.
        seen: of N films.
        samples: reports a film, K.
        longest: tokens after which a report is cut, `<end>` counted.
        draw: gives uniform numbers in [0, 1), float64 [N, K], one for each report's next word.

    Returns:
        int64 [N * K, T], a film's reports one after the other: `w1 .. wn <end>`, padded.
    """

    def choose(logits: paddle.Tensor, rows: NDArray[np.int64]) -> paddle.Tensor:
        probs = paddle.nn.functional.softmax(paddle.cast(logits, "float64"), axis=-1)
        reached = paddle.cumsum(probs, axis=-1)  # [r, V]
        # As a share of the last sum, which rounding keeps from being 1.
        wanted = paddle.to_tensor(draw().reshape(-1, 1)[rows]) * reached[:, -1:]
        word = paddle.sum(paddle.cast(reached <= wanted, "int64"), axis=-1)
        return paddle.clip(word, max=reached.shape[-1] - 1)

    films = np.arange(seen.features.shape[0]).repeat(samples)
    return _write(decoder, seen.rows(films), longest, choose)


def greedy_reports(decoder: ReportDecoder, seen: Seen, longest: int) -> NDArray[np.int64]:
    """The most probable next word, again and again: int64 [N, T], as `sample_reports` gives them."""
    return _write(decoder, seen, longest, lambda logits, _rows: paddle.argmax(logits, axis=-1))


def advantages(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much more each sample earned than the film's others on average: [N, K] -> [N, K]."""
    samples = rewards.shape[1]
    others = (rewards.sum(axis=1, keepdims=True) - rewards) / (samples - 1)
    return rewards - others


def policy_loss(
    decoder: ReportDecoder, seen: Seen, tokens: NDArray[np.int64], weights: NDArray[np.float64]
) -> paddle.Tensor:
    """Sum over all films of the mean over their samples of -weight * log p(sample): float32, rank 0.

    Without dropout, as the samples were drawn: the gradient is that of the probabilities that drew them.

    Args:
        decoder: in train mode.
        seen: of N films.
        tokens: int64 [N * K, T], as `sample_reports` gives them.
        weights: float64 [N, K], of `advantages`.
    """
    films, samples = weights.shape
    lengths = (tokens != PAD).sum(axis=1)
    # Reports of like lengths together hold little padding: on average a report is a third of the longest.
    by_length = np.argsort(lengths, kind="stable").reshape(samples, films)
    loss = paddle.zeros([])
    with _without_dropout(decoder):
        for rows in by_length:
            targets = tokens[rows, : lengths[rows].max()]  # [N, T]
            part = seen.rows(rows // samples)
            states = decoder.states(part.features, paddle.to_tensor(inputs_of(targets)), *part.known())
            real = paddle.to_tensor(np.flatnonzero(targets != PAD))
            logits = _allowed(decoder.logits(paddle.gather(states.flatten(0, 1), real)))  # [words, V]
            each = np.broadcast_to(weights.reshape(-1, 1)[rows], targets.shape)[targets != PAD]
            words = paddle.to_tensor(targets[targets != PAD])
            loss = loss + summed_token_loss(logits, words, weights=paddle.to_tensor(each.astype(np.float32)))
    return loss / samples


def _write(decoder: ReportDecoder, seen: Seen, longest: int, choose: Choose) -> NDArray[np.int64]:
    """Write until every report has its `<end>` or `longest` tokens; rows that have leave the batch."""
    films = seen.features.shape[0]
    tokens = np.full((films, longest), PAD, np.int64)
    rows = np.arange(films)
    with paddle.no_grad():
        gates = None if decoder.context is None else decoder.context_gates(seen.features, *seen.known())
        hidden, cell = decoder.initial_state(seen.features, gates)
        word = paddle.full([films], START, "int64")
        for step in range(longest):
            logits, hidden, cell = decoder.step_logits(word, hidden, cell, gates)
            word = choose(_allowed(logits), rows)
            tokens[rows, step] = word.numpy()
            live = np.flatnonzero(tokens[rows, step] != END)
            if not len(live):
                return tokens[:, : step + 1]
            if len(live) < len(rows):
                rows, kept = rows[live], paddle.to_tensor(live)
                word = paddle.gather(word, kept)
                hidden, cell = (paddle.gather(part, kept, axis=1) for part in (hidden, cell))
                gates = None if gates is None else paddle.gather(gates, kept)
    return tokens


def _allowed(logits: paddle.Tensor) -> paddle.Tensor:
    """The logits with those of words that are never produced far below all others: [..., V]."""
    never = np.zeros(logits.shape[-1], np.float32)
    never[[PAD, START, UNK]] = _NEVER
    return logits + paddle.to_tensor(never)


@contextmanager
def _without_dropout(decoder: ReportDecoder) -> Iterator[None]:
    """Leave no unit out. Eval mode would do, but Paddle's LSTM then has no backward pass."""
    unit, between = decoder.dropout.p, decoder.lstm.dropout
    decoder.dropout.p = decoder.lstm.dropout = 0.0
    try:
        yield
    finally:
        decoder.dropout.p, decoder.lstm.dropout = unit, between

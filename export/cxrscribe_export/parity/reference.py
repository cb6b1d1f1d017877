"""Beam search in plain loops, film by film and hypothesis by hypothesis: what the runtime is held against.

It shares no code with the runtime's search. On Paddle's own step it is also the program that the runtime
replaces, which is why it can feed the network one hypothesis at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import DecodingError
from cxrscribe.search.step import State, StepModel
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import END, PAD, START, UNK, Vocabulary
from cxrscribe_export.parity.search_record import SearchRecord

Tokens = tuple[int, ...]

NEVER_PRODUCED: Final = (PAD, START, UNK)


@dataclass(frozen=True)
class Hypothesis:
    """A word sequence with what the network thinks of it."""

    tokens: Tokens
    """Word ids, without `<start>` and `<end>`."""
    token_log_probs: tuple[float, ...]
    """One a token, and that of `<end>` where finished."""
    log_prob: np.float32
    """Their float32 sum."""
    finished: bool

    def score(self, length_penalty: float) -> float:
        """`log_prob / length ** length_penalty` in float64; the length counts `<end>`."""
        length = len(self.tokens) + (1 if self.finished else 0)
        return float(self.log_prob) / length**length_penalty


@dataclass(frozen=True)
class Live:
    """A hypothesis that still grows, and the network's state after all its words but the last."""

    hypothesis: Hypothesis
    state: State  # one row


class ReferenceSearch:
    """Beam search by the rules of docs/decoding.md, on any step model.

    Args:
        model: the network.
        vocabulary: for the words that the settings ban.
        settings: of the search.
        one_row_at_a_time: feed the network a single hypothesis a call, as a plain program does. Otherwise
            the live hypotheses of one film share a call.
    """

    def __init__(
        self,
        model: StepModel,
        vocabulary: Vocabulary,
        settings: BeamSettings,
        *,
        one_row_at_a_time: bool = False,
    ) -> None:
        self.model = model
        self.settings = settings
        self.one_row_at_a_time = one_row_at_a_time
        self._never = (*NEVER_PRODUCED, *(vocabulary.id_of(word) for word in settings.banned_words))

    def search(self, features: NDArray[np.float32], record: SearchRecord | None = None) -> list[Hypothesis]:
        """The n_best best hypotheses of one film, best first.

        Args:
            features: float32 [F], or [F + P] as StepModel has it.
            record: filled with every decision on the way, if given.

        Raises:
            DecodingError: no hypothesis is left.
        """
        settings = self.settings
        live = [
            Live(Hypothesis((), (), np.float32(0), False), self.model.initial_state(features[np.newaxis]))
        ]
        pool: list[Hypothesis] = []
        for _ in range(settings.max_length):
            log_probs, states = self._advance(live)
            totals = [
                self._total(parent.hypothesis, row) for parent, row in zip(live, log_probs, strict=True)
            ]
            next_live: list[Live] = []
            candidates = best_candidates(totals, 2 * settings.beam_width)
            for place, (rank, word) in enumerate(candidates):  # rule 6
                child = _extended(live[rank].hypothesis, word, log_probs[rank][word])
                if word == END:
                    if place < settings.beam_width:
                        pool.append(child)
                elif len(next_live) < settings.beam_width:
                    next_live.append(Live(child, states[rank]))
            if record is not None:
                parents = [parent.hypothesis.tokens for parent in live]
                record.add_step(parents, totals, candidates)
                record.add_finished({entry.tokens: self._score(entry) for entry in pool})
            # Rule 7. Python's sort keeps the order of equals: the earlier finished stays first.
            pool = sorted(pool, key=self._score, reverse=True)[: settings.n_best]
            if record is not None:
                record.set_pool([entry.tokens for entry in pool])
            live = next_live
            if not live or self._is_decided(live, pool):
                live = []
                break
        ranked = pool + sorted((entry.hypothesis for entry in live), key=self._score, reverse=True)
        if not ranked:
            raise DecodingError(
                "the search ended without any report: every word was forbidden; relax banned_words, "
                "min_length or no_repeat_ngram"
            )
        return ranked[: settings.n_best]

    def _advance(self, live: Sequence[Live]) -> tuple[list[NDArray[np.float32]], list[State]]:
        """Feed every live hypothesis its last word: log-probabilities [V] and one-row states, in order."""
        last_words = [entry.hypothesis.tokens[-1] if entry.hypothesis.tokens else START for entry in live]
        if self.one_row_at_a_time:
            results = [
                self.model.step(np.array([word], dtype=np.int64), entry.state)
                for word, entry in zip(last_words, live, strict=True)
            ]
            return [log_probs[0] for log_probs, _ in results], [state for _, state in results]
        contexts = [entry.state.context for entry in live if entry.state.context is not None]
        together = State(
            np.concatenate([entry.state.hidden for entry in live], axis=1),
            np.concatenate([entry.state.cell for entry in live], axis=1),
            np.concatenate(contexts) if contexts else None,
        )
        log_probs, state = self.model.step(np.array(last_words, dtype=np.int64), together)
        rows = range(len(live))
        return [log_probs[row] for row in rows], [state.take(np.array([row])) for row in rows]

    def _total(self, parent: Hypothesis, log_probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """log_prob of `parent` and each next word, float32 [V]; -inf where rule 3 forbids the word."""
        allowed = log_probs.copy()
        for word in self._never:
            allowed[word] = -np.inf
        if len(parent.tokens) < self.settings.min_length:
            allowed[END] = -np.inf
        for word in repeating_words(parent.tokens, self.settings.no_repeat_ngram):
            allowed[word] = -np.inf
        return parent.log_prob + allowed

    def _is_decided(self, live: Sequence[Live], pool: Sequence[Hypothesis]) -> bool:
        """Whether the pool is full and nothing live can still beat its worst: rules 8 and 9."""
        settings = self.settings
        if len(pool) < settings.n_best:
            return False
        for entry in live:
            next_length = len(entry.hypothesis.tokens) + 1
            length = settings.max_length if settings.length_penalty > 0 else next_length
            bound = float(entry.hypothesis.log_prob) / length**settings.length_penalty
            if bound > self._score(pool[-1]):
                return False
        return True

    def _score(self, hypothesis: Hypothesis) -> float:
        return hypothesis.score(self.settings.length_penalty)


def best_candidates(totals: Sequence[NDArray[np.float32]], count: int) -> list[tuple[int, int]]:
    """The best `count` pairs (rank of the parent, word), best first: rule 5. Ties: the lower rank, then word.

    Args:
        totals: float32 [V] for each live hypothesis, in rank order; -inf is no candidate.
        count: how many to give; fewer where fewer exist.
    """
    flat = np.concatenate(totals)  # [live * V]
    words = len(totals[0])
    order = np.argsort(-flat, kind="stable")[:count]
    return [divmod(int(index), words) for index in order if flat[index] > -np.inf]


def repeating_words(tokens: Tokens, n: int) -> Iterable[int]:
    """The words that would make the last `n` words of `tokens` a run that stands there already."""
    if n == 0 or len(tokens) < n - 1:
        return
    ending = tokens[len(tokens) - (n - 1) :]
    for start in range(len(tokens) - n + 1):
        if tokens[start : start + n - 1] == ending:
            yield tokens[start + n - 1]


def _extended(parent: Hypothesis, word: int, log_prob: np.float32) -> Hypothesis:
    finished = word == END
    return Hypothesis(
        tokens=parent.tokens if finished else (*parent.tokens, word),
        token_log_probs=(*parent.token_log_probs, float(log_prob)),
        log_prob=np.float32(parent.log_prob + log_prob),
        finished=finished,
    )

"""Samples of one image in plain Python, written from the rules of docs/decoding.md and nothing else.

Slow and obvious: one sample after the other, one word after the other, whole numbers without a limit.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from support.reference_search import END, Found, NextLogProbs, Search

_64 = (1 << 64) - 1


def split_mix(start: int, place: int) -> int:
    """The `place`-th number, from 0 on, of SplitMix64."""
    mixed = (start + (place + 1) * 0x9E3779B97F4A7C15) & _64
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _64
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _64
    return mixed ^ (mixed >> 31)


@dataclass
class Sampler:
    """The settings of one image's samples, with banned words as ids."""

    temperature: float
    top_k: int
    samples: int
    seed: int
    limits: Search
    """What a report may be; its beam width doesn't matter."""

    def run(self, features: Sequence[float], next_log_probs: NextLogProbs) -> list[Found]:
        """The n_best best, best first."""
        content = struct.pack(f"<{len(features)}f", *features)
        salt = struct.pack("<QQ", self.seed, 0)
        image = int.from_bytes(hashlib.blake2b(content, digest_size=8, salt=salt).digest(), "little")
        found = [self._sample(split_mix(image, sample), next_log_probs) for sample in range(self.samples)]
        there = [sample for sample in found if sample is not None]
        there.sort(key=lambda sample: (not sample.finished, -sample.score))  # stable: the earlier drawn first
        return there[: self.limits.n_best]

    def _sample(self, stream: int, next_log_probs: NextLogProbs) -> Found | None:
        so_far = Found((), (), np.float32(0), finished=False)
        for step in range(self.limits.max_length):
            weights = self.weights(so_far.words, next_log_probs(so_far.words))
            if not weights:
                return None
            word = self._drawn(weights, (split_mix(stream, step) >> 11) * 2.0**-53)
            log_prob = next_log_probs(so_far.words)[word]
            so_far = Found(
                so_far.words if word == END else (*so_far.words, word),
                (*so_far.token_log_probs, log_prob),
                np.float32(so_far.log_prob + log_prob),
                finished=word == END,
            )
            if so_far.finished:
                break
        so_far.score = float(so_far.log_prob) / float(so_far.length) ** self.limits.length_penalty
        return so_far

    def weights(self, words: tuple[int, ...], log_probs: Sequence[np.float32]) -> dict[int, float]:
        """Of each word that can be drawn, by its id, in their order."""
        allowed = {
            word: float(log_prob)
            for word, log_prob in enumerate(log_probs)
            if not self.limits.forbids(words, word) and log_prob > -np.inf
        }
        best = sorted(allowed, key=lambda word: (-allowed[word], word))
        chosen = sorted(best[: self.top_k or None])
        most = max((allowed[word] for word in chosen), default=0.0)
        return {word: math.exp((allowed[word] - most) / self.temperature) for word in chosen}

    def _drawn(self, weights: dict[int, float], fraction: float) -> int:
        total = 0.0
        cumulated = {}
        for word, weight in weights.items():
            total += weight
            cumulated[word] = total
        return next(word for word, until in cumulated.items() if until > fraction * total)

"""What a good engineer would write in an afternoon: the same search on `decoder_step.onnx`, in numpy.

Vectorized over a static batch, which is done when every image is. Only what the benchmark asks for: one beam
width, one max_length, no masks but the special tokens, length_penalty 0, the best result.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from cxrscribe.vocabulary import END, PAD, START, UNK
from cxrscribe_export.runner import GraphRunner


class AfternoonSearch:
    """Beam search over `decoder_init.onnx` and `decoder_step.onnx`."""

    def __init__(self, bundle: Path, beam_width: int, max_length: int) -> None:
        self._init = GraphRunner(onnx.load(str(bundle / "decoder_init.onnx")))
        self._step = GraphRunner(onnx.load(str(bundle / "decoder_step.onnx")))
        self._width = beam_width
        self._max_length = max_length

    def decode(self, features: NDArray[np.float32], batch_size: int) -> list[list[int]]:
        """Word ids of the best report of each row of `features` [N, F]."""
        batches = range(0, len(features), batch_size)
        return [words for start in batches for words in self._batch(features[start : start + batch_size])]

    def _batch(self, features: NDArray[np.float32]) -> list[list[int]]:
        images, width = len(features), self._width
        hidden, cell = (np.repeat(state, width, axis=1) for state in self._init.run(features))
        tokens = np.full(images * width, START)
        words = np.zeros((images, width, self._max_length), np.int64)
        score = np.full((images, width), -np.inf, np.float32)
        score[:, 0] = 0
        best_score = np.full((images, width), -np.inf, np.float32)  # of finished ones
        best_words = np.zeros_like(words)
        best_length = np.zeros((images, width), np.int64)
        done = np.zeros(images, np.bool_)
        first_row = np.arange(images)[:, None] * width
        for step in range(self._max_length):
            log_probs, hidden, cell = self._step.run(tokens, hidden, cell)
            log_probs[:, [PAD, START, UNK]] = -np.inf
            total = (score.reshape(-1, 1) + log_probs).reshape(images, -1)
            top = np.argpartition(-total, 2 * width, axis=1)[:, : 2 * width]
            top_score = np.take_along_axis(total, top, axis=1)
            order = np.argsort(-top_score, axis=1, kind="stable")
            top = np.take_along_axis(top, order, axis=1)
            top_score = np.take_along_axis(top_score, order, axis=1)
            parent, word = np.divmod(top, log_probs.shape[1])
            ends = word == END

            ending = np.where(ends[:, :width] & ~done[:, None], top_score[:, :width], -np.inf)
            scores = np.concatenate((best_score, ending), axis=1)
            keep = np.argsort(-scores, axis=1, kind="stable")[:, :width]
            prefixes = np.take_along_axis(words, parent[:, :width, None], axis=1)
            both = np.concatenate((best_words, prefixes), axis=1)
            lengths = np.concatenate((best_length, np.full_like(best_length, step)), axis=1)
            best_score = np.take_along_axis(scores, keep, axis=1)
            best_words = np.take_along_axis(both, keep[:, :, None], axis=1)
            best_length = np.take_along_axis(lengths, keep, axis=1)

            live = np.argsort(ends, axis=1, kind="stable")[:, :width]
            parent, word = (np.take_along_axis(each, live, axis=1) for each in (parent, word))
            score = np.take_along_axis(top_score, live, axis=1)
            words = np.take_along_axis(words, parent[:, :, None], axis=1)
            words[:, :, step] = word
            done |= (best_score[:, -1] > -np.inf) & (score[:, 0] <= best_score[:, -1])
            if done.all():
                break
            rows = (first_row + parent).reshape(-1)
            tokens, hidden, cell = word.reshape(-1), hidden[:, rows], cell[:, rows]
        unfinished = best_score[:, 0] == -np.inf
        best_words[unfinished, 0], best_length[unfinished, 0] = words[unfinished, 0], self._max_length
        return [found[0, : length[0]].tolist() for found, length in zip(best_words, best_length, strict=True)]

"""Length of the longest common subsequence of one report and many references at once.

The bit-parallel algorithm of H. Hyyrö, "Bit-parallel LCS-length computation revisited", AWOCA 2004: a
reference is a row of bits, one a word; a zero among them marks a step of the subsequence. Choosing the
constant report by ROUGE-L takes hundreds of thousands of these lengths.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.evaluation.metrics.bleu import Words

_BITS: Final = 64
_BETA: Final = 1.2  # pycocoevalcap's weight of recall against precision
_ALL: Final = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


class References:
    """N references, prepared for comparing a report with all of them."""

    def __init__(self, references: Sequence[Words]) -> None:
        self.lengths = np.array([len(words) for words in references], dtype=np.int64)
        limbs = max(1, -(-int(self.lengths.max(initial=1)) // _BITS))
        shape = (limbs, len(references))
        self._places: dict[str, NDArray[np.uint64]] = defaultdict(lambda: np.zeros(shape, dtype=np.uint64))
        for film, words in enumerate(references):
            for place, word in enumerate(words):
                self._places[word][place // _BITS, film] |= np.uint64(1) << np.uint64(place % _BITS)
        self._nowhere = np.zeros(shape, dtype=np.uint64)

    def common(self, report: Words) -> NDArray[np.int64]:
        """Length of the longest common subsequence with each reference, int64 [N]."""
        rows = np.full_like(self._nowhere, _ALL)  # [limbs, N]
        for word in report:
            matches = self._places.get(word)
            if matches is not None:
                rows = _advance(rows, matches)
        # Bits past a reference's end match no word and so stay ones.
        bits = np.unpackbits((~rows)[..., None].view(np.uint8), axis=-1)  # [limbs, N, 64]
        return bits.sum(axis=(0, 2), dtype=np.int64)

    def rouge_l(self, report: Words) -> NDArray[np.float64]:
        """ROUGE-L with each reference as pycocoevalcap computes it, float64 [N]."""
        common = self.common(report).astype(np.float64)
        precision = common / max(1, len(report))
        recall = common / np.maximum(1, self.lengths)
        whole = recall + _BETA**2 * precision
        return np.divide(
            (1 + _BETA**2) * precision * recall, whole, out=np.zeros_like(whole), where=whole > 0
        )


def _advance(rows: NDArray[np.uint64], matches: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """(rows + (rows & matches)) | (rows & ~matches), numbers of several 64-bit limbs, lowest first."""
    result = np.empty_like(rows)
    carry = np.zeros(rows.shape[1], dtype=np.uint64)
    for limb, (row, match) in enumerate(zip(rows, matches, strict=True)):
        partial = row + (row & match)
        total = partial + carry
        carry = ((partial < row) | (total < partial)).astype(np.uint64)
        result[limb] = total | (row & ~match)
    return result

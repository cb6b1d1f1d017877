"""What a film's features alone have to tell while an encoder learns: the report's findings and words.

The decoder learns the language first, and hardly passes a gradient on to the encoder meanwhile. A linear head
on the features, used in training only, teaches the encoder from the first step on. That a caption's words can
be learned from the image so: Fang et al., From Captions to Visual Concepts and Back, CVPR 2015
(arXiv:1411.4952). Words alone say little here, as reports name what is absent, too; hence the findings that
the labeller reads as present.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import paddle
import paddle.nn.functional as F  # noqa: N812  (the name the whole field uses)
from numpy.typing import NDArray

from cxrscribe.vocabulary import SPECIAL_TOKENS, Vocabulary
from cxrscribe_train.labeller import label_words
from cxrscribe_train.phantom.catalogue import FindingKind

KINDS: Final = tuple(FindingKind)


def read_hints(reports: Sequence[Sequence[str]], vocabulary: Vocabulary) -> NDArray[np.uint8]:
    """Which findings each report states as present, and which words it has.

    Args:
        reports: cleaned words of each report.
        vocabulary: of V words.

    Returns:
        uint8 [N, kinds + V] of 0 and 1: `KINDS` first, then the words by id.
    """
    hints = np.zeros((len(reports), len(KINDS) + len(vocabulary)), np.uint8)
    for row, words in zip(hints, reports, strict=True):
        row[[KINDS.index(kind) for kind in label_words(words)]] = 1
        row[[len(KINDS) + word for word in vocabulary.encode(words)]] = 1
    return hints


class HintHead(paddle.nn.Layer):
    """Features float32 [N, F] -> one logit a hint; special tokens don't count."""

    def __init__(self, feature_size: int, words: int, finding_weight: float, word_weight: float) -> None:
        super().__init__()
        self.linear = paddle.nn.Linear(feature_size, len(KINDS) + words)
        weight = np.full(len(KINDS) + words, word_weight, np.float32)
        weight[: len(KINDS)] = finding_weight
        weight[len(KINDS) : len(KINDS) + len(SPECIAL_TOKENS)] = 0.0
        self.register_buffer("weight", paddle.to_tensor(weight), persistable=False)

    def summed_loss(self, features: paddle.Tensor, hints: paddle.Tensor) -> paddle.Tensor:
        """Weighted sum of the binary cross-entropy over all films and hints.

        Args:
            features: float32 [N, F].
            hints: uint8 [N, kinds + V].

        Returns:
            float32, rank 0.
        """
        target = paddle.cast(hints, "float32")
        return F.binary_cross_entropy_with_logits(
            self.linear(features), target, weight=self.weight, reduction="sum"
        )

"""What features and states have to tell while a network learns to look, besides the next word.

A decoder learns the language first. Meanwhile it hardly passes a gradient on to the encoder, and forgets the
film within a few words. Two linear heads, used in training only, teach both from the first step on:

- `FeatureHints`: the features alone tell which findings a report states, at which places, and which words it
  has. Fang et al., From Captions to Visual Concepts and Back, CVPR 2015 (arXiv:1411.4952), learn words from
  images so. Words alone say little here, as reports name what is absent, too; hence the findings that the
  labeller reads. Places matter because the mean over a feature map forgets them unless it is asked.
- `MemoryHints`: the decoder's state tells the same findings after every single word, said or not yet said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import paddle
import paddle.nn.functional as F  # noqa: N812  (the name the whole field uses)
from numpy.typing import NDArray

from cxrscribe.vocabulary import PAD, SPECIAL_TOKENS, Vocabulary
from cxrscribe_train.findings import FindingKind
from cxrscribe_train.labeller import PLACES, label_places, label_words

KINDS: Final = tuple(FindingKind)
# What a report can say of findings: each kind, then each kind at each place.
FINDINGS: Final = (*KINDS, *((kind, place) for kind in KINDS for place in PLACES))
_COLUMN: Final = {finding: column for column, finding in enumerate(FINDINGS)}


def read_hints(reports: Sequence[Sequence[str]], vocabulary: Vocabulary) -> NDArray[np.uint8]:
    """Which findings each report states as present, where, and which words it has.

    Args:
        reports: cleaned words of each report.
        vocabulary: of V words.

    Returns:
        uint8 [N, findings + V] of 0 and 1: `FINDINGS` first, then the words by id.
    """
    hints = np.zeros((len(reports), len(FINDINGS) + len(vocabulary)), np.uint8)
    for row, words in zip(hints, reports, strict=True):
        row[[_COLUMN[finding] for finding in (*label_words(words), *label_places(words))]] = 1
        row[[len(FINDINGS) + word for word in vocabulary.encode(words)]] = 1
    return hints


class FeatureHints(paddle.nn.Layer):
    """Features float32 [N, F] -> one logit a hint; special tokens don't count."""

    def __init__(self, feature_size: int, words: int, finding_weight: float, word_weight: float) -> None:
        super().__init__()
        self.linear = paddle.nn.Linear(feature_size, len(FINDINGS) + words)
        weight = np.full(len(FINDINGS) + words, word_weight, np.float32)
        weight[: len(FINDINGS)] = finding_weight
        weight[len(FINDINGS) : len(FINDINGS) + len(SPECIAL_TOKENS)] = 0.0
        self.register_buffer("weight", paddle.to_tensor(weight), persistable=False)

    def summed_loss(self, features: paddle.Tensor, hints: paddle.Tensor) -> paddle.Tensor:
        """Weighted sum of the binary cross-entropy over all films and hints.

        Args:
            features: float32 [N, F].
            hints: uint8 [N, findings + V].

        Returns:
            float32, rank 0.
        """
        target = paddle.cast(hints, "float32")
        return F.binary_cross_entropy_with_logits(
            self.linear(features), target, weight=self.weight, reduction="sum"
        )


class MemoryHints(paddle.nn.Layer):
    """States float32 [N, T, D] -> one logit a finding, at every word."""

    def __init__(self, hidden_size: int, weight: float) -> None:
        super().__init__()
        self.linear = paddle.nn.Linear(hidden_size, len(FINDINGS))
        self.weight = weight

    def summed_loss(
        self, states: paddle.Tensor, targets: paddle.Tensor, hints: paddle.Tensor
    ) -> paddle.Tensor:
        """Weighted sum of the binary cross-entropy over all real tokens and findings.

        Args:
            states: float32 [N, T, D], of the decoder's top layer.
            targets: int64 [N, T], padded.
            hints: uint8 [N, findings + V].

        Returns:
            float32, rank 0.
        """
        findings = paddle.unsqueeze(paddle.cast(hints[:, : len(FINDINGS)], "float32"), 1)  # [N, 1, findings]
        logits = self.linear(states)  # [N, T, findings]
        losses = F.binary_cross_entropy_with_logits(
            logits, paddle.expand_as(findings, logits), reduction="none"
        )
        real = paddle.unsqueeze(paddle.cast(targets != PAD, "float32"), -1)  # [N, T, 1]
        return self.weight * (losses * real).sum()

"""Which words a model learns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from cxrscribe.cleaning import DEIDENTIFIED
from cxrscribe.errors import InputError
from cxrscribe.vocabulary import SPECIAL_TOKENS, Vocabulary


def build_vocabulary(token_lists: Iterable[Sequence[str]], min_count: int = 2) -> Vocabulary:
    """The words seen at least `min_count` times: most frequent first, ties in code point order.

    The four special tokens come before them. `xxxx` (a de-identified word) is left out: it becomes
    `<unk>` like every word that a model can't know, and so is never produced. Give the training
    split only. Raises InputError when `min_count` is under 1 or no word is left.
    """
    if min_count < 1:
        raise InputError(f"min_count is {min_count}; a word can't be seen less than once, so take 1 or more")
    counts = Counter(word for tokens in token_lists for word in tokens)
    for word in (*SPECIAL_TOKENS, DEIDENTIFIED):
        del counts[word]
    words = sorted(
        (word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word)
    )
    if not words:
        raise InputError(f"no word is seen {min_count} times or more: lower min_count or give more reports")
    return Vocabulary((*SPECIAL_TOKENS, *words))

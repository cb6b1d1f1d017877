"""Words and their ids, and ids back to a readable paragraph."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from cxrscribe.arguments import several, shown, whole_number
from cxrscribe.errors import InputError
from cxrscribe.printable import unprintable

PAD: Final = 0
START: Final = 1
END: Final = 2
UNK: Final = 3
SPECIAL_TOKENS: Final = ("<pad>", "<start>", "<end>", "<unk>")

SENTENCE_END: Final = "."
UNSPACED: Final = (
    "\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
"""Characters of scripts without blanks (Chinese, Japanese), as ranges of a regular expression.

Each is a word of its own.
"""

_GLUED: Final = frozenset({SENTENCE_END, ",", ";", ":", "、", "%", "°"})
_IN_UNSPACED_TEXT: Final = {SENTENCE_END: "。", ",": "，"}
_UNSPACED_WORD: Final = re.compile(f"[{UNSPACED}]")
_UNSPACED_ANYWHERE: Final = re.compile(f"[{UNSPACED}。]")


@dataclass(frozen=True)
class Vocabulary:
    """The words a model knows; a word's place in `words` is its id.

    `words` holds the four special tokens first (ids 0 to 3). Raises InputError when it doesn't, when a word
    stands twice, or when one is empty or has control characters or their like in it.
    """

    words: tuple[str, ...]
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        several("words", self.words, "words")
        object.__setattr__(self, "words", tuple(self.words))
        if wrong := [word for word in self.words if not isinstance(word, str)]:
            raise InputError(f"vocabulary holds {shown(wrong[0])}, which is no word; give texts only")
        if self.words[:4] != SPECIAL_TOKENS:
            raise InputError(
                f"vocabulary starts with {list(self.words[:4])}, not with {list(SPECIAL_TOKENS)}: "
                "take the vocabulary that `cxrscribe train` wrote"
            )
        ids = {word: index for index, word in enumerate(self.words)}
        if len(ids) != len(self.words):
            twice = sorted(word for word, times in Counter(self.words).items() if times > 1)
            raise InputError(
                f"vocabulary holds these words twice: {', '.join(twice[:5])}; remove one of each"
            )
        for index, word in enumerate(self.words):
            found = unprintable(word)
            if found is not None or not word.strip():
                raise InputError(
                    f"vocabulary has {word!r} as word {index}, which "
                    f"{f'holds the control character {found}' if found else 'is empty'}; remove it from the "
                    "training reports"
                )
        object.__setattr__(self, "_ids", ids)

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self._ids

    def id_of(self, word: str) -> int:
        """The id of `word`, or that of `<unk>`."""
        return self._ids.get(word, UNK)

    def encode(self, words: Iterable[str]) -> list[int]:
        """Ids of `words`, without `<start>` and `<end>`; unknown words become `<unk>`."""
        several("words", words, "words")
        return [self.id_of(word) for word in words]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Words of `ids`; special tokens are kept, so that nothing is hidden.

        Raises InputError for an id that no word has.
        """
        several("ids", ids, "ids")
        last = len(self.words) - 1
        return [self.words[whole_number("id of a word", index, 0, last)] for index in ids]

    def text(self, ids: Iterable[int]) -> str:
        """A readable paragraph: sentences start with a capital, punctuation joins the word before it."""
        return readable(self.decode(ids))

    def to_json(self) -> str:
        """One JSON array of all words, in the order of their ids."""
        return json.dumps(list(self.words), ensure_ascii=False, indent=0)

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """Read what `to_json` wrote. Raises InputError when it is something else."""
        try:
            words = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f"vocabulary is not JSON ({error}); take the one that `cxrscribe train` wrote"
            ) from None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise InputError(
                "vocabulary is not a JSON array of words; take the one that `cxrscribe train` wrote"
            )
        return cls(tuple(words))


def readable(words: Iterable[str]) -> str:
    """Join cleaned words into a paragraph for people.

    `["no", "effusion", ".", "heart", "is", "normal", "."]` becomes `"No effusion. Heart is normal."`.
    A paragraph without a final sentence end is left so: a cut report stays visible as cut. No blank stands
    beside a Chinese or Japanese character, and a sentence with one has that script's comma and full stop.
    """
    words = list(words)
    joined = " ".join(words)
    if joined.isascii() or not _UNSPACED_ANYWHERE.search(joined):
        return _spaced(words)
    text = ""
    for sentence in _sentences(words):
        unspaced = any(map(_UNSPACED_WORD.match, sentence))
        before = ""  # the last word, signs left out
        for place, word in enumerate(sentence):
            if word in _GLUED and text:
                text += _IN_UNSPACED_TEXT.get(word, word) if unspaced else word
                continue
            beside = _UNSPACED_WORD.match(word) or (place and _UNSPACED_WORD.match(before))
            text += " " * bool(text and not beside and not text.endswith("。")) + (
                word if place else _capitalized(word)
            )
            before = word
    return text


def _spaced(words: Iterable[str]) -> str:
    """As `readable`, for words that all stand apart; it looks at each of them but once."""
    parts: list[str] = []
    first = True  # of its sentence
    for word in words:
        if word not in _GLUED or not parts:
            if parts:
                parts.append(" ")
            if first:
                word = _capitalized(word)
        parts.append(word)
        first = word == SENTENCE_END
    return "".join(parts)


def _sentences(words: Iterable[str]) -> Iterator[list[str]]:
    """The words of each sentence with the full stop that ends it, if one does."""
    sentence: list[str] = []
    for word in words:
        sentence.append(word)
        if word == SENTENCE_END:
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _capitalized(word: str) -> str:
    """With a capital, where the first letter has one that stands for the same letter."""
    first = word[:1].title()
    return first + word[1:] if first.lower() == word[:1] else word

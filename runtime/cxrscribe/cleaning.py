"""From the text of a report to the words that a model reads and writes. `docs/corpus.md` gives the reasons.

Cleaning is idempotent: `clean(" ".join(clean(text))) == clean(text)`. Its rules have a version, which a run
keeps (`[text] cleaning`), so that a run of an earlier version goes on with the words that it was begun with.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

from cxrscribe.vocabulary import SENTENCE_END, UNSPACED

CLEANING: Final = 2
"""The present rules. 1: those of before, without commas, signs, accents and single Chinese characters."""

DEIDENTIFIED: Final = "xxxx"
"""Stands where a word was taken out to protect the patient; a run of them is one."""

COMMAS: Final = frozenset({",", "、"})
"""Tokens that part what is listed. Scores and labels don't count them."""

# Signs that have a plain form; `_` parts words, but patterns take it for a letter.
_PLAIN_SIGNS: Final = {"‘": "'", "’": "'", "ʼ": "'", "×": " x ", "⁄": "/", "_": " "}
_SIGNS_IN_WORDS: Final = {"%": " percent ", "&": " and ", "°": " degrees "}
_SIGNS_1: Final = str.maketrans(_PLAIN_SIGNS | _SIGNS_IN_WORDS)
_SIGNS_2: Final = str.maketrans(
    {
        **_PLAIN_SIGNS,
        **dict.fromkeys("。।۔؟", ". "),
        "；": ", ",
        # "nº" and "1ª" of Spanish: NFKC makes letters of them, and "no" of the first.
        **dict.fromkeys("ºª", ""),
        # Marks without width: that of a file's byte order, soft hyphens, joiners.
        **dict.fromkeys("\ufeff\u00ad\u200b\u200c\u200d\u2060", ""),
    }
)
_SPELLED_OUT: Final = {
    "and/or": "or",
    "w/out": "without",
    "w/o": "without",
    "w/": "with",
    "s/p": "status post",
    "c/w": "consistent with",
}
_WORDS_OF_SIGNS: Final = {
    "%": ("percent",),
    "&": ("and",),
    "°": ("degrees",),
    "<": ("less", "than"),
    ">": ("more", "than"),
}

# Each pattern works on folded, lower-case text; the order matters and is that of `clean`.
_LINE_BREAK_TAG = re.compile(r"<\s*/?\s*(?:br|p)\s*/?\s*>")
_GAP = re.compile(r"_{3,}")
_APART = re.compile(f"([{UNSPACED}%&°])")
_DATE = re.compile(r"(?<![\w/.-])(?:\d{1,4}|xxxx)([/-])(?:\d{1,4}|xxxx)\1(?:\d{1,4}|xxxx)(?![\w/-])")
_SPELLED_OUT_1 = re.compile(r"(?<![\w/])(?:and/or\b|w/o\b|w/|s/p\b|c/w\b)")
_SPELLED_OUT_2 = re.compile(r"(?<![\w/])(?:and/or\b|w/out\b|w/o\b|w/|s/p\b|c/w\b)")
_LESS, _MORE = re.compile(r"<\s*(?=\.?\d)"), re.compile(r">\s*(?=\.?\d)")
_NO_LIMIT = re.compile(r"[<>](?!\s*\.?\d)")
_LIST_NUMBER_IN_BRACKETS = re.compile(r"(?:^|(?<=[.!?:;]))\s*\(?\d{1,2}\)(?=\s)")
_SIZE = r"(?:mm|cm|ml|cc|мм|см|мл)\b|%"
_DECIMAL_COMMA = re.compile(r"(?<![\d.,])(\d+),(\d{1,2})(?=[\d,.x\s-]{0,24}(?:" + _SIZE + "))(?!\\d)")
_ZERO_COMMA = re.compile(r"(?<![\d.,])0,(?=\d)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_BARE_FRACTION = re.compile(r"(?<![\w.])\.(?=\d)")
_SIZE_UNIT_1 = re.compile(r"(?<=\d)(?=(?:mm|cm|ml|cc)\b)")
_SIZE_UNIT_2 = re.compile(r"(?<=\d)(?=(?:mm|cm|ml|cc|мм|см|мл)\b)")
_SIZE_TIMES = re.compile(
    r"(?<=\d)[^\w.!?%&°<>]*x[^\w.!?%&°<>]*(?=\.?\d)"
)  # what parts words may stand between
_INITIALS = re.compile(r"(?<![\w.])(?:[^\W\d_]\.){2,}")
_SHORTENED_WORD_1 = re.compile(r"\b(dr|mr|mrs|ms|vs|approx|cf)\.(?=\s)")
_SHORTENED_WORD_2 = re.compile(r"\b(dra?|mrs?|ms|sra?|vs|approx|aprox|cf)\.(?=\s)")
_WORD = r"\d+\.\d+(?!\w)|[^\W_]+(?:'[^\W_]+)*|[.!?]"
_TOKEN_1 = re.compile(_WORD)
_TOKEN_2 = re.compile(_WORD + "|[,、%&°<>]")
_LIST_NUMBER = re.compile(r"\d{1,2}")
_ENDS_STATEMENT = re.compile(r"[.!?:;,。！？：；，、…]\s*$")
_BULLET = re.compile(r"(?:[-*•·–—]|\(?\d{1,2}[.)])\s")
_MARK = re.compile(r"^[-*•·–—]\s+")


@dataclass(frozen=True)
class _Rules:
    """What differs between the versions."""

    fold: Callable[[str], str]
    spelled_out: re.Pattern[str]
    size_unit: re.Pattern[str]
    shortened_word: re.Pattern[str]
    tokens: Callable[[str], list[str]]


def clean(text: str, version: int = CLEANING) -> list[str]:
    """The words of a report, lower case, each sentence closed by the token `.`.

    Kept: letters and digits of any script, the apostrophe inside a word, the point inside a decimal number,
    and as tokens of their own commas, `%`, `&`, `°`, `<` and `>` before a number. A character of a script
    that is written without blanks (Chinese, Japanese) is a token. Everything else parts words or is dropped.
    An empty list comes from a text without words. Raises KeyError for a version that doesn't exist.
    """
    rules = _RULES[version]
    text = rules.fold(text)
    text = _DATE.sub(DEIDENTIFIED, text)
    text = rules.spelled_out.sub(lambda match: f" {_SPELLED_OUT[match[0]]} ", text)
    text = _LESS.sub(" less than " if version == 1 else " < ", text)
    text = _MORE.sub(" more than " if version == 1 else " > ", text)
    text = _LIST_NUMBER_IN_BRACKETS.sub(" ", text)
    if version > 1:
        text = _ZERO_COMMA.sub("0.", _DECIMAL_COMMA.sub(r"\1.\2", text))
    text = _THOUSANDS.sub("", text)
    text = _BARE_FRACTION.sub("0.", text)
    text = rules.size_unit.sub(" ", text)
    text = _SIZE_TIMES.sub(" x ", text)
    text = _INITIALS.sub(lambda match: f" {match[0].replace('.', '')} ", text)
    text = rules.shortened_word.sub(r"\1", text)
    sentences = _sentences(rules.tokens(text))
    return [token for sentence in sentences for token in (*sentence, SENTENCE_END)]


def comparable(words: Iterable[str]) -> tuple[str, ...]:
    """Cleaned words as scores count them: no commas, signs spelled out, accents off.

    So models that were trained under different rules are held against the same references, and a comma is no
    word that a report gets right. For English text these are the words of version 1.
    """
    counted: list[str] = []
    for word in words:
        if word not in COMMAS:
            counted += _WORDS_OF_SIGNS.get(word) or ((word,) if word.isascii() else (_without_accents(word),))
    return tuple(word for word in counted if word)


def close_lines(text: str) -> str:
    """The text on one line, with a full stop where a line ended a statement without one.

    Lists have a line for each statement; a mail or a hospital's system wraps lines anywhere. A blank line or
    a bullet always begins something new. Elsewhere a line ends a statement where no line of the text goes on
    in lower case; where some do, the lines are wrapped, and one ends a statement only if the next begins
    with a capital and its first word would have had room.
    """
    lines = [line.strip() for line in text.splitlines()]
    if len(lines) < 2:
        return text
    wrapped = any(line[:1].islower() for line in lines[1:])
    width = max(map(len, lines))
    pieces = [_MARK.sub("", lines[0])]
    for before, line in pairwise(lines):
        first = line.split(" ", 1)[0]
        begins = not line or bool(_BULLET.match(line))
        has_room = not wrapped or len(before) + 1 + len(first) <= width
        if (
            (begins or (has_room and not first[0].islower()))
            and before
            and not _ENDS_STATEMENT.search(before)
        ):
            pieces[-1] += "."
        if line:
            pieces.append(_MARK.sub("", line))
    return " ".join(pieces)


def _fold_1(text: str) -> str:
    """Lower case, compatibility forms resolved, accents off; repeated, as one fold can call for the next."""
    while True:
        folded = _without_accents(text.translate(_SIGNS_1).lower())
        if folded == text:
            return _LINE_BREAK_TAG.sub(" ", folded)
        text = folded


def _fold_2(text: str) -> str:
    """Lower case, compatibility forms resolved; lines closed, gaps marked, unspaced characters parted."""
    text = _GAP.sub(f" {DEIDENTIFIED} ", close_lines(text))
    while True:
        folded = unicodedata.normalize("NFKC", text.translate(_SIGNS_2).lower())
        if folded == text:
            break
        text = folded
    return _APART.sub(r" \1 ", _LINE_BREAK_TAG.sub(" ", text))


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign))


def _tokens_2(text: str) -> list[str]:
    """Words and signs. Marks that no letter takes in (vowel signs of Hindi, say) belong to the letter
    before.
    """
    text = _NO_LIMIT.sub(" ", text).replace(";", ",")
    if text.isascii():
        return _TOKEN_2.findall(text)
    # A mark counts as no letter in a regular expression, so that the words are looked for with letters in
    # place.
    shadow: list[str] = []
    for sign in text:
        is_mark = unicodedata.category(sign)[0] == "M"
        shadow.append(("a" if shadow and shadow[-1].isalpha() else " ") if is_mark else sign)
    return [text[match.start() : match.end()] for match in _TOKEN_2.finditer("".join(shadow))]


_RULES: Final = {
    1: _Rules(_fold_1, _SPELLED_OUT_1, _SIZE_UNIT_1, _SHORTENED_WORD_1, _TOKEN_1.findall),
    2: _Rules(_fold_2, _SPELLED_OUT_2, _SIZE_UNIT_2, _SHORTENED_WORD_2, _tokens_2),
}


def _sentences(tokens: Sequence[str]) -> list[list[str]]:
    """Sentences without their ends; empty ones and those that are only a list's number are left out."""
    sentences: list[list[str]] = []
    for is_end, words in groupby(tokens, key=lambda token: token in ".!?"):
        if is_end:
            continue
        sentence = _tidy(DEIDENTIFIED if DEIDENTIFIED in word else word for word in words)
        if len(sentence) > 1 or (sentence and not _LIST_NUMBER.fullmatch(sentence[0])):
            sentences.append(sentence)
    return sentences


def _tidy(words: Iterable[str]) -> list[str]:
    """Single commas between words only, and one mark a gap: how many words were taken out says nothing."""
    tidied: list[str] = []
    comma = ""
    for word in words:
        if word in COMMAS:
            comma = comma or word
        elif tidied and word == tidied[-1] == DEIDENTIFIED:
            comma = ""
        else:
            if comma and tidied:
                tidied.append(comma)
            tidied.append(word)
            comma = ""
    return tidied

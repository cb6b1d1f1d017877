"""From the text of a report to the words that a model reads and writes. `docs/corpus.md` gives the reasons.

Cleaning is idempotent: `clean(" ".join(clean(text))) == clean(text)`.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby
from typing import Final

from cxrscribe.vocabulary import SENTENCE_END

DEIDENTIFIED: Final = "xxxx"
"""Stands where a word was taken out to protect the patient; a run of them is one."""

# Signs that NFKD leaves alone and that have a plain form; `_` parts words, but patterns take it for a letter.
_PLAIN_SIGNS: Final = str.maketrans(
    {
        "‘": "'",
        "’": "'",
        "ʼ": "'",
        "×": " x ",
        "%": " percent ",
        "&": " and ",
        "°": " degrees ",
        "⁄": "/",
        "_": " ",
    }
)
_SPELLED_OUT: Final = {
    "and/or": "or",
    "w/o": "without",
    "w/": "with",
    "s/p": "status post",
    "c/w": "consistent with",
}

# Each pattern works on folded, lower-case text; the order matters and is that of `clean`.
_LINE_BREAK_TAG = re.compile(r"<\s*/?\s*(?:br|p)\s*/?\s*>")
_DATE = re.compile(r"(?<![\w/.-])(?:\d{1,4}|xxxx)([/-])(?:\d{1,4}|xxxx)\1(?:\d{1,4}|xxxx)(?![\w/-])")
_SPELLED_OUT_SHAPES = re.compile(r"(?<![\w/])(?:and/or\b|w/o\b|w/|s/p\b|c/w\b)")
_LESS, _MORE = re.compile(r"<\s*(?=\.?\d)"), re.compile(r">\s*(?=\.?\d)")
_LIST_NUMBER_IN_BRACKETS = re.compile(r"(?:^|(?<=[.!?:;]))\s*\(?\d{1,2}\)(?=\s)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_BARE_FRACTION = re.compile(r"(?<![\w.])\.(?=\d)")
_SIZE_UNIT = re.compile(r"(?<=\d)(?=(?:mm|cm|ml|cc)\b)")
_SIZE_TIMES = re.compile(r"(?<=\d)[^\w.!?]*x[^\w.!?]*(?=\.?\d)")  # what parts words may stand between
_INITIALS = re.compile(r"(?<![\w.])(?:[^\W\d_]\.){2,}")
_SHORTENED_WORD = re.compile(r"\b(dr|mr|mrs|ms|vs|approx|cf)\.(?=\s)")
_TOKEN = re.compile(r"\d+\.\d+(?!\w)|[^\W_]+(?:'[^\W_]+)*|[.!?]")
_LIST_NUMBER = re.compile(r"\d{1,2}")


def clean(text: str) -> list[str]:
    """The words of a report, lower case, each sentence closed by the token `.`.

    Kept: letters and digits of any script without accents, the apostrophe inside a word, the point
    inside a decimal number. Everything else parts words or is dropped. An empty list comes from a
    text without words.
    """
    text = _folded(text)
    text = _LINE_BREAK_TAG.sub(" ", text)
    text = _DATE.sub(DEIDENTIFIED, text)
    text = _SPELLED_OUT_SHAPES.sub(lambda match: f" {_SPELLED_OUT[match[0]]} ", text)
    text = _LESS.sub(" less than ", text)
    text = _MORE.sub(" more than ", text)
    text = _LIST_NUMBER_IN_BRACKETS.sub(" ", text)
    text = _THOUSANDS.sub("", text)
    text = _BARE_FRACTION.sub("0.", text)
    text = _SIZE_UNIT.sub(" ", text)
    text = _SIZE_TIMES.sub(" x ", text)
    text = _INITIALS.sub(lambda match: f" {match[0].replace('.', '')} ", text)
    text = _SHORTENED_WORD.sub(r"\1", text)
    return [token for sentence in _sentences(_TOKEN.findall(text)) for token in (*sentence, SENTENCE_END)]


def _folded(text: str) -> str:
    """Lower case, compatibility forms resolved, accents off; repeated, as one fold can call for the next."""
    while True:
        decomposed = unicodedata.normalize("NFKD", text.translate(_PLAIN_SIGNS).lower())
        folded = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
        if folded == text:
            return folded
        text = folded


def _sentences(tokens: list[str]) -> list[list[str]]:
    """Sentences without their ends; empty ones and those that are only a list's number are left out."""
    sentences: list[list[str]] = []
    for is_end, words in groupby(tokens, key=lambda token: token in ".!?"):
        if is_end:
            continue
        sentence = _one_mark_a_gap([DEIDENTIFIED if DEIDENTIFIED in word else word for word in words])
        if len(sentence) > 1 or not _LIST_NUMBER.fullmatch(sentence[0]):
            sentences.append(sentence)
    return sentences


def _one_mark_a_gap(words: list[str]) -> list[str]:
    """Runs of `xxxx` become one: how many words were taken out says nothing about the film."""
    return [
        word
        for word, before in zip(words, [None, *words], strict=False)
        if not word == before == DEIDENTIFIED
    ]

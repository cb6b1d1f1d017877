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
_LINE_BREAK_TAG = re.compile(r"<\s*(?:/\s*)?(?:br|p)\s*(?:/\s*)?>")
_GAP = re.compile(r"_{3,}")
_UNSPACED_SIGN = re.compile(f"[{UNSPACED}]")
_APART = re.compile(f"([{UNSPACED}%&°])")
_DATE = re.compile(r"(?<![\w/.-])(?:\d{1,4}|xxxx)([/-])(?:\d{1,4}|xxxx)\1(?:\d{1,4}|xxxx)(?![\w/-])")
_SPELLED_OUT_1 = re.compile(r"(?<![\w/])(?:and/or\b|w/o\b|w/|s/p\b|c/w\b)")
_SPELLED_OUT_2 = re.compile(r"(?<![\w/])(?:and/or\b|w/out\b|w/o\b|w/|s/p\b|c/w\b)")
_LESS, _MORE = re.compile(r"<\s*(?=\.?\d)"), re.compile(r">\s*(?=\.?\d)")
_NO_LIMIT = re.compile(r"[<>](?!\s*\.?\d)")
_LIST_NUMBER_IN_BRACKETS = re.compile(r"(?:^|(?<=[.!?:;]))\s*\(?\d{1,2}\)(?=\s)")
# What may stand between a number and its unit: other numbers, and words between those ("1,5 a 2,5 cm").
_METRES = r"(?:cent|mil)[ií]metros?|(?:[cz]enti|milli)meters?|(?:санти|милли)метр\w*"
_SIZE = r"(?:mms?|cms?|ml|cc|мм|см|мл|" + _METRES + r")\b|%"
_BETWEEN_SIZES = r"(?:[\d,.xх\s()–-]|\b(?:a|y|e|o|ou|u|por|hasta|até|à|et|bis|und|mal|to|by|до|и|на)\b)"
_UP_TO_SIZE = _BETWEEN_SIZES + "{0,24}?(?:" + _SIZE + ")"
_DECIMAL_COMMA = re.compile(r"(?<![.,])(?<![^\Wxх])(\d+),(\d{1,2})(?!\d)(?=" + _UP_TO_SIZE + ")")
# No chest has a thousand centimetres: three digits before that unit are decimals, too.
_LONG_DECIMAL_COMMA = re.compile(
    r"(?<![.,])(?<![^\Wxх])(\d{1,2}),(\d{3})(?=\s*(?:cms?|см|cent[ií]metros?|zentimeter)\b)"
)
_ZERO_COMMA = re.compile(r"(?<![\d.,])0,(?=\d)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_BARE_FRACTION = re.compile(r"(?<![\w.])\.(?=\d)")
_SIZE_UNIT_1 = re.compile(r"(?<=\d)(?=(?:mm|cm|ml|cc)\b)")
_SIZE_UNIT_2 = re.compile(r"(?<=\d)(?=(?:mm|cm|ml|cc|мм|см|мл)\b)")
# What parts words may stand between; signs that are words may not.
_SIZE_TIMES_1 = re.compile(r"(?<=\d)[^\w.!?]*x[^\w.!?]*(?=\.?\d)")
_SIZE_TIMES_2 = re.compile(r"(?<=\d)[^\w.!?%&°<>]*[xх][^\w.!?%&°<>]*(?=\.?\d)")
_INITIALS = re.compile(r"(?<![\w.])(?:[^\W\d_]\.){2,}")
_SHORTENED_WORD_1 = re.compile(r"\b(dr|mr|mrs|ms|vs|approx|cf)\.(?=\s)")
_SHORTENED_WORD_2 = re.compile(r"\b(dra?|mrs?|ms|sra?|vs|approx|aprox|cf)\.(?=\s)")
_WORD = r"\d+\.\d+(?!\w)|[^\W_]+(?:'[^\W_]+)*|[.!?]"
_TOKEN_1 = re.compile(_WORD)
_TOKEN_2 = re.compile(_WORD + "|[,、%&°<>]")
_LIST_NUMBER = re.compile(r"\d{1,2}")
_ENDS_STATEMENT = re.compile(r"[.!?:;,。！？：；，、…]\s*$")
_STOP_INSIDE = re.compile(r"[.!?]\s|[。！？].")
_BULLET = re.compile(r"(?:[-*•·–—]|\(?\d{1,2}[.)])\s")
_MARK = re.compile(r"^[-*•·–—]\s+")
# No statement ends so: what a line breaks off after goes on in the next one.
_GOES_ON: Final = frozenset(
    word
    for words in (
        "a an the any no of and or nor with without to from for at by in on than into",
        "is are was were be been has have",
        "de del el la los las un una sin con y o u en por do da dos das um uma sem com e ou em",
        "der die das dem den des ein eine einen einem einer",
        "kein keine keinen ohne mit und oder von vom im zum zur",
        "le les du des une sans avec et",
    )
    for word in words.split()
)
_GOES_ON_UNSPACED: Final = ("未见", "未见明显", "无", "和", "及", "或", "与", "的")
# Wider than the statements of most lists: so wide are lines that were wrapped.
_WRAPPED_WIDTH: Final = 40
_WRAPPED_UNSPACED: Final = 15


@dataclass(frozen=True)
class _Rules:
    """What differs between the versions."""

    fold: Callable[[str], str]
    spelled_out: re.Pattern[str]
    size_unit: re.Pattern[str]
    size_times: re.Pattern[str]
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
        text = _NO_LIMIT.sub(" ", text)
        text = _LONG_DECIMAL_COMMA.sub(r"\1.\2", _DECIMAL_COMMA.sub(r"\1.\2", text))
        text = _ZERO_COMMA.sub("0.", text)
    text = _THOUSANDS.sub("", text)
    text = _BARE_FRACTION.sub("0.", text)
    text = rules.size_unit.sub(" ", text)
    text = rules.size_times.sub(" x ", text)
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
    a bullet always begins something new. Elsewhere a line ends a statement where the lines aren't wrapped;
    where they are, it ends one only if the next begins with a capital and its first word would have had room.
    A line that breaks off after a word such as "of" or "without" ends none.
    """
    lines = [line.strip() for line in text.splitlines()]
    if len(lines) < 2:
        return text
    wrapped = _are_wrapped(lines)
    width = max(map(len, lines))
    pieces = [_MARK.sub("", lines[0])]
    for before, line in pairwise(lines):
        begins = not line or bool(_BULLET.match(line))
        has_room = not wrapped or _has_room(before, line, width)
        ends = has_room and not line[:1].islower() and not _goes_on(before)
        if (begins or ends) and before and not _ENDS_STATEMENT.search(before):
            pieces[-1] += "."
        if line:
            pieces.append(_MARK.sub("", line))
    return " ".join(pieces)


def _goes_on(line: str) -> bool:
    """Whether a line breaks off inside a statement. "Effusion: no" is an answer and doesn't."""
    before, _, last = line.rpartition(" ")
    if last.lower() == "no" and before.endswith((":", "：", "?")):
        return False
    return last.lower() in _GOES_ON or line.endswith(_GOES_ON_UNSPACED)


def _are_wrapped(lines: Sequence[str]) -> bool:
    """Whether lines were broken where they were full. Some line then goes on in lower case.

    A text without lower case, in capitals or of a script that has none, shows it by its width, and by lines
    that are full or hold the end of a sentence.
    """
    if any(line[:1].islower() for line in lines[1:]):
        return True
    if any(sign.islower() for line in lines for sign in line):
        return False
    unspaced = any(map(_UNSPACED_SIGN.search, lines))
    if max(map(len, lines)) <= (_WRAPPED_UNSPACED if unspaced else _WRAPPED_WIDTH):
        return False
    # Long statements, a line each, leave room behind the shorter ones, and have no full stop inside a line.
    width = max(map(len, lines))
    return any(map(_STOP_INSIDE.search, lines)) or not any(
        before and line and _has_room(before, line, width)
        for before, line in pairwise(lines)
        if not _BULLET.match(line) and not _ENDS_STATEMENT.search(before)
    )


def _has_room(before: str, line: str, width: int) -> bool:
    """Whether the first word of `line` fits behind `before`; of Chinese, the first character."""
    first = line[:1] if _UNSPACED_SIGN.match(line) else line.split(" ", 1)[0]
    return len(before) + 1 + len(first) <= width


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
    """Words and signs; a mark that no letter takes in (a vowel of Hindi) stays with the letter before."""
    text = text.replace(";", ",")
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
    1: _Rules(_fold_1, _SPELLED_OUT_1, _SIZE_UNIT_1, _SIZE_TIMES_1, _SHORTENED_WORD_1, _TOKEN_1.findall),
    2: _Rules(_fold_2, _SPELLED_OUT_2, _SIZE_UNIT_2, _SIZE_TIMES_2, _SHORTENED_WORD_2, _tokens_2),
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

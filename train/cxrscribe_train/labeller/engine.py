"""Apply the tables of terms and negations to a text."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise, zip_longest
from typing import Final, TypeAlias

from cxrscribe.cleaning import COMMAS, clean
from cxrscribe.vocabulary import SENTENCE_END
from cxrscribe_train.findings import FindingKind, Severity
from cxrscribe_train.labeller import negation, terms
from cxrscribe_train.labeller.phrase import STATES, compile_phrases
from cxrscribe_train.labeller.place import Place, places_of
from cxrscribe_train.labeller.severity import severities_of

_TAKEN: Final = "#"
_OPENS: Final = "|"
"""Stands for a comma after which a positive statement opens."""


_Span: TypeAlias = tuple[int, int]
_PREFIX_APART: Final = re.compile(r"\b(non(?= calcified\b)|bi(?= (?:basilar|basal|apical)\b)) ")


@dataclass(frozen=True)
class _Mention:
    """A finding named at [start, end) of a sentence; `states` where the phrase has its own verb."""

    kind: FindingKind
    start: int
    end: int
    states: bool


@dataclass(frozen=True)
class _Wall:
    """A boundary between clauses at [start, end) of a sentence."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class _Reading:
    """What a sentence states: its kinds, and its words without those that a negation reaches."""

    kinds: frozenset[FindingKind]
    affirmed: tuple[str, ...]


_NOTHING: Final = _Reading(frozenset(), ())


@dataclass(frozen=True)
class _Phrase:
    kind: FindingKind
    pattern: re.Pattern[str]
    states: bool


def label(text: str) -> frozenset[FindingKind]:
    """The kinds of finding that `text` states to be there.

    `text` is a FINDINGS paragraph as written, or cleaned words joined by blanks: both give the same, for
    the text is cleaned first. A finding counts when one sentence at least names it without negating it; a
    possible finding ("may represent", "cannot be excluded") counts, a resolved or removed one doesn't.
    """
    return label_words(clean(text))


def label_words(words: Iterable[str]) -> frozenset[FindingKind]:
    """`label` of a report that is cleaned already: words with `.` as the end of a sentence."""
    return frozenset(kind for reading in _readings(words) for kind in reading.kinds)


def label_places(words: Iterable[str]) -> frozenset[tuple[FindingKind, Place]]:
    """Where the findings of `label_words` are said to be: every side and zone that their sentences name.

    A sentence with several findings gives each of them all its places. What a negation reaches names none.
    """
    return frozenset(
        (kind, place)
        for reading in _readings(words)
        for kind in reading.kinds
        for place in places_of(reading.affirmed)
    )


def label_severities(words: Iterable[str]) -> frozenset[tuple[FindingKind, Severity]]:
    """How marked the findings of `label_words` are said to be: every severity that their sentences name.

    A sentence with several findings gives each of them all its severities, where the kind has some. What a
    negation reaches names none.
    """
    return frozenset(
        (kind, severity)
        for reading in _readings(words)
        for kind in reading.kinds
        for severity in severities_of(reading.affirmed, kind)
    )


def _readings(words: Iterable[str]) -> Iterator[_Reading]:
    for sentence in _sentences(words):
        yield _read_sentence(" ".join(sentence))


def _sentences(words: Iterable[str]) -> Iterator[list[str]]:
    """The words of each sentence: contractions written out, commas only before an opening statement.

    A sentence that is an answer and nothing else ("Mass? None seen.") is a part of the one before.
    """
    before: list[str] = []
    for ends, words_of_one in groupby(words, key=lambda word: word == SENTENCE_END):
        if ends:
            continue
        sentence = _in_words(words_of_one)
        if _ANSWER.fullmatch(" ".join(sentence)):
            before = [*before, *sentence]
        else:
            if before:
                yield before
            before = sentence
    if before:
        yield before


def _in_words(words: Iterable[str]) -> list[str]:
    written = [part for word in words for part in _written_out(word)]
    return [
        _OPENS if word in COMMAS else word
        for word, following in zip(written, [*written[1:], ""], strict=True)
        if word not in COMMAS or _OPENER.fullmatch(following)
    ]


def _written_out(word: str) -> tuple[str, ...]:
    """`isn't` as `is not`, `can't` as `cannot`; other words as they are."""
    if word.endswith("n't"):
        return ("cannot",) if word == "can't" else (word.removesuffix("n't"), "not")
    return (word,)


@lru_cache(maxsize=65536)  # reports repeat their sentences, a model's reports even more so
def _read_sentence(sentence: str) -> _Reading:
    sentence = _PREFIX_APART.sub(r"\1", sentence)
    mentions = _mentions(sentence)
    if not mentions:
        return _NOTHING
    negated, reached = _negated(sentence, mentions)
    kinds = frozenset(mention.kind for mention in mentions if mention not in negated)
    return _Reading(kinds, tuple(_blank(sentence, reached).split())) if kinds else _NOTHING


def _mentions(sentence: str) -> list[_Mention]:
    """All phrases of the table in the sentence, in their order there; no word belongs to two."""
    readable = _blank(sentence, (match.span() for match in _IGNORED.finditer(sentence)))
    free = readable
    mentions: list[_Mention] = []
    for phrase in _PHRASES:
        source = readable if phrase.kind in terms.SHARING else free
        spans = [match.span() for match in phrase.pattern.finditer(source)]
        mentions += (_Mention(phrase.kind, start, end, phrase.states) for start, end in spans)
        free = _blank(free, spans)
    return sorted(mentions, key=lambda mention: mention.start)


def _negated(sentence: str, mentions: list[_Mention]) -> tuple[frozenset[_Mention], list[_Span]]:
    """The mentions that a cue of the negation tables reaches, and the stretches of the sentence likewise."""
    free = _blank(sentence, (match.span() for match in _NOT_A_NEGATION.finditer(sentence)))
    walls = [_Wall(match.start(), match.end(), match[0]) for match in _BOUNDARY.finditer(free)]
    clauses = _Clauses(mentions, walls)
    negated: set[_Mention] = set()
    stretches: list[_Span] = []
    spent: list[_Span] = []
    for cue in _AFTER.finditer(free):
        # "Effusion, or pneumothorax are not seen": a cue of a whole list lies behind the walls inside it.
        start, introduced = clauses.start_before(
            cue.start(), ("and", "or", _OPENS) if _PLURAL.match(cue[0]) else ()
        )
        named = clauses.mentions_between(start, cue.start())
        reached = []
        for mention in _before_cue(cue, named, introduced=introduced):
            reached.append(mention)
            if mention in negated:  # and so are those that a cue before this one reached
                break
        negated.update(reached)
        if reached:
            stretches.append((start if len(reached) == len(named) else reached[-1].start, cue.start()))
        # "Resolved effusion": what negates nothing before it may negate what follows.
        if reached or not _BEFORE.fullmatch(cue[0]):
            spent.append(cue.span())
    free = _blank(free, spent)
    cues = list(_BEFORE.finditer(free))
    for cue, following in zip_longest(cues, cues[1:]):
        limit = clauses.end_after(cue.end(), len(free))
        if following is not None:  # what stands behind the next cue is reached by that one
            limit = min(limit, following.end())
        named = clauses.mentions_between(cue.end(), limit)
        reached = list(_after_cue(cue, named))
        negated.update(reached)
        if len(reached) == len(named):
            stretches.append((cue.end(), limit))
        elif reached:
            stretches.append((cue.end(), reached[-1].end))
    return frozenset(negated), stretches


class _Clauses:
    """The mentions and walls of a sentence, both in their order, looked up by place."""

    def __init__(self, mentions: list[_Mention], walls: list[_Wall]) -> None:
        self._mentions = mentions
        self._walls = walls
        self._starts = [mention.start for mention in mentions]
        self._wall_starts = [wall.start for wall in walls]
        self._wall_ends = [wall.end for wall in walls]

    def end_after(self, place: int, length: int) -> int:
        """Where the clause that goes on at `place` ends, in a sentence of this length."""
        number = bisect_left(self._wall_starts, place)
        return self._wall_starts[number] if number < len(self._walls) else length

    def mentions_between(self, start: int, end: int) -> list[_Mention]:
        """The mentions that begin in [start, end)."""
        return self._mentions[bisect_left(self._starts, start) : bisect_left(self._starts, end)]

    def start_before(self, place: int, inside: tuple[str, ...]) -> tuple[int, bool]:
        """Where the clause that ends at `place` begins, and whether "there is" or the like begins it.

        Walls that begin with one of `inside` are passed over.
        """
        for number in range(bisect_right(self._wall_ends, place) - 1, -1, -1):
            wall = self._walls[number]
            if not (inside and wall.text.startswith(inside)):
                return wall.end, wall.text.startswith("there")
        return 0, False


def _after_cue(cue: re.Match[str], mentions: list[_Mention]) -> Iterator[_Mention]:
    """Which of the `mentions` between a cue and the end of its clause it reaches.

    An opener after a first one ends the clause, too.
    """
    reached = cue.end()
    for mention in mentions:
        if mention.states and mention.start > cue.end() + 1:  # "neither hemidiaphragm is elevated" is reached
            return
        if reached > cue.end() and _opens_anew(cue.string[reached : mention.end]):
            return
        yield mention
        reached = max(reached, mention.end)


def _opens_anew(between: str) -> bool:
    """Whether an opener stands between two mentions of a list without a link before it.

    Nothing stands between mentions that share words.
    """
    words = ["", *between.split()]
    return any(_OPENER.fullmatch(word) and before not in negation.LINKS for before, word in pairwise(words))


def _before_cue(cue: re.Match[str], mentions: list[_Mention], *, introduced: bool) -> Iterator[_Mention]:
    """Which of the `mentions` between the start of a clause and a cue it reaches, nearest first.

    After "there is a" that is the nearest one only.
    """
    reached = cue.start()
    for mention in reversed(mentions):
        if mention.end > cue.start():
            continue
        if mention.states or _VERB.search(cue.string, mention.end, reached):
            return
        yield mention
        if introduced:
            return
        reached = mention.start


def _blank(sentence: str, spans: Iterable[_Span]) -> str:
    """The sentence with the spans overwritten by a mark that no table matches; lengths stay."""
    signs = list(sentence)
    for start, end in spans:
        signs[start:end] = _TAKEN * (end - start)
    return "".join(signs)


def _phrases() -> Iterator[_Phrase]:
    for kind, phrases in terms.TERMS.items():
        for states in (True, False):
            chosen = [phrase for phrase in phrases if (STATES in phrase) == states]
            if chosen:
                yield _Phrase(kind, compile_phrases(chosen, terms.WORDS), states)


_PHRASES: Final = tuple(_phrases())
_IGNORED: Final = compile_phrases(terms.IGNORED, terms.WORDS)
_NOT_A_NEGATION, _BEFORE, _AFTER, _ANSWER, _BOUNDARY, _OPENER, _PLURAL, _VERB = (
    compile_phrases(cues, negation.WORDS)
    for cues in (
        negation.NOT_A_NEGATION,
        negation.BEFORE,
        negation.AFTER,
        negation.ANSWERS,
        negation.BOUNDARIES,
        negation.OPENERS,
        negation.PLURAL_VERBS,
        negation.VERBS,
    )
)

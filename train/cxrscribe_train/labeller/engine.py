"""Apply the tables of terms and negations to a text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Final

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
    return frozenset(kind for sentence in _sentences(words) for kind in _label_sentence(" ".join(sentence)))


def label_places(words: Iterable[str]) -> frozenset[tuple[FindingKind, Place]]:
    """Where the findings of `label_words` are said to be: every side and zone that their sentences name.

    A sentence with several findings gives each of them all its places.
    """
    return frozenset(
        (kind, place)
        for sentence in _sentences(words)
        for kind in _label_sentence(" ".join(sentence))
        for place in places_of(sentence)
    )


def label_severities(words: Iterable[str]) -> frozenset[tuple[FindingKind, Severity]]:
    """How marked the findings of `label_words` are said to be: every severity that their sentences name.

    A sentence with several findings gives each of them all its severities, where the kind has some.
    """
    return frozenset(
        (kind, severity)
        for sentence in _sentences(words)
        for kind in _label_sentence(" ".join(sentence))
        for severity in severities_of(sentence, kind)
    )


def _sentences(words: Iterable[str]) -> Iterator[list[str]]:
    """The words of each sentence, contractions written out, and commas only where a statement opens after
    one.
    """
    for ends, sentence in groupby(words, key=lambda word: word == SENTENCE_END):
        if ends:
            continue
        written = [part for word in sentence for part in _written_out(word)]
        yield [
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
def _label_sentence(sentence: str) -> frozenset[FindingKind]:
    sentence = sentence.replace("non calcified", "noncalcified")
    mentions = _mentions(sentence)
    if not mentions:
        return frozenset()
    negated = _negated(sentence, mentions)
    return frozenset(mention.kind for mention in mentions if mention not in negated)


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


def _negated(sentence: str, mentions: list[_Mention]) -> frozenset[_Mention]:
    """The mentions that a cue of the negation tables reaches."""
    free = _blank(sentence, (match.span() for match in _NOT_A_NEGATION.finditer(sentence)))
    walls = [_Wall(match.start(), match.end(), match[0]) for match in _BOUNDARY.finditer(free)]
    negated: set[_Mention] = set()
    spent: list[tuple[int, int]] = []
    for cue in _AFTER.finditer(free):
        reached = set(_before_cue(cue, mentions, walls))
        negated |= reached
        # "Resolved effusion": what negates nothing before it may negate what follows.
        if reached or not _BEFORE.fullmatch(cue[0]):
            spent.append(cue.span())
    free = _blank(free, spent)
    for cue in _BEFORE.finditer(free):
        negated |= set(_after_cue(cue, mentions, walls))
    return frozenset(negated)


def _after_cue(cue: re.Match[str], mentions: list[_Mention], walls: list[_Wall]) -> Iterator[_Mention]:
    """Mentions between a cue and the end of its clause, an opener after a first mention ending it too."""
    limit = min((wall.start for wall in walls if wall.start >= cue.end()), default=len(cue.string))
    reached = cue.end()
    for mention in mentions:
        if mention.start < cue.end() or mention.start >= limit:
            continue
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


def _before_cue(cue: re.Match[str], mentions: list[_Mention], walls: list[_Wall]) -> Iterator[_Mention]:
    """Mentions between the start of the clause and a cue; after "there is a" only the nearest one."""
    before = [wall for wall in walls if wall.end <= cue.start()]
    if _PLURAL.match(cue[0]):
        before = [wall for wall in before if not wall.text.startswith(("and", "or", _OPENS))]
    limit, introduced = (before[-1].end, before[-1].text.startswith("there")) if before else (0, False)
    reached = cue.start()
    for mention in reversed([mention for mention in mentions if limit <= mention.start]):
        if mention.end > cue.start():
            continue
        if mention.states or _VERB.search(cue.string[mention.end : reached]):
            return
        yield mention
        if introduced:
            return
        reached = mention.start


def _blank(sentence: str, spans: Iterable[tuple[int, int]]) -> str:
    """The sentence with the spans overwritten by a mark that no table matches; lengths stay."""
    for start, end in spans:
        sentence = sentence[:start] + _TAKEN * (end - start) + sentence[end:]
    return sentence


def _phrases() -> Iterator[_Phrase]:
    for kind, phrases in terms.TERMS.items():
        for states in (True, False):
            chosen = [phrase for phrase in phrases if (STATES in phrase) == states]
            if chosen:
                yield _Phrase(kind, compile_phrases(chosen, terms.WORDS), states)


_PHRASES: Final = tuple(_phrases())
_IGNORED: Final = compile_phrases(terms.IGNORED, terms.WORDS)
_NOT_A_NEGATION, _BEFORE, _AFTER, _BOUNDARY, _OPENER, _PLURAL, _VERB = (
    compile_phrases(cues, negation.WORDS)
    for cues in (
        negation.NOT_A_NEGATION,
        negation.BEFORE,
        negation.AFTER,
        negation.BOUNDARIES,
        negation.OPENERS,
        negation.PLURAL_VERBS,
        negation.VERBS,
    )
)

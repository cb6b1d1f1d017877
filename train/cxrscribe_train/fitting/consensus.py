"""Consensus targets: what most radiologists would write of the same findings, in place of what one wrote.

The wording of a report isn't in its film. Where many reports state the same findings, the one that agrees
best with the others is taught for all of them: it has what they have in common, and little that only one has.

Agreement is BLEU-4 of the report held against all others of its group, as if it had been written of each. S.
Devlin et al., Exploring Nearest Neighbor Approaches for Image Captioning, 2015 (arXiv:1505.04467), choose
captions by consensus so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from cxrscribe.json_object import JsonObject
from cxrscribe_train.labeller import label_places, label_severities, label_words
from cxrscribe_train.ngrams import ORDERS, Ngram, Words, bleu, ngrams

LEAST_STUDIES: Final = 3
"""Studies that have to state the same: of two reports neither is a consensus."""
COMPARED: Final = 2000
"""Reports of a group, at most, that its reports are held against."""


_LOUD: Final = "CONSENSUS TARGETS: "


@dataclass(frozen=True)
class ConsensusTargets:
    """What is taught in place of the films' own reports, in numbers.

    Attributes:
        films: training films.
        replaced: films that are taught another report than their own.
        groups: how many groups of studies have a consensus.
        largest: studies of the largest.
        targets: different reports that are taught.
    """

    films: int
    replaced: int
    groups: int
    largest: int
    targets: int

    def __str__(self) -> str:
        """For people, and for the record of a bundle."""
        return (
            f"{_LOUD}{self.replaced} of {self.films} training films teach not their own report but another "
            f"study's with the same findings; {self.targets} different reports are taught in all."
        )

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {"kind": "consensus", **asdict(self)}

    @classmethod
    def from_json(cls, fields: JsonObject) -> ConsensusTargets:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        fields.skip("kind")
        return fields.make(cls, **{name: fields.integer(name) for name in fields.names() if name != "kind"})


def in_description(description: str) -> str | None:
    """What a bundle's description says of consensus targets, its last sentence; None where nothing."""
    _, mark, said = description.partition(_LOUD)
    return f"{mark}{said}" if mark else None


def consensus_targets(
    reports: Sequence[Words], studies: Sequence[str], seed: int, compared: int = COMPARED
) -> tuple[tuple[Words, ...], ConsensusTargets]:
    """Replace each report by the one of those with the same findings that agrees best with the others.

    Findings are the same where the labeller reads the same kinds, places and severities. A study counts once,
    with the report of its first film.

    Args:
        reports: cleaned words of each film's report.
        studies: of each film.
        seed: of which reports of a large group are compared with.
        compared: how many, at most.

    Returns:
        what each film is taught, and the numbers.
    """
    first_film = {study: film for film, study in reversed(list(enumerate(studies)))}
    groups: dict[frozenset[Hashable], list[int]] = defaultdict(list)
    for film in sorted(first_film.values()):
        groups[_stated(reports[film])].append(film)
    chosen = {
        stated: _agrees_best([reports[film] for film in films], seed, compared)
        for stated, films in groups.items()
        if len(films) >= LEAST_STUDIES
    }
    words = tuple(chosen.get(_stated(report), report) for report in reports)
    return words, ConsensusTargets(
        films=len(reports),
        replaced=sum(taught != own for taught, own in zip(words, reports, strict=True)),
        groups=len(chosen),
        largest=max((len(groups[stated]) for stated in chosen), default=0),
        targets=len(set(words)),
    )


def _stated(report: Words) -> frozenset[Hashable]:
    return label_words(report) | label_places(report) | label_severities(report)


def _agrees_best(group: Sequence[Words], seed: int, compared: int) -> Words:
    """Which of these reports agrees best with the others; the first of equals."""
    held = group
    if len(group) > compared:
        drawn = np.random.default_rng((seed, len(group))).choice(len(group), compared, replace=False)
        held = [group[place] for place in drawn]
    # times_in[g, j]: in how many of the compared reports n-gram g occurs at least j times. The clipped count
    # of a report that has g k times is then the sum over j = 1..k, less its own where it is among them.
    times_in: Counter[tuple[Ngram, int]] = Counter(
        (ngram, times + 1)
        for report in held
        for ngram, count in ngrams(report).items()
        for times in range(count)
    )
    words, among = sum(map(len, held)), frozenset(held)
    reports = tuple(dict.fromkeys(group))
    correct = np.zeros((len(reports), ORDERS))
    own = np.array([report in among for report in reports])
    for row, report in enumerate(reports):
        for ngram, count in ngrams(report).items():
            found = sum(times_in[ngram, times + 1] for times in range(count))
            correct[row, len(ngram) - 1] += found - count * own[row]
    lengths = np.array([len(report) for report in reports], np.float64)
    others = len(held) - own
    total = others[:, np.newaxis] * np.maximum(0, lengths[:, np.newaxis] - np.arange(ORDERS))
    scores = bleu(correct, total, others * lengths, words - lengths * own)[:, -1]
    return reports[int(np.argmax(scores))]

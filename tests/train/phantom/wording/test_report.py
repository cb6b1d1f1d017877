from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from functools import cache

import pytest

from cxrscribe.cleaning import clean, comparable
from cxrscribe_train.findings import VARIATIONS, Finding, FindingKind, Severity, Side, Zone
from cxrscribe_train.labeller import label
from cxrscribe_train.phantom.sampling import sample_findings
from cxrscribe_train.phantom.stream import IntegerStream
from cxrscribe_train.phantom.wording.normals import REMARKS, STATION_OF
from cxrscribe_train.phantom.wording.phrases import POSITIVE, POSITIVE_BILATERAL
from cxrscribe_train.phantom.wording.report import (
    write_comparison,
    write_findings,
    write_impression,
)

STUDIES = 4000
ALL_FINDINGS = [
    Finding(kind, side, zone, severity)
    for kind, allowed in VARIATIONS.items()
    for side, zone, severity in itertools.product(allowed.sides, allowed.zones, allowed.severities)
]


@cache
def studies() -> tuple[tuple[tuple[Finding, ...], str], ...]:
    pairs = []
    for index in range(STUDIES):
        findings = sample_findings(IntegerStream.named("wording", index, "findings"))
        pairs.append((findings, write_findings(findings, IntegerStream.named("wording", index, "words"))))
    return tuple(pairs)


def kinds(findings: tuple[Finding, ...]) -> frozenset[FindingKind]:
    return frozenset(finding.kind for finding in findings)


@pytest.mark.parametrize("finding", ALL_FINDINGS, ids=str)
def test_every_wording_of_a_finding_states_it_and_nothing_else(finding: Finding) -> None:
    for seed in range(30):
        text = write_findings((finding,), IntegerStream(seed))
        assert label(text) == {finding.kind}, text


def test_reports_state_what_is_drawn() -> None:
    true = missed = invented = 0
    for findings, text in studies():
        stated = label(text)
        true += len(stated & kinds(findings))
        missed += len(kinds(findings) - stated)
        invented += len(stated - kinds(findings))
    assert 2 * true / (2 * true + missed + invented) >= 0.98


def test_a_finding_is_stated_with_side_place_and_severity() -> None:
    nodule = Finding(FindingKind.NODULE, Side.RIGHT, Zone.UPPER)
    effusion = Finding(FindingKind.PLEURAL_EFFUSION, Side.LEFT, severity=Severity.SEVERE)
    for seed in range(50):
        text = write_findings((effusion, nodule), IntegerStream(seed)).lower()
        assert "right upper" in text
        assert "large" in text
        assert "left" in text


def test_each_finding_is_stated_once() -> None:
    nouns = {"nodule", "effusion", "pneumothorax", "hernia", "pacemaker", "cardiomegaly"}
    for findings, text in studies():
        positive = [sentence for sentence in text.split(". ") if label(sentence)]
        assert len(positive) == len(findings)
        counts = Counter(word for sentence in positive for word in clean(sentence) if word in nouns)
        assert all(count == 1 for count in counts.values()), text


def test_positive_statements_keep_to_the_order_of_the_stations() -> None:
    for findings, text in studies():
        stated = [kind for sentence in text.split(". ") for kind in label(sentence)]
        assert [STATION_OF[kind] for kind in stated] == sorted(STATION_OF[kind] for kind in stated), findings


def test_what_is_absent_is_often_said_to_be_absent() -> None:
    without = [
        text.lower() for findings, text in studies() if FindingKind.PNEUMOTHORAX not in kinds(findings)
    ]
    assert sum("pneumothorax" in text for text in without) / len(without) > 0.7


def test_reports_are_as_long_as_real_ones() -> None:
    """The collection of real reports has a mean of 36 tokens, and 90 % have fewer than 57."""
    lengths = [len(comparable(clean(text))) for _, text in studies()]
    assert sum(lengths) / STUDIES == pytest.approx(36, abs=2)
    assert sum(length < 57 for length in lengths) / STUDIES == pytest.approx(0.9, abs=0.02)
    assert sum(length > 60 for length in lengths) / STUDIES > 0.02


def test_reports_vary() -> None:
    words = Counter(word for _, text in studies() for word in clean(text))
    assert len(words) > 300
    assert len({text for _, text in studies()}) > 0.8 * STUDIES


def test_every_kind_has_a_leading_wording_and_a_few_others() -> None:
    for kind in FindingKind:
        for sentences in filter(None, (POSITIVE[kind], POSITIVE_BILATERAL.get(kind))):
            weights = [weight for weight, _ in sentences]
            assert 3 <= len(weights) <= 5
            assert weights[0] > sum(weights) / 2


def test_no_remark_states_a_finding() -> None:
    for remark in REMARKS:
        for _, sentence in remark.sentences:
            assert label(sentence) == frozenset(), sentence


def test_the_same_stream_writes_the_same_text() -> None:
    digest = hashlib.sha256()
    for index in range(500):
        findings = sample_findings(IntegerStream.named("golden", index))
        stream = IntegerStream(index)
        digest.update(write_findings(findings, stream).encode())
        digest.update(write_impression(findings, stream).encode())
        digest.update(write_comparison(stream).encode())
    assert digest.hexdigest() == GOLDEN_TEXT


GOLDEN_TEXT = "9267e38f3c36304284c5904c621ab90bf2dcf01c78a1ea435128583de5be2cd3"


def test_a_normal_impression_is_normal() -> None:
    for seed in range(20):
        assert label(write_impression((), IntegerStream(seed))) == frozenset()


@pytest.mark.parametrize("finding", ALL_FINDINGS, ids=str)
def test_the_impression_names_the_finding(finding: Finding) -> None:
    assert label(write_impression((finding,), IntegerStream(1))) == {finding.kind}

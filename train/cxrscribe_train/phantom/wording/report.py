"""The text of a phantom's report, in the language of radiology reports.

Every report goes through the film in one order: devices, heart and mediastinum, lungs, pleura, diaphragm,
bones. Each drawn finding is stated exactly once, in the place where a normal film would have its normal
statement; what is said to be absent was not drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

from cxrscribe_train.findings import Finding, FindingKind, Side
from cxrscribe_train.phantom.stream import IntegerStream
from cxrscribe_train.phantom.wording.normals import (
    ABSENT,
    ABSENT_NAMES,
    ABSENT_ORDER,
    ABSENT_PERCENT,
    REMARKS,
    STATION_OF,
    STYLES,
    Remark,
    Station,
    Style,
)
from cxrscribe_train.phantom.wording.phrases import (
    ADVERBS,
    COMPARISONS,
    DEGREES,
    EXTENTS,
    IMPRESSION,
    NORMAL_IMPRESSION,
    PLACES,
    POSITIVE,
    POSITIVE_BILATERAL,
    SIZES,
)

_STATEMENT_ORDER = tuple(STATION_OF)


def write_findings(findings: Sequence[Finding], stream: IntegerStream) -> str:
    """The FINDINGS paragraph that states `findings` and nothing else as present."""
    style = style_of(stream)
    present = frozenset(finding.kind for finding in findings)
    ordered = sorted(findings, key=lambda finding: _STATEMENT_ORDER.index(finding.kind))
    sentences: list[str] = []
    for station in Station:
        sentences += [_state(finding, stream) for finding in ordered if STATION_OF[finding.kind] is station]
        for remark in REMARKS:
            if remark.station is station and _applies(remark, present, style, stream):
                sentences.append(stream.weighted(remark.sentences))
        if station is Station.PLEURA:
            sentences += _absent(present, style, stream)
    return " ".join(_capitalized(sentence) for sentence in sentences)


def style_of(stream: IntegerStream) -> Style:
    """The style of the report that `write_findings` would write from this stream: its first choice."""
    return stream.weighted(STYLES)


def write_impression(findings: Sequence[Finding], stream: IntegerStream) -> str:
    """The IMPRESSION: the findings in brief, or that there are none."""
    if not findings:
        return _capitalized(stream.weighted(NORMAL_IMPRESSION))
    return " ".join(_capitalized(_filled(IMPRESSION[finding.kind], finding, stream)) for finding in findings)


def write_comparison(stream: IntegerStream) -> str:
    """What the film was compared with."""
    return stream.weighted(COMPARISONS)


def _state(finding: Finding, stream: IntegerStream) -> str:
    bilateral = finding.side is Side.BILATERAL and finding.kind in POSITIVE_BILATERAL
    sentences = (POSITIVE_BILATERAL if bilateral else POSITIVE)[finding.kind]
    return _filled(stream.weighted(sentences), finding, stream)


def _filled(sentence: str, finding: Finding, stream: IntegerStream) -> str:
    places = PLACES.get((finding.side, finding.zone))
    place = stream.weighted(places) if places else ""
    return sentence.format(
        side=finding.side,
        place=place,
        places=place,
        degree=DEGREES.get(finding.severity, ""),
        degree_ly=ADVERBS.get(finding.severity, ""),
        size=SIZES.get(finding.severity, ""),
        extent=EXTENTS.get(finding.severity, ""),
    )


def _applies(remark: Remark, present: frozenset[FindingKind], style: Style, stream: IntegerStream) -> bool:
    if present & remark.excluded_by or (remark.needs and not present & remark.needs):
        return False
    return stream.chance(remark.percent[style], 100)


def _absent(present: frozenset[FindingKind], style: Style, stream: IntegerStream) -> list[str]:
    names = [ABSENT_NAMES[kind] for kind in ABSENT_ORDER if kind not in present]
    if not names or not stream.chance(ABSENT_PERCENT[style], 100):
        return []
    listed = names[0]
    if len(names) > 1:
        listed = f"{', '.join(names[:-1])}{',' if len(names) > 2 else ''} or {names[-1]}"
    return [stream.weighted(ABSENT).format(absent=listed)]


def _capitalized(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]

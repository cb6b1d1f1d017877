"""The sections of a report that is one text, found by their headings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_HEADINGS: Final = {
    "findings": (
        "FINDINGS?|FINDINGS? ?(?:/|AND|&) ?IMPRESSIONS?|RADIOGRAPHIC FINDINGS|HALLAZGOS?|DESCRIPCI[OÓ]N|"
        "ACHADOS|R[EÉ]SULTATS?|BEFUND|检查所见|影像所见|影像学表现|放射学表现|所见"
    ),
    "impression": (
        "IMPRESSIONS?|CONCLUSIONS?|OPINION|IMPRESI[OÓ]N(?: DIAGN[OÓ]STICA)?|CONCLUSI[OÓ]N(?:ES)?|"
        "IMPRESS[AÃ]O|CONCLUS[AÃ]O|BEURTEILUNG|诊断意见|诊断印象|影像诊断|放射学诊断|印象|诊断"
    ),
    "indication": (
        "INDICATIONS?|(?:CLINICAL )?HISTORY|CLINICAL (?:INFORMATION|INDICATION|DATA)|"
        "REASON FOR (?:EXAM(?:INATION)?|STUDY|THIS EXAM(?:INATION)?)|INDICACI[OÓ]N(?:ES)?|MOTIVO|"
        "INFORMACI[OÓ]N CL[IÍ]NICA|INDICA[CÇ][AÃ]O|KLINISCHE ANGABEN|FRAGESTELLUNG|"
        "临床资料|临床信息|病史|主诉"
    ),
    "comparison": "COMPARISONS?|COMPARACI[OÓ]N|COMPARA[CÇ][AÃ]O|VERGLEICH|对比",
    # What follows these belongs to no section that is kept.
    "": (
        r"EXAM(?:INATION)?|TECHNIQUE|PROCEDURE(?: COMMENTS)?|RECOMMENDATION(?:S|\(S\))?|NOTIFICATION|"
        "ADDENDUM|WET READ|"
        "(?:FINAL |PRELIMINARY )?REPORT|DOSE|CONTRAST|END OF IMPRESSION|SUMMARY|ACCESSION NUMBER|T[EÉ]CNICA|"
        "TECHNIK|检查方法|检查部位|建议|报告医师|审核医师"
    ),
}
SECTIONS: Final = ("findings", "impression", "indication", "comparison")

_NAMED: Final = "|".join(f"(?P<{name or 'other'}>{headings})" for name, headings in _HEADINGS.items())
# At the start of a line in any case; inside a line in capitals, or with one where a sentence has ended, for
# "normal findings: none" is a sentence. Stars are those of Markdown.
_AT_LINE_START = re.compile(rf"^[ \t*#]*(?:{_NAMED})[ \t*]*[:：][ \t*]*", re.MULTILINE | re.IGNORECASE)
_ALONE = re.compile(rf"^[ \t*#]*(?:{_NAMED})[ \t*]*$", re.MULTILINE)
_INSIDE_LINE = re.compile(rf"(?<=\s)\*{{0,2}}(?:{_NAMED})[ \t*]*[:：][ \t*]*")
_AFTER_A_SENTENCE = re.compile(
    r"(?:(?<=[.。;；!?！？])|(?<=[.!?;]\s)|(?<=[.!?;]\s\s))\*{0,2}(?=[A-ZÁÉÍÓÚ\u4e00-\u9fff])"
    rf"(?i:{_NAMED})[ \t*]*[:：][ \t*]*"
)
# Any heading in capitals: what follows one is no more of what was known, or asked, before the film.
_UNLISTED = re.compile(r"^[ \t*#]*[A-Z](?:[A-Z0-9 ,&/()_-]|[AP]\.M\.|:(?=\d)){3,}:[ \t*]*", re.MULTILINE)
# "PA AND LATERAL VIEWS OF THE CHEST:" stands where FINDINGS stands in reports without that heading.
_NAMES_THE_FILM = re.compile(r"\b(?:VIEWS?|CHEST|RADIOGRAPHS?|FILMS?|X-?RAYS?|CXR)\b")
_BEFORE_THE_FILM: Final = frozenset({"indication", "comparison", "other", ""})


@dataclass(frozen=True)
class _Heading:
    """A heading at [start, end) of a report, and the section that it begins."""

    name: str
    start: int
    end: int


def sections(text: str) -> dict[str, str]:
    """FINDINGS, IMPRESSION, INDICATION and COMPARISON of a report, by the names of `SECTIONS`.

    A heading is one of a list, in English, Spanish, Portuguese, German or Chinese, with a colon: at the
    start of a line in any case, inside a line in capitals, or with a capital after the end of a sentence; or
    in capitals alone on its line, without one. Headings that aren't listed ("HEART:") stay where they are,
    as a part of the section; but one in capitals at the start of a line ends INDICATION and COMPARISON, and
    in a report without FINDINGS one that names the film ("PA AND LATERAL VIEWS OF THE CHEST:") begins them. A
    section that stands twice is joined. The result lacks what the text hasn't got.
    """
    headings = _with_unlisted(text, _listed(text))
    kept: dict[str, list[str]] = {}
    ends = [*(heading.start for heading in headings), len(text)][1:]
    for heading, end in zip(headings, ends, strict=True):
        content = text[heading.end : end].strip()
        if heading.name in SECTIONS and content:
            kept.setdefault(heading.name, []).append(content)
    return {name: "\n\n".join(parts) for name, parts in kept.items()}


def _listed(text: str) -> list[_Heading]:
    """The headings of the list, in their order in the text."""
    found: dict[int, re.Match[str]] = {}
    for pattern in (_AFTER_A_SENTENCE, _INSIDE_LINE, _ALONE, _AT_LINE_START):
        found |= {match.start(): match for match in pattern.finditer(text)}
    headings: list[_Heading] = []
    for start in sorted(found):
        if not headings or start >= headings[-1].end:  # else a part of the one before
            headings.append(_Heading(str(found[start].lastgroup), start, found[start].end()))
    return headings


def _with_unlisted(text: str, listed: list[_Heading]) -> list[_Heading]:
    """The listed headings and those others that begin FINDINGS or end what was told before the film."""
    has_findings = any(heading.name == "findings" for heading in listed)
    taken = {heading.start for heading in listed}
    others = [
        _Heading(
            "findings" if not has_findings and _NAMES_THE_FILM.search(match[0]) else "other",
            match.start(),
            match.end(),
        )
        for match in _UNLISTED.finditer(text)
        if match.start() not in taken
    ]
    headings: list[_Heading] = []
    for heading in sorted([*listed, *others], key=lambda each: each.start):
        section = headings[-1].name if headings else ""
        if heading.start in taken or (
            section in _BEFORE_THE_FILM
            and (headings or heading.name == "findings")
            and (not headings or heading.start >= headings[-1].end)
        ):
            headings.append(heading)
    return headings

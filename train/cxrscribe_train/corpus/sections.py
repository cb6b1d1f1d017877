"""The sections of a report that is one text, found by their headings."""

from __future__ import annotations

import re
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
# At the start of a line in any case; inside a line in capitals only, for "normal findings: none" is a
# sentence.
_AT_LINE_START = re.compile(rf"^[ \t*#]*(?:{_NAMED})[ \t*]*[:：]", re.MULTILINE | re.IGNORECASE)
_ALONE = re.compile(rf"^[ \t]*(?:{_NAMED})[ \t]*$", re.MULTILINE)
_INSIDE_LINE = re.compile(rf"(?<=\s)(?:{_NAMED})[ \t]*[:：]")


def sections(text: str) -> dict[str, str]:
    """FINDINGS, IMPRESSION, INDICATION and COMPARISON of a report, by the names of `SECTIONS`.

    A heading is one of a list, in English, Spanish, Portuguese, German or Chinese, with a colon: at the
    start of a line in any case, inside a line in capitals; or in capitals alone on its line, without one.
    Headings that aren't listed ("HEART:") stay where they are, as a part of the section. A section that
    stands twice is joined. The result lacks what the text hasn't got.
    """
    found = {match.start(): match for match in _INSIDE_LINE.finditer(text)}
    found |= {match.start(): match for match in _ALONE.finditer(text)}
    found |= {match.start(): match for match in _AT_LINE_START.finditer(text)}
    matches: list[re.Match[str]] = []
    for start in sorted(found):
        if not matches or start >= matches[-1].end():  # else a part of the one before
            matches.append(found[start])
    kept: dict[str, list[str]] = {}
    for number, match in enumerate(matches):
        end = matches[number + 1].start() if number + 1 < len(matches) else len(text)
        name = str(match.lastgroup)
        content = text[match.end() : end].strip()
        if name in SECTIONS and content:
            kept.setdefault(name, []).append(content)
    return {name: "\n\n".join(parts) for name, parts in kept.items()}

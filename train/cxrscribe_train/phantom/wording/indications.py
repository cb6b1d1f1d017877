"""Why a phantom's film was taken: the patient's text, which says something of what was drawn.

Real indications do: dyspnea and swollen legs go with an effusion, and who writes them at length often gets a
long report. So a model that reads this text can be seen to use it, in what it finds and in how it words it.
The text never names a finding, nor a side or place: without the film it can only raise or lower an
expectation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cxrscribe_train.findings import Finding, FindingKind
from cxrscribe_train.phantom.stream import IntegerStream, Weighted
from cxrscribe_train.phantom.wording.normals import Style

INFORMED_PERCENT: Final = 75
"""How often the text fits one of the findings, where there are some."""

COMPLAINTS: Final[dict[FindingKind, Weighted[str]]] = {
    FindingKind.CARDIOMEGALY: ((5, "heart failure"), (3, "high blood pressure and swollen legs")),
    FindingKind.PLEURAL_EFFUSION: ((5, "shortness of breath when lying down"), (3, "dull breath sounds")),
    FindingKind.PNEUMOTHORAX: ((5, "sudden chest pain"), (3, "stab wound of the chest")),
    FindingKind.CONSOLIDATION: ((5, "fever and productive cough for XXXX days"), (3, "fever and chills")),
    FindingKind.NODULE: ((5, "follow up of a spot on an earlier film"), (3, "history of XXXX cancer")),
    FindingKind.MASS: ((5, "weight loss and bloody sputum"), (3, "hoarseness in a smoker")),
    FindingKind.ATELECTASIS: ((5, "low oxygen after abdominal surgery"), (3, "bed rest after XXXX")),
    FindingKind.INTERSTITIAL_MARKINGS: ((5, "dry cough for years"), (3, "work with stone dust")),
    FindingKind.EMPHYSEMA: ((5, "wheezing in a smoker"), (3, "long smoking history, dyspnea on exertion")),
    FindingKind.GRANULOMA: ((5, "positive skin test"), (3, "treated for tuberculosis in XXXX")),
    FindingKind.ELEVATED_HEMIDIAPHRAGM: (
        (5, "hiccups for XXXX weeks"),
        (3, "weak breathing after neck surgery"),
    ),
    FindingKind.HIATAL_HERNIA: ((5, "heartburn"), (3, "regurgitation of food")),
    FindingKind.SCOLIOSIS: ((5, "back pain"), (3, "uneven shoulders")),
    FindingKind.PACEMAKER: ((5, "slow heart rate, device check"), (3, "fainting, heart block")),
    FindingKind.STERNOTOMY_WIRES: ((5, "bypass surgery in XXXX"), (3, "valve replacement in XXXX")),
    FindingKind.CENTRAL_LINE: ((5, "line placement"), (3, "chemotherapy access")),
}
"""What brings patients with a finding, in words that don't name it."""

GENERAL: Final[Weighted[str]] = (
    (4, "cough"),
    (3, "shortness of breath"),
    (3, "chest pain"),
    (3, "preoperative examination"),
    (2, "medical clearance for XXXX"),
    (2, "fall from a ladder, pain of the XXXX side"),
    (1, "headache and XXXX"),
)
"""What brings anybody."""

FORMS: Final[dict[Style, Weighted[str]]] = {
    Style.SHORT: ((8, "{complaint}"), (2, "r/o disease, {complaint}")),
    Style.FULL: ((6, "XXXX-year-old with {complaint}."), (4, "{complaint}.")),
    Style.LONG: (
        (6, "The patient is XXXX years old and presents with {complaint}. Please evaluate."),
        (4, "XXXX-year-old patient, referred for {complaint}; comparison with earlier films is requested."),
    ),
}
"""How it is told, by the style of the report that answers."""


def write_indication(findings: Sequence[Finding], style: Style, stream: IntegerStream) -> str:
    """A reason for the film of `findings`, told in the style of its report."""
    told = bool(findings) and stream.chance(INFORMED_PERCENT, 100)
    complaint = stream.weighted(COMPLAINTS[stream.choice(findings).kind] if told else GENERAL)
    text = stream.weighted(FORMS[style]).format(complaint=complaint)
    return text[0].upper() + text[1:]

"""What phantom reports say of the parts that show nothing, in the order of the report.

Each remark knows which findings would make it untrue. A remark is a slot that most reports fill, or an aside
that few reports make: the asides are what gives the language its long tail of rare words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cxrscribe_train.findings import FindingKind
from cxrscribe_train.phantom.wording.phrases import Sentences

_LUNG_FINDINGS = frozenset(
    {
        FindingKind.EMPHYSEMA,
        FindingKind.INTERSTITIAL_MARKINGS,
        FindingKind.CONSOLIDATION,
        FindingKind.MASS,
        FindingKind.NODULE,
        FindingKind.GRANULOMA,
        FindingKind.ATELECTASIS,
    }
)
_DEVICES = frozenset({FindingKind.CENTRAL_LINE, FindingKind.PACEMAKER})


class Station(IntEnum):
    """Where the eye rests, in the order in which a report goes through a film."""

    TECHNIQUE = 0
    DEVICES = 1
    HEART = 2
    MEDIASTINUM = 3
    VOLUMES = 4
    LUNGS = 5
    PLEURA = 6
    DIAPHRAGM = 7
    BONES = 8
    CLOSING = 9


STATION_OF = {
    FindingKind.CENTRAL_LINE: Station.DEVICES,
    FindingKind.PACEMAKER: Station.DEVICES,
    FindingKind.STERNOTOMY_WIRES: Station.DEVICES,
    FindingKind.CARDIOMEGALY: Station.HEART,
    FindingKind.HIATAL_HERNIA: Station.MEDIASTINUM,
    FindingKind.EMPHYSEMA: Station.VOLUMES,
    FindingKind.INTERSTITIAL_MARKINGS: Station.LUNGS,
    FindingKind.CONSOLIDATION: Station.LUNGS,
    FindingKind.MASS: Station.LUNGS,
    FindingKind.NODULE: Station.LUNGS,
    FindingKind.GRANULOMA: Station.LUNGS,
    FindingKind.ATELECTASIS: Station.LUNGS,
    FindingKind.PLEURAL_EFFUSION: Station.PLEURA,
    FindingKind.PNEUMOTHORAX: Station.PLEURA,
    FindingKind.ELEVATED_HEMIDIAPHRAGM: Station.DIAPHRAGM,
    FindingKind.SCOLIOSIS: Station.BONES,
}
"""Station and order of the positive statements."""


class Style(IntEnum):
    """How much a report says; the number indexes a remark's percentages."""

    SHORT = 0
    FULL = 1
    LONG = 2


STYLES = ((14, Style.SHORT), (79, Style.FULL), (7, Style.LONG))


@dataclass(frozen=True)
class Remark:
    """A normal statement: where it stands, how often (in percent, by style), and what excludes it.

    With `needs`, the remark is made only where one of these findings is present.
    """

    station: Station
    percent: tuple[int, int, int]
    excluded_by: frozenset[FindingKind]
    sentences: Sentences
    needs: frozenset[FindingKind] = frozenset()


NOTHING: frozenset[FindingKind] = frozenset()
K = FindingKind

REMARKS: tuple[Remark, ...] = (
    Remark(
        Station.TECHNIQUE,
        (2, 3, 30),
        NOTHING,
        (
            (6, "frontal view of the chest."),
            (2, "a single frontal radiograph was obtained."),
            (1, "upright projection with adequate penetration and slight patient rotation."),
            (1, "portable film, XXXX technique."),
        ),
    ),
    Remark(
        Station.DEVICES,
        (0, 5, 25),
        _DEVICES,
        (
            (6, "no support devices are seen."),
            (2, "no lines or tubes are present."),
            (1, "no indwelling hardware or monitoring equipment overlies the thorax."),
        ),
    ),
    Remark(
        Station.HEART,
        (82, 94, 100),
        frozenset({K.CARDIOMEGALY}),
        (
            (62, "the heart is normal in size."),
            (18, "heart size is normal."),
            (14, "the cardiac silhouette is normal in size."),
            (3, "cardiac diameter lies within the usual range."),
            (3, "there is no cardiomegaly."),
        ),
    ),
    Remark(
        Station.MEDIASTINUM,
        (4, 28, 100),
        frozenset({K.HIATAL_HERNIA}),
        (
            (62, "the mediastinum is normal."),
            (18, "mediastinal contours are normal."),
            (12, "the mediastinal and hilar contours are unremarkable."),
            (4, "central structures keep an ordinary outline without widening."),
            (4, "hila show usual caliber and shape."),
        ),
    ),
    Remark(
        Station.MEDIASTINUM,
        (0, 4, 40),
        frozenset({K.INTERSTITIAL_MARKINGS}),
        (
            (6, "pulmonary vascularity is normal."),
            (2, "vessels taper regularly toward the periphery."),
            (1, "no vascular congestion or cephalization."),
        ),
    ),
    Remark(
        Station.MEDIASTINUM,
        (0, 2, 30),
        frozenset({K.SCOLIOSIS, K.MASS}),
        (
            (6, "the trachea is midline."),
            (1, "tracheal air column and carina keep their central location."),
        ),
    ),
    Remark(
        Station.MEDIASTINUM,
        (0, 2, 20),
        frozenset({K.HIATAL_HERNIA}),
        (
            (6, "no hiatal hernia is seen."),
            (1, "no herniation of stomach through the esophageal opening."),
        ),
    ),
    Remark(
        Station.VOLUMES,
        (0, 8, 50),
        frozenset({K.EMPHYSEMA, K.PNEUMOTHORAX, K.ELEVATED_HEMIDIAPHRAGM, K.PLEURAL_EFFUSION}),
        (
            (8, "the lungs are well expanded."),
            (1, "lung volumes are adequate."),
            (1, "inspiratory effort is good, and there is no evidence of emphysema."),
        ),
    ),
    Remark(
        Station.LUNGS,
        (84, 86, 98),
        _LUNG_FINDINGS,
        (
            (70, "the lungs are clear."),
            (18, "both lungs are clear."),
            (6, "lungs appear clear bilaterally."),
            (3, "no interstitial or airspace abnormality is identified."),
            (3, "pulmonary parenchyma looks healthy throughout."),
        ),
    ),
    Remark(
        Station.LUNGS,
        (4, 10, 60),
        NOTHING,
        (
            (70, "the lungs are otherwise clear."),
            (15, "otherwise, the lungs are clear."),
            (10, "the remaining lung is clear."),
            (5, "elsewhere aeration is preserved."),
        ),
        needs=_LUNG_FINDINGS,
    ),
    Remark(
        Station.LUNGS,
        (0, 7, 50),
        frozenset({K.NODULE, K.MASS, K.GRANULOMA}),
        (
            (6, "no nodule or mass is seen."),
            (2, "no suspicious pulmonary nodules or masses."),
            (1, "there is no cavitation, calcified granuloma, or worrisome nodule."),
        ),
    ),
    Remark(
        Station.DIAPHRAGM,
        (0, 6, 35),
        frozenset({K.ELEVATED_HEMIDIAPHRAGM, K.PLEURAL_EFFUSION, K.EMPHYSEMA}),
        (
            (6, "the diaphragm is normal in position."),
            (2, "both hemidiaphragms are smooth, neither is elevated."),
            (1, "costophrenic sulci remain sharp."),
        ),
    ),
    Remark(
        Station.BONES,
        (5, 28, 80),
        frozenset({K.SCOLIOSIS}),
        (
            (62, "the bones are intact."),
            (18, "osseous structures are intact."),
            (12, "there is no acute bony abnormality."),
            (4, "skeleton demonstrates age appropriate mineralization and no fracture."),
            (4, "the thoracic spine is straight, without scoliosis."),
        ),
    ),
    Remark(
        Station.BONES,
        (0, 14, 60),
        NOTHING,
        (
            (6, "there is no acute bony abnormality."),
            (1, "no displaced rib fracture is apparent."),
        ),
        needs=frozenset({K.SCOLIOSIS}),
    ),
    Remark(
        Station.CLOSING,
        (0, 5, 60),
        NOTHING,
        (
            (9, "the soft tissues are unremarkable."),
            (3, "no free air is seen under the diaphragm."),
            (1, "visualized upper abdomen contains an ordinary bowel gas pattern."),
            (1, "clavicles, scapulae and both shoulders align anatomically."),
            (1, "nipple shadows and skin folds project over the lower thorax."),
            (1, "clinical correlation is recommended if symptoms persist."),
            (1, "findings have not changed since XXXX."),
            (1, "compared with XXXX, little difference can be appreciated."),
            (1, "vertebral body heights and disc spaces hold up well."),
            (1, "azygos fissure, cervical rib, and other developmental variants are not observed."),
            (1, "overlying clothing, jewelry or electrodes do not interfere with interpretation."),
            (1, "breast and axillary regions appear symmetric."),
            (1, "subcutaneous gas or radiopaque foreign bodies are lacking."),
            (1, "image quality permits confident evaluation of retrosternal margins."),
            (1, "stomach bubble sits where it should."),
            (1, "attention at the next routine visit is sufficient."),
        ),
    ),
)

ABSENT_ORDER = (FindingKind.CONSOLIDATION, FindingKind.PLEURAL_EFFUSION, FindingKind.PNEUMOTHORAX)
ABSENT_NAMES = {
    FindingKind.CONSOLIDATION: "focal consolidation",
    FindingKind.PLEURAL_EFFUSION: "pleural effusion",
    FindingKind.PNEUMOTHORAX: "pneumothorax",
}
ABSENT_PERCENT = (55, 84, 99)
ABSENT: Sentences = (
    (66, "there is no {absent}."),
    (22, "no {absent}."),
    (8, "no {absent} is identified."),
    (4, "there is no evidence of {absent}."),
)
"""The list of what is absent, which closes the lungs and the pleura."""

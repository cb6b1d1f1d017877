"""What the labeller looks for: a table of phrases for each kind of finding, in the notation of `phrase`.

A phrase with `{is}` is a statement with its own verb: a negation that stands before it doesn't reach it
("no effusion the heart is enlarged"), and a negated verb doesn't match it ("the heart is not enlarged").
Phrases are tried kind by kind in the order of the table; a word that one phrase has taken is not free for
the next, so "calcified nodule" is a granuloma and no nodule, and "interstitial infiltrate" no consolidation.
"""

from __future__ import annotations

from typing import Final

from cxrscribe_train.findings import FindingKind

WORDS: Final[dict[str, str]] = {
    "opacity": "opacity|opacities|opacification|density|densities|shadow|shadows|shadowing",
    "lesion": "lesions?|focus|foci|opacity|opacities|density|densities",
    "heart": (
        "(heart|cardiac|cardiomediastinal|cardiopericardial|cardiac and mediastinal)"
        "( (silhouettes?|shadow|size|contours?|and mediastinum|mediastinal contours?|outline|diameter))*"
    ),
    "diaphragm": "hemidiaphragms?|hemi diaphragms?|diaphragms?",
    "angle": "xxxx|angles?|sulcus|sulci|recess|recesses",
    "sinus": "(costophrenic|lateral|posterior) <angle>",
    "spine": "spine|spinal column|thoracic|thoracolumbar|lumbar",
    "streak": "linear|curvilinear|streaky|band ?like|plate ?like|discoid|subsegmental|strand ?like",
    "interstitium": "interstitium|(interstitial|reticular|lung) (markings?|patterns?|structures)",
    "more": (
        "increased|prominent|coarse|coarsened|accentuated|thickened|reticular|chronic|irregular|diffuse"
    ),
    "change": "changes?|process|disease|lung disease|abnormality|abnormalities|infiltrates?",
    "dense": "focal|patchy|hazy|dense|confluent|ill defined|lobar|fluffy|parenchymal|pneumonic",
    "region": (
        "lobes?|lobar|lungs?|zones?|basilar|basal|bases?|bibasilar|perihilar|retrocardiac|midlung|apex|hemithorax|"
        "rul|rml|rll|lul|lll"
    ),
    "vein": (
        "central|jugular|subclavian|ij|svc|dialysis|hemodialysis|venous|tunneled|tunnelled|vascular|"
        "intravenous|infusion|swan ganz|pulmonary artery|dual lumen|triple lumen"
    ),
}
"""Named alternatives of the phrases."""

IGNORED: Final[tuple[str, ...]] = (
    "(subcutaneous|mediastinal|soft tissue) emphysema",
    "pericardial effusions?",
    "pericardial fat [pads?]",
    "mass effect",
    "(thyroid|breast|abdominal|soft tissue|body) (mass|masses|nodules?)",
    "retrosternal (airspace|air space)",
    "nipple shadows?",
    "(monitor|monitoring|ekg|ecg|external) (leads?|wires?|lines?)",
    "(pleural|fissure|suture|fissural|joint) lines?",
    "(enteric|feeding|intrathecal|ureteral|drainage|pigtail|foley|epidural|shunt|suction) catheters?",
    "catheter tubing",
    "(bronchovascular|vascular) markings",
    "normal [appearing] (interstitial|interstitium|lung|pulmonary|reticular) [markings?|patterns?]",
    "(under|below|beneath) [the] [right|left] <diaphragm>",
)
"""Phrases that hold a word of a finding and mean something else; taken out before anything is looked for."""

SHARING: Final[frozenset[FindingKind]] = frozenset({FindingKind.PLEURAL_EFFUSION, FindingKind.PNEUMOTHORAX})
"""Kinds that may take words already taken: a hydropneumothorax is both."""

TERMS: Final[dict[FindingKind, tuple[str, ...]]] = {
    FindingKind.GRANULOMA: (
        "granuloma(s|ta)?",
        "granulomatous (<change>|infection|calcifications?|residua|exposure|nodules?)",
        "(calcified|calcific) ..3 (nodules?|nodular <lesion>|lesions?|focus|foci)",
        "calcific density nodules?",
        "nodules? {is} [densely|partially|completely] calcified",
    ),
    FindingKind.NODULE: (
        "(micro)?nodules?",
        "nodular (<lesion>|shadows?|infiltrates?)",
        "coin lesions?",
        "nodularity",
    ),
    FindingKind.MASS: (
        "mass(es)?",
        "mass ?like (<opacity>|consolidations?|lesions?)",
        "neoplasms?",
        "tumou?rs?",
    ),
    FindingKind.ATELECTASIS: (
        "atelecta(sis|ses|tic)",
        "<streak> ..3 <opacity>",
        "<streak> (bands?|collapse)",
        "<opacity> {is} <streak>",
        "(partial|lobar|segmental|lobe) [lung] collapse",
        "volume loss",
        "loss of [lung] volume",
    ),
    FindingKind.INTERSTITIAL_MARKINGS: (
        "<interstitium> {is} <more>",
        "<interstitium> {degree} <more>",
        "<more> ..3 (<interstitium>|interstitial)",
        "<more> ..3 (pulmonary|interstitial) (markings?|pattern|prominence|thickening)",
        "(prominence|coarsening|thickening|accentuation|increase) (of|in) [the] ..3 <interstitium>",
        "interstitial [and alveolar|and airspace] (<opacity>|<change>)",
        "interstitial [pulmonary] (edema|fibrosis|pneumonitis|thickening|prominence|coarsening|lines)",
        "interstitial (markings?|patterns?)",
        "reticul(ar|onodular|ation)",
        "[pulmonary|lung] (fibrosis|fibrotic)",
        "septal (thickening|lines)",
        "(kerley|xxxx) b lines?",
    ),
    FindingKind.CONSOLIDATION: (
        "consolidat(ions?|ive|ed)",
        "(airspace|air space|alveolar) ..1 (<opacity>|<change>|filling)",
        "infiltrat(es?|ions?|ive)",
        "(broncho)?pneumonias?",
        "pna",
        "<dense> ..3 (<opacity>|infiltrates?)",
        "<region> ..1 opaci(ty|ties|fication)",
        "opaci(ty|ties|fication) (in|within|of|at|overlying|over|projecting over) [the] ..3 <region>",
        "air bronchograms?",
    ),
    FindingKind.CARDIOMEGALY: (
        "cardiomegaly",
        "<heart> (enlargement|enlarged)",
        "<heart> {degree} enlarged",
        "(enlarged|prominent|large|globular) ..2 <heart>",
        "(enlargement|increase in [the] size) of [the] ..3 <heart>",
        "<heart> {is} [size] (enlarged|increased|prominent|globular|large|big)",
        "<heart> (and|or) \\w+ {is} (enlarged|increased|prominent)",
        "heart {is} borderline",
        "borderline (heart|cardiac) size",
        "(increased|elevated) cardiothoracic ratio",
        "cardiothoracic ratio {is} (increased|elevated)",
    ),
    FindingKind.PLEURAL_EFFUSION: (
        "[pleural|parapneumonic|subpulmonic] effusions?",
        "pleural fluid",
        "fluid in [the] ..2 pleural (spaces?|cavity|cavities)",
        "h(ydr|em)o(pneumo)?thora(x|ces)",
        "blunting [of|at] [the] ..3 <sinus>",
        "blunted ..3 (costophrenic|sulcus|sulci)",
        "(costophrenic|sulcus) [xxxx|angle|sulcus] blunting",
        "(<sinus>|costophrenic [<angle>]) {is} (blunted|obscured|obliterated)",
    ),
    FindingKind.PNEUMOTHORAX: (
        "(hydro|hemo)?pneumothora(x|ces|xes)",
        "ptx",
        "pleural air [collection]",
    ),
    FindingKind.EMPHYSEMA: (
        "emphysema(tous)?",
        "hyper ?(inflat|expan|aerat|disten)(ed|ion|sion|ded|ated|nded)",
        "hyper ?lucen(t|cy)",
        "overinflat(ed|ion)",
        "copd",
        "[chronic] obstructive [lung|airway|pulmonary] disease",
        "(flattening|depression) [of|in] [the] ..3 <diaphragm>",
        "flattened ..3 <diaphragm>",
        "<diaphragm> {is} (flattened|flat|depressed)",
        "diaphragm(atic)? flattening",
        "(bullous|bullae|blebs?)",
    ),
    FindingKind.ELEVATED_HEMIDIAPHRAGM: (
        "(elevation|eventration) [of|in] [the] ..3 <diaphragm>",
        "(elevated|raised|high) ..2 <diaphragm>",
        "<diaphragm> {degree} (elevated|raised)",
        "<diaphragm> [dome] {is} (elevated|raised|high|higher)",
        "(<diaphragm>|diaphragmatic) (elevation|eventration)",
        "eventration",
    ),
    FindingKind.HIATAL_HERNIA: (
        "hiat(al|us) hernias?",
        "(paraesophageal|sliding) hernias?",
        "intrathoracic stomach",
        "(herniation of [the] stomach|herniated stomach)",
    ),
    FindingKind.SCOLIOSIS: (
        "(dextro|levo|roto|kypho)? ?scolio(sis|tic)",
        "(dextro|levo) ?(curvature|convex)",
        "(leftward|rightward|lateral|s shaped|spinal|<spine>) ..1 curvature",
        "curvature (of|in|involving|to) [the] ..3 <spine>",
        "<spine> {is} curved",
    ),
    FindingKind.PACEMAKER: (
        "pace ?makers?",
        "pacers?",
        "pacing (leads?|wires?|devices?|system)",
        "(a ?)?icd",
        "defibrillators?",
        "(cardiac|pulse|xxxx) [xxxx] (generator|conduction device)",
        "[implantable|implanted] cardiac ..1 devices?",
    ),
    FindingKind.STERNOTOMY_WIRES: (
        "sternotom(y|ies)",
        "sternal (wires?|sutures?|cerclage)",
        "cerclage wires?",
    ),
    FindingKind.CENTRAL_LINE: (
        "<vein> ..3 (catheters?|lines?|port|access device)",
        "picc",
        "(porta?|medi|infusa) ?[a] ?(cath|port|caths|ports)(eter)?",
        "(chest|chest wall|infusion|venous|subclavian|jugular) ports?",
        "chest xxxx [with|whose] ..2 tip",
        "xxxx a xxxx(?= (is|are|remains?|has|terminat(es|ing)|ends|tip|with))",
        "cvc",
        "catheters?",
    ),
}
"""Phrases of each kind; every kind of the catalogue has its row."""

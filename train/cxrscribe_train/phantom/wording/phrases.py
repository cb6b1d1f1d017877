"""The sentences that phantom reports are made of, written for this project.

Each table gives alternatives with weights. One alternative is always by far the most common: a language model
that has seen a finding can then state it in one likely sentence, instead of spreading its belief over many.
Where it can be, a normal statement opens with the same words as the positive one in its place.

Placeholders: {side} left or right; {place} a part of a lung ("left lower lobe"); {places} the same of both
lungs; {degree} mild, moderate, severe; {degree_ly} mildly ...; {size} small, moderate, large; {extent}
patchy, moderate, dense; {absent} a list of what is not there. Sentences are capitalized when filled in.
"""

from __future__ import annotations

from cxrscribe_train.findings import FindingKind, Severity, Side, Zone
from cxrscribe_train.phantom.stream import Weighted

Sentences = Weighted[str]

DEGREES = {Severity.MILD: "mild", Severity.MODERATE: "moderate", Severity.SEVERE: "severe"}
ADVERBS = {Severity.MILD: "mildly", Severity.MODERATE: "moderately", Severity.SEVERE: "severely"}
SIZES = {Severity.MILD: "small", Severity.MODERATE: "moderate", Severity.SEVERE: "large"}
EXTENTS = {Severity.MILD: "patchy", Severity.MODERATE: "moderate", Severity.SEVERE: "dense"}

PLACES: dict[tuple[Side, Zone], Sentences] = {
    (Side.RIGHT, Zone.UPPER): ((8, "right upper lobe"), (2, "right upper lung zone")),
    (Side.RIGHT, Zone.MID): ((8, "right middle lobe"), (2, "right mid lung zone")),
    (Side.RIGHT, Zone.LOWER): ((8, "right lower lobe"), (2, "right lung base")),
    (Side.LEFT, Zone.UPPER): ((8, "left upper lobe"), (2, "left upper lung zone")),
    (Side.LEFT, Zone.MID): ((8, "left mid lung"), (2, "lingula")),
    (Side.LEFT, Zone.LOWER): ((8, "left lower lobe"), (2, "left lung base")),
    (Side.BILATERAL, Zone.UPPER): ((8, "both upper lobes"), (2, "both upper lung zones")),
    (Side.BILATERAL, Zone.MID): ((8, "both mid lungs"), (2, "both mid lung zones")),
    (Side.BILATERAL, Zone.LOWER): ((8, "both lung bases"), (2, "both lower lobes")),
}

POSITIVE: dict[FindingKind, Sentences] = {
    FindingKind.CENTRAL_LINE: (
        (62, "there is a {side} central venous catheter."),
        (20, "a {side} central venous catheter ends in the superior vena cava."),
        (14, "a {side} central line has its tip near the cavoatrial junction."),
        (4, "indwelling {side} central venous catheter, tip well positioned."),
    ),
    FindingKind.PACEMAKER: (
        (62, "there is a {side} chest pacemaker."),
        (20, "a {side} pacemaker has its leads over the heart."),
        (14, "a {side} subclavian pacemaker is in place with intact leads."),
        (4, "pacemaker generator overlies the {side} chest; lead wires show no break."),
    ),
    FindingKind.STERNOTOMY_WIRES: (
        (62, "sternotomy wires are present."),
        (20, "median sternotomy wires are intact."),
        (14, "intact sternal wires follow earlier median sternotomy."),
        (4, "postsurgical change of sternotomy with aligned wire sutures."),
    ),
    FindingKind.CARDIOMEGALY: (
        (62, "the heart is {degree_ly} enlarged."),
        (18, "heart size is {degree_ly} enlarged."),
        (14, "the cardiac silhouette is {degree_ly} enlarged."),
        (6, "there is {degree} cardiomegaly."),
    ),
    FindingKind.HIATAL_HERNIA: (
        (62, "there is a {size} hiatal hernia."),
        (20, "a {size} hiatal hernia lies behind the heart."),
        (14, "a {size} hiatal hernia with an air fluid level overlies the heart."),
        (4, "retrocardiac air and soft tissue represent a {size} hiatal hernia."),
    ),
    FindingKind.EMPHYSEMA: (
        (62, "the lungs are hyperexpanded with {degree} emphysema."),
        (20, "there is {degree} emphysema with flattening of both diaphragms."),
        (14, "the lungs show {degree} emphysematous change."),
        (4, "overinflated lucent lungs reflect {degree} emphysema."),
    ),
    FindingKind.INTERSTITIAL_MARKINGS: (
        (62, "the interstitial markings are {degree_ly} increased."),
        (20, "there are {degree_ly} increased interstitial markings bilaterally."),
        (14, "the lungs show {degree_ly} prominent interstitial markings."),
        (4, "diffuse reticular interstitial opacities are of {degree} degree."),
    ),
    FindingKind.CONSOLIDATION: (
        (62, "there is {extent} consolidation in the {place}."),
        (20, "{extent} airspace consolidation is seen in the {place}."),
        (14, "there is {extent} airspace opacity in the {place}."),
        (4, "{extent} airspace disease fills part of the {place}, worrisome for pneumonia."),
    ),
    FindingKind.MASS: (
        (62, "there is a large mass in the {place}."),
        (20, "a large rounded mass is seen in the {place}."),
        (14, "a mass occupies the {place}."),
        (4, "bulky soft tissue mass of the {place}, suspicious for neoplasm."),
    ),
    FindingKind.NODULE: (
        (62, "there is a nodule in the {place}."),
        (20, "a noncalcified nodule is seen in the {place}."),
        (14, "a pulmonary nodule projects over the {place}."),
        (4, "solitary well circumscribed nodule of the {place}."),
    ),
    FindingKind.GRANULOMA: (
        (62, "there is a calcified granuloma in the {place}."),
        (20, "a calcified granuloma is seen in the {place}."),
        (14, "a small calcified granuloma projects over the {place}."),
        (4, "tiny dense granuloma of the {place}, a benign residue of old infection."),
    ),
    FindingKind.ATELECTASIS: (
        (62, "there is linear atelectasis in the {place}."),
        (20, "linear atelectasis is seen in the {place}."),
        (14, "bands of atelectasis cross the {place}."),
        (4, "streaky subsegmental atelectasis of the {place}."),
    ),
    FindingKind.PLEURAL_EFFUSION: (
        (62, "there is a {size} {side} pleural effusion."),
        (20, "a {size} {side} pleural effusion is present."),
        (14, "a {size} {side} pleural effusion blunts the costophrenic angle."),
        (4, "layering {side} pleural fluid forms a {size} effusion."),
    ),
    FindingKind.PNEUMOTHORAX: (
        (62, "there is a {size} {side} pneumothorax."),
        (20, "a {size} {side} pneumothorax is present."),
        (14, "a {size} {side} apical pneumothorax is seen."),
        (4, "visceral pleural line marks a {size} pneumothorax on the {side}."),
    ),
    FindingKind.ELEVATED_HEMIDIAPHRAGM: (
        (62, "the {side} hemidiaphragm is {degree_ly} elevated."),
        (20, "there is {degree} elevation of the {side} hemidiaphragm."),
        (14, "{degree} elevation of the {side} hemidiaphragm is seen."),
        (4, "eventration with a {degree_ly} elevated {side} hemidiaphragm."),
    ),
    FindingKind.SCOLIOSIS: (
        (62, "there is {degree} scoliosis convex to the {side}."),
        (20, "{degree} scoliosis of the thoracic spine is convex to the {side}."),
        (14, "the thoracic spine has a {degree} scoliosis with {side} convexity."),
        (4, "{degree} scoliosis with its apex toward the {side}."),
    ),
}

POSITIVE_BILATERAL: dict[FindingKind, Sentences] = {
    FindingKind.GRANULOMA: (
        (62, "there are calcified granulomas in {places}."),
        (20, "calcified granulomas are seen in {places}."),
        (14, "small calcified granulomas project over {places}."),
        (4, "scattered calcified granulomas of {places}."),
    ),
    FindingKind.ATELECTASIS: (
        (62, "there is linear atelectasis in {places}."),
        (20, "linear atelectasis is seen in {places}."),
        (14, "bands of atelectasis cross {places}."),
        (4, "streaky subsegmental atelectasis of {places}."),
    ),
    FindingKind.PLEURAL_EFFUSION: (
        (62, "there are {size} bilateral pleural effusions."),
        (20, "{size} bilateral pleural effusions are present."),
        (14, "{size} bilateral pleural effusions blunt the costophrenic angles."),
        (4, "layering pleural fluid forms {size} effusions on both sides."),
    ),
}

IMPRESSION: dict[FindingKind, str] = {
    FindingKind.CARDIOMEGALY: "{degree} cardiomegaly.",
    FindingKind.PLEURAL_EFFUSION: "{size} {side} pleural effusion.",
    FindingKind.PNEUMOTHORAX: "{size} {side} pneumothorax.",
    FindingKind.CONSOLIDATION: "{extent} {place} consolidation.",
    FindingKind.NODULE: "{place} nodule.",
    FindingKind.MASS: "{place} mass.",
    FindingKind.ATELECTASIS: "linear atelectasis, {place}.",
    FindingKind.INTERSTITIAL_MARKINGS: "{degree} increase of interstitial markings.",
    FindingKind.EMPHYSEMA: "{degree} emphysema.",
    FindingKind.GRANULOMA: "calcified granuloma, {place}.",
    FindingKind.ELEVATED_HEMIDIAPHRAGM: "{degree} elevation of the {side} hemidiaphragm.",
    FindingKind.HIATAL_HERNIA: "{size} hiatal hernia.",
    FindingKind.SCOLIOSIS: "{degree} thoracic scoliosis.",
    FindingKind.PACEMAKER: "{side} pacemaker.",
    FindingKind.STERNOTOMY_WIRES: "sternotomy wires.",
    FindingKind.CENTRAL_LINE: "{side} central venous catheter.",
}

NORMAL_IMPRESSION: Sentences = (
    (5, "no acute cardiopulmonary abnormality."),
    (3, "no acute disease of the chest."),
    (2, "normal chest film."),
)

COMPARISONS: Sentences = (
    (5, "None."),
    (3, "XXXX, XXXX."),
    (1, "Chest film of XXXX."),
    (1, "None available."),
)

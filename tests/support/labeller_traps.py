"""Sentences of our own with the traps of negation and uncertainty, and the findings that each one states.

The names are those of `FindingKind`, shortened; nothing before the bar means that nothing is stated.
"""

from __future__ import annotations

from typing import Final

from cxrscribe_train.findings import FindingKind

_SHORT: Final = {
    "heart": FindingKind.CARDIOMEGALY,
    "effusion": FindingKind.PLEURAL_EFFUSION,
    "ptx": FindingKind.PNEUMOTHORAX,
    "airspace": FindingKind.CONSOLIDATION,
    "nodule": FindingKind.NODULE,
    "mass": FindingKind.MASS,
    "atelectasis": FindingKind.ATELECTASIS,
    "markings": FindingKind.INTERSTITIAL_MARKINGS,
    "emphysema": FindingKind.EMPHYSEMA,
    "granuloma": FindingKind.GRANULOMA,
    "diaphragm": FindingKind.ELEVATED_HEMIDIAPHRAGM,
    "hernia": FindingKind.HIATAL_HERNIA,
    "scoliosis": FindingKind.SCOLIOSIS,
    "pacemaker": FindingKind.PACEMAKER,
    "wires": FindingKind.STERNOTOMY_WIRES,
    "line": FindingKind.CENTRAL_LINE,
}

_TRAPS: Final = """
# resolved, cleared, gone
| Resolved left pleural effusion.
| Resolved pneumothorax, lungs clear.
| Previously seen right effusion has resolved.
| The previously seen infiltrate is no longer present.
| The right pneumothorax resolved.
| Interval resolution of left lower lobe pneumonia.
| Complete resolution of the effusions.
airspace | Near complete clearing of the right basilar consolidation.
| The opacity in the left base has cleared.
| The left base consolidation cleared.
| There has been interval resolution of the previously noted effusion.
| Prior effusion is gone.
| The nodule seen previously is not visualized today.
| Interval clearing of the airspace disease.
| The pneumonia has completely resolved.
| The effusion seen on the prior study has since resolved.
| Resolving.
airspace | Resolving right lower lobe pneumonia.
effusion | Partially resolved left effusion.
effusion | The effusion has nearly resolved.
airspace | The consolidation has partially cleared.
effusion | The effusion has not completely resolved.
ptx | Unresolved right pneumothorax.
effusion | Decreased but persistent left effusion.
airspace | Improving consolidation.
effusion | Resolved pneumothorax, persistent small effusion.
# removed
| The PICC has been removed.
| Interval removal of the pacemaker.
| Removed central line.
| The right jugular catheter was removed.
| Status post removal of the port.
line | The left subclavian line is unchanged after removal of the chest tube.
# contractions
| There isn't a pneumothorax.
| The heart isn't enlarged.
| There aren't any effusions.
| I don't see a consolidation.
| The film doesn't show pneumonia.
| A nodule wasn't found.
| Effusions weren't seen.
| We didn't identify a mass.
| Pneumothorax hasn't developed.
| The lungs haven't any consolidation.
| There wasn't any effusion.
airspace | Pneumonia can't be excluded.
airspace | Pneumonia cannot be ruled out.
airspace | Can't exclude a small infiltrate.
airspace | Couldn't exclude pneumonia here.
effusion | The effusion hasn't changed.
effusion | The effusion isn't larger than before.
nodule | The nodule isn't calcified.
atelectasis | It isn't clear whether this is atelectasis.
# short forms
| Clear w/o effusion.
| Lungs clear w/out consolidation.
| Lungs clear W/O focal infiltrate
| Neg for pneumothorax.
| Negative for PTX, effusion, or infiltrate.
| No PTX.
| Ø effusion.
ptx | Small left PTX.
airspace | LLL pneumonia.
airspace | RLL infiltrate.
airspace | RUL consolidation w/ volume loss | atelectasis
wires | S/p CABG, sternotomy wires in place.
# a heading with its answer
| Pneumothorax: no.
| Effusion: none.
| Pleural effusion: absent.
| Consolidation: not seen.
| Cardiomegaly: no. Effusion: no. Pneumothorax: no.
| Pneumothorax - none.
| Pneumothorax: None
| Effusion: negative.
| Nodules: no. Masses: no.
| Lines/tubes: none.
| Hiatal hernia: nil.
effusion | Effusion: yes.
effusion | Effusion: small, left.
effusion | Pneumothorax: no. Effusion: yes, small on the left.
heart | Cardiomegaly: mild.
ptx | Effusion: none. Pneumothorax: small.
# line ends without full stop
| No pneumothorax\\nNo effusion
| Lungs clear\\nNo focal consolidation\\nHeart normal
heart | No effusion\\nThe heart is enlarged
effusion | No pneumothorax\\nSmall left effusion
heart effusion | No pneumothorax\\nCardiomegaly\\nSmall effusion
nodule | - no effusion\\n- nodule in the right apex
scoliosis | 1. No acute disease\\n2. Scoliosis
# lists
| No pneumothorax, pleural effusion, or focal consolidation.
| No focal consolidation, no effusion, no pneumothorax.
| No consolidation; no effusion; no pneumothorax.
| No evidence for consolidation, effusion or edema or mass.
| Without evidence of consolidation, pleural effusion, and/or pneumothorax.
| No pneumothorax or pleural effusion or focal airspace opacity or nodule.
| Neither effusion nor pneumothorax.
| No large effusion and no pneumothorax.
| Free of consolidation, effusion, or pneumothorax.
| No suspicious nodules, masses, or adenopathy.
| Lungs are clear without consolidation, effusion, nodule, or mass.
effusion | No consolidation or pneumothorax, small right effusion present.
effusion | No consolidation or pneumothorax but a small right effusion.
effusion | No consolidation or pneumothorax; there is a small right effusion.
heart | No effusion or pneumothorax, heart mildly enlarged.
atelectasis | No effusion, minimal bibasilar atelectasis.
granuloma | No nodules other than a calcified granuloma.
granuloma | No nodule except for a calcified granuloma.
granuloma | No nodule apart from an old granuloma.
scoliosis | No acute bony abnormality, mild scoliosis.
line | No pneumothorax following line placement, PICC tip in the SVC.
atelectasis | No pneumonia, only atelectasis.
atelectasis | No effusion, just basilar atelectasis.
atelectasis | Atelectasis, not pneumonia.
atelectasis | Atelectasis rather than consolidation.
atelectasis | Favor atelectasis over pneumonia | airspace
# after the finding
| Pneumothorax is absent.
| Pleural effusions are absent.
| Consolidation is not appreciated.
| No definite effusion is appreciated.
| Effusion not seen.
| Pneumothorax not identified.
| Pneumothorax or effusion: neither is seen.
| Effusion or pneumothorax is not evident.
| Pneumonia is unlikely.
| Pneumonia is considered unlikely.
| A mass is thought to be unlikely.
| Pneumothorax has been excluded.
| Pneumothorax is ruled out.
| Cardiomegaly is no longer seen.
| Hiatal hernia is not present.
| Infiltrates: none seen.
| Pleural effusions, none.
| Nodules are not demonstrated.
# normal words
| Heart size normal, lungs clear.
| Heart not enlarged.
| The heart is nonenlarged.
| The heart is not significantly enlarged.
| The heart is of normal size.
| Heart size is upper limits of normal.
| Heart size upper normal.
| Cardiac silhouette within normal limits.
| Costophrenic angles are not blunted.
| Costophrenic angles are clear.
| No blunting of the costophrenic angles.
| Diaphragms are not flattened.
| Hemidiaphragms are not elevated.
| The spine shows no curvature.
| Normal interstitial markings.
| Interstitial markings are not increased.
| Lungs are not hyperinflated.
| No hyperinflation.
| Lungs are normally inflated.
heart | Heart size is at the upper limits of normal to mildly enlarged.
heart | The heart is borderline enlarged.
heart | Heart is slightly enlarged but stable.
heart | Prominent heart.
# uncertain counts as stated
airspace | Possible pneumonia.
airspace | Questionable infiltrate at the left base.
airspace | Cannot exclude early infiltrate.
airspace | Findings may represent pneumonia.
airspace | Could represent pneumonia in the right clinical setting.
airspace | Suspected consolidation.
airspace | Concerning for pneumonia.
airspace | Suspicious for infiltrate.
nodule | Probable nodule in the left apex.
effusion | Possible tiny effusion.
effusion | A small effusion is difficult to exclude.
effusion | Trace effusion not excluded.
effusion | Effusion cannot be entirely excluded.
ptx | A tiny pneumothorax may be present.
ptx | Question of a small right pneumothorax.
ptx | Small pneumothorax is not excluded.
atelectasis airspace | Atelectasis or pneumonia.
atelectasis airspace | Atelectasis and/or infiltrate.
atelectasis airspace | Atelectasis, less likely pneumonia.
nodule | Nodule versus nipple shadow.
emphysema | Findings suggest COPD.
emphysema | Changes consistent with emphysema.
markings | Chronic interstitial changes.
# asked for, history, advice
| Evaluate for pneumonia.
| Rule out pneumothorax.
| R/o effusion.
| History of pneumonia.
| Assess for effusion.
| No evidence of recurrent pneumothorax.
| CT is recommended to exclude a mass.
| Follow up to ensure clearing of pneumonia | airspace
# no change is no negation
effusion | No change in bilateral effusions.
effusion | No significant change in the left effusion.
heart | No interval change in cardiomegaly.
nodule | Nodule not significantly changed.
nodule | The nodule is unchanged, no new nodules.
effusion | Effusions not significantly changed.
effusion | No increase in the effusion.
atelectasis | No worsening of the atelectasis.
ptx | No decrease in the pneumothorax.
pacemaker | No change in pacemaker position.
effusion | Effusion without change.
heart | Cardiomegaly without edema.
heart | Cardiomegaly without effusion or pneumothorax.
# words with another meaning
| No free air below the hemidiaphragms.
| Pericardial effusion is not suggested.
| Soft tissue emphysema.
| Nipple shadows are seen at both bases.
| Breast mass is noted clinically.
| Degenerative changes of the spine.
| Calcified lymph nodes.
| Enteric tube and EKG leads.
| The aorta is enlarged.
| Enlarged hila.
| Elevated troponin.
| Increased density of the bones.
# several at once
effusion atelectasis | Small effusion with adjacent atelectasis and no pneumothorax.
line ptx | Right PICC without complication, small apical pneumothorax.
pacemaker heart | Left pacemaker, leads intact, heart mildly enlarged, no edema.
emphysema granuloma | Hyperexpanded lungs, calcified granuloma, no infiltrate.
wires heart | Sternotomy wires, cardiomegaly, no failure.
# written after the rules, to see how they do
| Previously described left effusion has cleared.
| Interval clearance of the right basilar opacity.
| There's no pneumothorax.
| Pneumothorax not appreciated on this study.
| The lungs show no infiltrates or effusions.
| No radiographic evidence of active TB, pneumonia, or effusion.
| Lungs clear; heart normal; no effusion
| Central line no longer present.
| Pulmonary nodules have resolved.
| No cardiomegaly or effusion identified.
| The patient has no pacemaker.
| Nothing to suggest pneumonia.
| Without pneumothorax or effusion.
| Pneumothorax: Absent
| No overt pulmonary edema, consolidation or pneumothorax.
| Lungs are clear, effusion is absent.
| The heart size is within normal limits and there is no pleural effusion.
| There is neither focal consolidation nor pneumothorax.
| Right-sided effusion has completely resolved since prior.
| No discrete mass.
| Pneumonia has resolved in the interval.
| Heart and mediastinum normal. No infiltrates.
| Absent pleural effusion.
| No mediastinal mass or nodule.
| Effusion is not present, nor is pneumothorax.
| The previous PICC has been withdrawn.
| Scoliosis is not seen.
effusion | Stable small effusion, no pneumothorax.
effusion | Effusion persists.
effusion | The left effusion is slightly smaller but has not resolved.
ptx | Small pneumothorax has not resolved.
airspace | There may be early pneumonia.
airspace | Pneumonia is a consideration.
airspace | Cannot rule out pneumonia at the left base.
airspace | Infiltrate not excluded.
nodule | A nodule, not seen previously, is present.
heart | Heart is enlarged without failure.
heart | Mildly enlarged heart, no edema or effusion.
heart | No pneumothorax. Heart size is enlarged.
atelectasis | Minor atelectasis, otherwise clear.
atelectasis | No infiltrate. Left basilar atelectasis
hernia | Moderate hiatal hernia, otherwise negative.
effusion atelectasis | Trace effusion and atelectasis, not significantly changed.
emphysema | COPD without acute disease.
granuloma | Calcified granuloma, otherwise no nodules.
line | Right IJ line tip in SVC, no pneumothorax.
pacemaker | Pacemaker without change in position of leads.
scoliosis | Scoliosis. No fracture.
wires | Intact sternotomy wires without dehiscence.
markings | Increased interstitial markings without focal consolidation.
diaphragm | Elevated right hemidiaphragm, no effusion.
airspace | Left lower lobe airspace disease is new.
effusion | No pneumothorax or consolidation. Small pleural effusions, left greater than right.
| w/o effusion or ptx
ptx | Tiny apical pneumothorax, decreased.
| The chest tube has been removed without recurrent pneumothorax.
| Chest tube removed, no pneumothorax.
nodule | No change in the right upper lobe nodule.
# a second reader's sentences
| The pacemaker seen on the earlier film has been explanted.
| Nodular density seen previously represents a nipple shadow and not a nodule.
| The questioned nodule was a nipple shadow.
nodule | Nodular density over the right sixth rib, possibly a nipple shadow.
| Pneumonia is felt to be less likely than artifact of overlap.
| Pneumonia less likely.
| Consolidation is not likely given the normal white count.
| The pleural effusions seen yesterday have been drained.
| Port has been taken out.
effusion | The effusion has been partially drained.
| Previously described nodule is not reproduced and was likely artifactual.
| The density at the left base was an artifact, no nodule.
| Breast implants mimic consolidation.
| Overlying skin folds mimicking a pneumothorax.
airspace | PNA in the right lower lobe.
| No PNA.
airspace | RLL opacity is unchanged.
airspace | Opacification of the left hemithorax.
effusion | Moderate fluid in the right pleural space.
| No fluid in either pleural space.
nodule | There is no calcification in the right upper lobe nodule.
mass | Right hilar mass without cavitation in it.
atelectasis | Bi-basilar atelectasis, no effusion.
# questions with an answer
| Mass? None seen.
| Pneumothorax? No. Effusion? None.
nodule | Nodule in the left apex. Mass? Not seen.
"""


def _parsed() -> tuple[tuple[frozenset[FindingKind], str], ...]:
    traps = []
    for line in _TRAPS.strip().splitlines():
        if line.startswith("#"):
            continue
        before, sentence, *after = (part.strip() for part in line.split("|"))
        kinds = frozenset(_SHORT[name] for name in " ".join([before, *after]).split())
        traps.append((kinds, sentence.replace("\\n", "\n")))
    return tuple(traps)


TRAPS: Final = _parsed()

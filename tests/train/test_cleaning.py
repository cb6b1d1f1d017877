from __future__ import annotations

import tarfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cxrscribe_train.cleaning import DEIDENTIFIED, clean
from cxrscribe_train.corpus.study import parse_study

# The shapes of real sentences, with words of our own.
SHAPES = {
    # sentence ends
    "Heart is normal. Lungs are clear.": "heart is normal . lungs are clear .",
    "No bone abnormality..": "no bone abnormality .",
    "Limits are normal.The lungs are clear": "limits are normal . the lungs are clear .",
    "Edema or infection? Compare!": "edema or infection . compare .",
    ". . Clear.": "clear .",
    # meaningless punctuation
    "No effusion, pneumothorax, or mass.": "no effusion pneumothorax or mass .",
    "Chest: stable; cause not known.": "chest stable cause not known .",
    "Effusion seen (blunted angle on the left).": "effusion seen blunted angle on the left .",
    "[<Heart is normal>]. No edema.": "heart is normal . no edema .",
    "The previously<BR>seen line": "the previously seen line .",
    # words
    "Left-sided line, T-spine, x-ray.": "left sided line t spine x ray .",
    "Scar/atelectasis and/or edema.": "scar atelectasis or edema .",
    "S/p surgery w/o leak.": "status post surgery without leak .",
    "Density c/w scar w/ nodule.": "density consistent with scar with nodule .",
    "There's change since the patient’s scan.": "there's change since the patient's scan .",
    "'Clear' lungs": "clear lungs .",
    # abbreviations
    "Seen on a.p. view by Dr. Who vs. before.": "seen on ap view by dr who vs before .",
    "Noted at 4 p.m. yesterday.": "noted at 4 pm yesterday .",
    "Clips of the U.S.A. type.": "clips of the usa type .",
    # numbers
    "A 1.2 cm nodule, .5 cm away.": "a 1.2 cm nodule 0.5 cm away .",
    "It measures 6 cm. No effusion.": "it measures 6 cm . no effusion .",
    "It measures 7.0 cm.": "it measures 7.0 cm .",
    "Nodule of 8mm, mass of 22x14 mm": "nodule of 8 mm mass of 22 x 14 mm .",
    "A 4.5 x 6.8 cm mass": "a 4.5 x 6.8 cm mass .",
    "Fractures of T8, T12-L1 and the 6th rib.": "fractures of t8 t12 l1 and the 6th rib .",
    "Ratio of 16.2/24.7.": "ratio of 16.2 24.7 .",
    "About 1,200 ml, <1 cm, >50% of it": "about 1200 ml less than 1 cm more than 50 percent of it .",
    "2 images. Clear.": "2 images . clear .",
    # lists
    "1. Large heart. 2. Clear lungs.": "large heart . clear lungs .",
    "1) Large heart. (2) Clear lungs.": "large heart . clear lungs .",
    "1.Large heart": "large heart .",
    # de-identified words
    "There are no XXXX of effusion.": f"there are no {DEIDENTIFIED} of effusion .",
    "Dated XXXX, XXXX XXXX. Clear": f"dated {DEIDENTIFIED} . clear .",
    "XXXX-A-XXXX, dual-XXXX line": f"{DEIDENTIFIED} a {DEIDENTIFIED} dual {DEIDENTIFIED} line .",
    "Broken 3rd-5XXXX, XXXX't": f"broken 3rd {DEIDENTIFIED} .",
    "Compared with 02/010/XXXX and 3-14-2009.": f"compared with {DEIDENTIFIED} and {DEIDENTIFIED} .",
    # unicode
    "Ｎormal naïve ﬁlm – 2 × 3 cm": "normal naive film 2 x 3 cm .",
    "": "",
    " .,;?! ": "",
}


@pytest.mark.parametrize(("text", "cleaned"), SHAPES.items())
def test_shapes_of_real_sentences(text: str, cleaned: str) -> None:
    assert " ".join(clean(text)) == cleaned


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.text(),
        st.text("aAcmwxX.,0159 -_/()<>'%:;!?\n", max_size=12),
        st.lists(st.sampled_from(list(SHAPES))).map("".join),
    )
)
@example("İ.x. ")
@example("1. 2. 3.")
@example("xxxxxxxx 1.5.2 .5.5")
@example("2:X3")
@example("5cc_")
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = clean(text)
    assert clean(" ".join(once)) == once


@given(st.text())
def test_tokens_are_lower_case_words_in_closed_sentences(text: str) -> None:
    tokens = clean(text)
    assert all(token and token.split() == [token] and token == token.lower() for token in tokens)
    assert not tokens or (tokens[0] != "." and tokens[-1] == ".")
    assert all(pair != (".", ".") for pair in pairwise(tokens))


def test_real_findings_have_the_known_lengths(shared_data: Path) -> None:
    with tarfile.open(shared_data / "nlmcxr" / "NLMCXR_reports.tgz") as archive:
        members = [member for member in archive if member.name.endswith(".xml")]
        files = [(member.name, archive.extractfile(member)) for member in members]
        findings = [parse_study(file.read(), name).findings for name, file in files if file]
    lengths = sorted(len(clean(text)) for text in findings if text)
    assert len(lengths) == 3425
    assert sum(lengths) / len(lengths) == pytest.approx(36, abs=1)
    assert lengths[int(0.9 * len(lengths))] <= 58
    assert all(clean(" ".join(clean(text))) == clean(text) for text in findings)

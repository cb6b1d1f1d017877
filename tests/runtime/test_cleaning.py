from __future__ import annotations

import re
import tarfile
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cxrscribe.cleaning import CLEANING, COMMAS, DEIDENTIFIED, clean, close_lines, comparable
from cxrscribe.vocabulary import readable
from cxrscribe_train.corpus.study import parse_study

# The shapes of real sentences, with words of our own, as scores count them: these are the words of version 1.
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


# What version 2 keeps: the cleaned text, and what people read.
KEPT = {
    "No effusion, pneumothorax, or mass.": (
        "no effusion , pneumothorax , or mass .",
        "No effusion, pneumothorax, or mass.",
    ),
    "Chest: stable; cause not known.": ("chest stable , cause not known .", "Chest stable, cause not known."),
    ", Clear,, lungs ,.": ("clear , lungs .", "Clear, lungs."),
    "Dated XXXX, XXXX, clear": ("dated xxxx , clear .", "Dated xxxx, clear."),
    "1, 2.": ("1 , 2 .", "1, 2."),
    "W/out effusion, w/ edema": ("without effusion , with edema .", "Without effusion, with edema."),
    "<1 cm, >50% of it, 38°": ("< 1 cm , > 50 % of it , 38 ° .", "< 1 cm, > 50% of it, 38°."),
    "A<B> & C": ("a b & c .", "A b & c."),
    # gaps of MIMIC-CXR; single ones part words
    "___-year-old, ___F, left_sided": (
        "xxxx year old , xxxx f , left sided .",
        "Xxxx year old, xxxx f, left sided.",
    ),
    "In comparison with ___ ___, clear": (
        "in comparison with xxxx , clear .",
        "In comparison with xxxx, clear.",
    ),
    # a file's byte order mark, and others without width
    "\ufeffClear lu\u00adngs\u200b.": ("clear lungs .", "Clear lungs."),
    # decimal commas before a unit; thousands and lists stay what they are
    "Nódulo de 1,5 x 2,25 cm": ("nódulo de 1.5 x 2.25 cm .", "Nódulo de 1.5 x 2.25 cm."),
    "Derrame del 12,5%, 0,125 l": ("derrame del 12.5 % , 0.125 l .", "Derrame del 12.5%, 0.125 l."),
    "Узел 1,2см": ("узел 1.2 см .", "Узел 1.2 см."),
    "Ribs 3,4 and 5, 1,200 ml": ("ribs 3 , 4 and 5 , 1200 ml .", "Ribs 3, 4 and 5, 1200 ml."),
    "Nódulo de 1,5 a 2,5 cm, otro de 3,5 cms": (
        "nódulo de 1.5 a 2.5 cm , otro de 3.5 cms .",
        "Nódulo de 1.5 a 2.5 cm, otro de 3.5 cms.",
    ),
    "Mide 1,5 por 2,25 centímetros": (
        "mide 1.5 por 2.25 centímetros .",
        "Mide 1.5 por 2.25 centímetros.",
    ),
    "Knoten mit 1,5 und 2,5 cm": ("knoten mit 1.5 und 2.5 cm .", "Knoten mit 1.5 und 2.5 cm."),
    "Узел 1,5х2,5 см": ("узел 1.5 x 2.5 см .", "Узел 1.5 x 2.5 см."),
    "Masa de 12,125 cm, líquido 1,200 ml": (
        "masa de 12.125 cm , líquido 1200 ml .",
        "Masa de 12.125 cm, líquido 1200 ml.",
    ),
    "Costillas 4,5 y 6 con nódulo de 2 cm": (
        "costillas 4 , 5 y 6 con nódulo de 2 cm .",
        "Costillas 4, 5 y 6 con nódulo de 2 cm.",
    ),
    "T4,5 cm apart": ("t4 , 5 cm apart .", "T4, 5 cm apart."),
    # accents make words
    "Sin consolidación; año 2.º, nº 3. ¿Derrame?": (
        "sin consolidación , año 2 . n 3 . derrame .",
        "Sin consolidación, año 2. N 3. Derrame.",
    ),
    "Naïve Ｎormal ﬁlm": ("naïve normal film .", "Naïve normal film."),
    "हृदय का आकार सामान्य है। फेफड़े साफ़।": (
        "हृदय का आकार सामान्य है . फेफड़े साफ़ .",
        "हृदय का आकार सामान्य है. फेफड़े साफ़.",
    ),
    # Chinese and Japanese
    "两肺纹理清晰，未见实变、结节。心影不大！": (
        "两 肺 纹 理 清 晰 , 未 见 实 变 、 结 节 . 心 影 不 大 .",
        "两肺纹理清晰，未见实变、结节。心影不大。",
    ),
    "右肺上叶见1.2cm结节；T12椎体压缩约50％？": (
        "右 肺 上 叶 见 1.2 cm 结 节 , t12 椎 体 压 缩 约 50 % .",
        "右肺上叶见1.2 cm结节，t12椎体压缩约50%。",
    ),
    "PA位。2张": ("pa 位 . 2 张 .", "Pa位。2张。"),
    "胸水なし。心拡大が疑われる。": (
        "胸 水 な し . 心 拡 大 が 疑 わ れ る .",
        "胸水なし。心拡大が疑われる。",
    ),
}


@pytest.mark.parametrize(("text", "cleaned"), SHAPES.items())
def test_shapes_of_real_sentences(text: str, cleaned: str) -> None:
    assert " ".join(clean(text, 1)) == cleaned
    assert " ".join(comparable(clean(text))) == cleaned


@pytest.mark.parametrize(("text", "kept"), KEPT.items())
def test_what_a_reader_needs_is_kept(text: str, kept: tuple[str, str]) -> None:
    cleaned, read = kept
    assert " ".join(clean(text)) == cleaned
    assert readable(clean(text)) == read
    assert clean(read) == clean(text)


def test_a_version_that_does_not_exist() -> None:
    with pytest.raises(KeyError):
        clean("Clear.", CLEANING + 1)


TEXTS = st.one_of(
    st.text(),
    st.text("aAcmwxX.,0159 -_/()<>'%:;!?\n", max_size=12),
    st.text("肺结が, 。、，；1x.c%ñé\u0301\u093f", max_size=12),
    st.lists(st.sampled_from([*SHAPES, *KEPT])).map("".join),
)


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.sampled_from([1, 2]))
@example("İ.x. ", 1)
@example("İ.x. ", 2)
@example("1. 2. 3.", 2)
@example("xxxxxxxx 1.5.2 .5.5", 2)
@example("2:X3", 2)
@example("5cc_", 2)
@example("0<X0", 1)
@example("0<X0", 2)
@example("0%X0", 2)
def test_cleaning_twice_changes_nothing(text: str, version: int) -> None:
    once = clean(text, version)
    assert clean(" ".join(once), version) == once


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text("aAcmwxX.,0159 -/()<>'%&:;!?", max_size=16), st.sampled_from(list(SHAPES))))
def test_scores_count_the_words_of_version_1(text: str) -> None:
    assume(not re.search(r"\d,\d{1,2}(?!\d)|0,\d|,\d{3}\s*cm", text.lower()))  # decimal commas are new
    assert list(comparable(clean(text))) == clean(text, 1)


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.text("肺叶结が，、。；1x5.c%< ", max_size=16),
        st.text("ñéabno 15.,;%<x", max_size=16),
        st.lists(st.sampled_from(list(KEPT))).map(" ".join),
    )
)
def test_what_people_read_cleans_to_the_same_words(text: str) -> None:
    words = clean(text)
    assert clean(readable(words)) == words


@pytest.mark.parametrize("unit", ["<" + " " * 99_999, "< ", "1,5" + " " * 99_997, "1,5 a ", "(1,5", "a\n"])
def test_a_long_text_ends(unit: str) -> None:
    text = unit * (
        100_000 // len(unit)
    )  # the longest of a table; in the square of that it would take minutes
    once = clean(text)
    assert clean(" ".join(once)) == once


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_tokens_are_lower_case_words_in_closed_sentences(text: str) -> None:
    tokens = clean(text)
    assert all(token and token.split() == [token] and token == token.lower() for token in tokens)
    assert not tokens or (tokens[0] != "." and tokens[-1] == ".")
    assert all(pair != (".", ".") for pair in pairwise(tokens))
    ends = COMMAS | {"."}
    assert not any(before in ends and word in ends for before, word in pairwise(tokens))


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_no_word_that_is_compared_is_a_comma_or_empty(text: str) -> None:
    words = comparable(clean(text))
    assert not COMMAS & set(words)
    assert all(words)


LINES = {
    "No effusion\nHeart is large": "No effusion. Heart is large",
    "No effusion.\r\nHeart is large\n": "No effusion. Heart is large",
    "The heart is normal in size and the\nlungs are clear. No\neffusion": (
        "The heart is normal in size and the lungs are clear. No effusion"
    ),
    "The tip of the catheter of the type\nSwan-Ganz is in\nplace": (
        "The tip of the catheter of the type Swan-Ganz is in place"
    ),
    "The heart is normal in size and in\nshape\nNo effusion": (
        "The heart is normal in size and in shape. No effusion"
    ),
    "- no effusion\n- large heart": "no effusion. large heart",
    "1. no effusion\n2. large heart": "1. no effusion. 2. large heart",
    "Clear\n\nnormal heart": "Clear. normal heart",
    "肺清晰\n心影不大": "肺清晰. 心影不大",
    "It measures\n.5 cm": "It measures. .5 cm",
    "LUNGS CLEAR\nHEART NORMAL\nNO EFFUSION": "LUNGS CLEAR. HEART NORMAL. NO EFFUSION",
    "NO PNEUMOTHORAX OR PLEURAL EFFUSION IS SEEN ON THIS FILM\nHEART ENLARGED\nOLD FRACTURES": (
        "NO PNEUMOTHORAX OR PLEURAL EFFUSION IS SEEN ON THIS FILM. HEART ENLARGED. OLD FRACTURES"
    ),
    "NO EVIDENCE OF PLEURAL EFFUSION, PNEUMOTHORAX OR FOCAL\nCONSOLIDATION.\nHEART NORMAL": (
        "NO EVIDENCE OF PLEURAL EFFUSION, PNEUMOTHORAX OR FOCAL CONSOLIDATION. HEART NORMAL"
    ),
    "EFFUSION: NO\nNODULE: YES": "EFFUSION: NO. NODULE: YES",
    "There is no evidence of a\n5 mm nodule or mass": "There is no evidence of a 5 mm nodule or mass",
    "Lungs clear without\nPneumothorax or\nEffusion": "Lungs clear without Pneumothorax or Effusion",
    "Pulmones claros sin\nDerrame": "Pulmones claros sin Derrame",
    "肺清晰，未见\n气胸": "肺清晰，未见 气胸",
    "one line": "one line",
    "": "",
}


@pytest.mark.parametrize(("text", "closed"), LINES.items())
def test_a_line_that_ends_a_statement_is_closed(text: str, closed: str) -> None:
    assert close_lines(text) == closed
    assert clean(text) == clean(closed)


CAPITALS = (
    "PORTABLE CHEST. THE LUNGS ARE CLEAR WITHOUT FOCAL CONSOLIDATION, PLEURAL EFFUSION OR PNEUMOTHORAX. "
    "THE HEART IS NORMAL IN SIZE. NO SUSPICIOUS PULMONARY NODULE OR MASS IS SEEN."
)
CHINESE = "两肺野清晰，未见气胸及胸腔积液。心影不大，未见明显实变影。两侧肋膈角锐利，双侧膈面光整，胸廓对称。"


@pytest.mark.parametrize("width", [45, 50, 60, 72, 80, 200])
def test_wrapping_capitals_changes_no_word(width: int) -> None:
    assert clean(textwrap.fill(CAPITALS, width)) == clean(CAPITALS)


@pytest.mark.parametrize("width", [16, 20, 24, 40])
def test_wrapping_chinese_changes_no_word(width: int) -> None:
    lines = [CHINESE[start : start + width] for start in range(0, len(CHINESE), width)]
    assert clean("\n".join(lines)) == clean(CHINESE)


@given(st.text("aB.- \n1", max_size=24))
def test_closing_lines_leaves_one_line_and_every_letter(text: str) -> None:
    closed = close_lines(text)
    assert len(closed.splitlines()) <= 1
    assert re.sub(r"[^aB1]", "", closed) == re.sub(r"[^aB1]", "", text)


def test_real_findings_have_the_known_lengths(shared_data: Path) -> None:
    with tarfile.open(shared_data / "nlmcxr" / "NLMCXR_reports.tgz") as archive:
        members = [member for member in archive if member.name.endswith(".xml")]
        files = [(member.name, archive.extractfile(member)) for member in members]
        findings = [parse_study(file.read(), name).findings for name, file in files if file]
    lengths = sorted(len(comparable(clean(text))) for text in findings if text)
    assert len(lengths) == 3425
    assert sum(lengths) / len(lengths) == pytest.approx(36, abs=1)
    assert lengths[int(0.9 * len(lengths))] <= 58
    assert all(clean(" ".join(clean(text))) == clean(text) for text in findings)
    assert all(list(comparable(clean(text))) == clean(text, 1) for text in findings)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from([*".,;:%", "、", "°", "no", "éa", "ßa", "İx", "heart", "1.5"]), max_size=9))
def test_words_that_stand_apart_read_the_same_before_a_sentence_without_blanks(words: list[str]) -> None:
    """Reports of spaced words alone are read a quicker way."""
    assert readable([*words, ".", "肺", "."]) == readable([*words, "."]) + "肺。"

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe_train.corpus.sections import SECTIONS, sections

MIMIC = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___F with new onset ascites  // eval for infection

 TECHNIQUE:  Chest PA and lateral

 COMPARISON:  None.

 FINDINGS:

 HEART:  Normal.
 There is no focal consolidation.

 IMPRESSION:

 No acute process.

 RECOMMENDATION(S):  none
"""


def test_headings_in_capitals() -> None:
    assert sections(MIMIC) == {
        "indication": "___F with new onset ascites  // eval for infection",
        "comparison": "None.",
        "findings": "HEART:  Normal.\n There is no focal consolidation.",
        "impression": "No acute process.",
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Findings: clear.\nImpression: normal.", {"findings": "clear.", "impression": "normal."}),
        ("HISTORY: cough. FINDINGS: Clear. IMPRESSION: Normal.", ("cough.", "Clear.", "Normal.")),
        ("FINDINGS AND IMPRESSION: Clear.", {"findings": "Clear."}),
        ("FINDINGS: Clear.\nFINDINGS: Large heart.", {"findings": "Clear.\n\nLarge heart."}),
        ("Normal findings: none of them.", {}),
        ("IMPRESSION:", {}),
        ("FINDINGS\nClear.\nIMPRESSION\nNormal.", {"findings": "Clear.", "impression": "Normal."}),
        ("Clear findings\nFindings\nof no kind", {}),
        ("", {}),
        (
            "HALLAZGOS: Sin derrame.\nIMPRESIÓN: Normal.",
            {"findings": "Sin derrame.", "impression": "Normal."},
        ),
        (
            "检查所见：两肺清晰。\n诊断意见：未见异常。",
            {"findings": "两肺清晰。", "impression": "未见异常。"},
        ),
        ("Befund: frei.\nBeurteilung: normal", {"findings": "frei.", "impression": "normal"}),
        # on one line
        ("Findings: Clear. Impression: Normal.", {"findings": "Clear.", "impression": "Normal."}),
        ("Indication: cough. Findings: Clear. Impression: Pneumonia.", ("cough.", "Clear.", "Pneumonia.")),
        ("FINDINGS:Clear.IMPRESSION:Normal.", {"findings": "Clear.", "impression": "Normal."}),
        ("Findings: Clear.  impression: normal", {"findings": "Clear.  impression: normal"}),
        ("检查所见：两肺清晰。诊断意见：正常", {"findings": "两肺清晰。", "impression": "正常"}),
        ("影像所见:两肺清晰;影像诊断:肺炎", {"findings": "两肺清晰;", "impression": "肺炎"}),
        (
            "Hallazgos: sin derrame. Impresión: neumonía.",
            {"findings": "sin derrame.", "impression": "neumonía."},
        ),
        # Markdown
        ("**FINDINGS:** Clear\n**IMPRESSION:** Normal", {"findings": "Clear", "impression": "Normal"}),
        ("**Findings**: Clear. **Impression:** Normal", {"findings": "Clear.", "impression": "Normal"}),
        ("## FINDINGS\nClear\n## IMPRESSION\nNormal", {"findings": "Clear", "impression": "Normal"}),
        # headings that aren't listed
        (
            "COMPARISON:  ___.\n\n PA AND LATERAL VIEWS OF THE CHEST:  Large\n heart.\n\nIMPRESSION: Large.",
            {"comparison": "___.", "findings": "Large\n heart.", "impression": "Large."},
        ),
        (
            "INDICATION: cough\nPORTABLE AP CHEST, ___ AT 5:14 A.M.:  Clear.\nHEART: Normal.",
            {"indication": "cough", "findings": "Clear.\nHEART: Normal."},
        ),
        (
            "INDICATION: cough\nCHEST RADIOGRAPH: two views\nFINDINGS: Clear.\nCHEST WALL: Normal.",
            {"indication": "cough", "findings": "Clear.\nCHEST WALL: Normal."},
        ),
        (
            "COMPARISON: None.\nDEVICES: A tube.\nIMPRESSION: Clear.",
            {"comparison": "None.", "impression": "Clear."},
        ),
        ("CHEST PA: Clear.\nIMPRESSION: Normal.", {"findings": "Clear.", "impression": "Normal."}),
        ("HEART: Normal.\nLUNGS: Clear.", {}),
    ],
)
def test_headings_of_other_reports(text: str, found: dict[str, str] | tuple[str, ...]) -> None:
    if isinstance(found, tuple):
        found = dict(zip(("indication", "findings", "impression"), found, strict=True))
    assert sections(text) == found


WORDS = st.text("abc .,", min_size=1).map(str.strip).filter(bool)


@given(st.dictionaries(st.sampled_from(SECTIONS), WORDS))
def test_what_stands_under_a_heading_is_found(texts: dict[str, str]) -> None:
    report = "\n\n".join(f" {name.upper()}:  {text}" for name, text in texts.items())
    assert sections(report) == texts


@given(st.text())
def test_any_text_has_sections_or_none(text: str) -> None:
    assert set(sections(text)) <= set(SECTIONS)

"""The text of a DICOM film that is asked for by its attribute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe.errors import InputError, MissingExtraError
from cxrscribe.films.isolation import Isolation
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.films.rules import FilmRules

pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom")

from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless  # noqa: E402

from cxrscribe.films.dicom import read_dicom  # noqa: E402
from cxrscribe.films.dicom_text import MOST_CHARACTERS, check_attribute  # noqa: E402
from support.dicom_file import NAME, NUMBER, dicom, written  # noqa: E402

HISTORY = "AdditionalPatientHistory"  # LT
REASON = "ReasonForTheRequestedProcedure"  # LO
GREY = np.random.default_rng(0).integers(0, 4000, (64, 64)).astype(np.uint16)
PREPROCESSING = Preprocessing(24, 32)
JAPANESE = ["", "ISO 2022 IR 87"]


def said(keyword: str, charset: str | list[str] | None, value: str | bytes, **options: Any) -> bytes:
    """A film with this attribute; bytes are written as they are."""
    dataset = dicom(GREY, bits=12, **options)
    if charset is not None:
        dataset.SpecificCharacterSet = charset
    if isinstance(value, bytes):
        dataset.add_new(keyword, "UN" if len(value) % 2 else pydicom.datadict.dictionary_VR(keyword), value)
    else:
        setattr(dataset, keyword, value)
    return written(dataset)


def read(content: bytes, keyword: str = REASON) -> str | None:
    return read_dicom(content, rules=FilmRules(text=keyword)).text


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        (None, "Chest pain."),
        ("ISO_IR 6", "Chest pain."),
        ("ISO_IR 100", "Atemnot, Rückenschmerzen, 38,5 °C"),
        ("ISO_IR 144", "Кашель и боль в груди"),
        ("ISO_IR 192", "胸痛。Dyspnée, Müdigkeit, 흉통"),
        ("GB18030", "胸痛，咳嗽"),
        ("ISO_IR 13", "ﾑﾈﾉｲﾀﾐ"),
        (JAPANESE, "胸の痛み、咳"),
        (["", "ISO 2022 IR 149"], "흉통과 기침"),
    ],
)
@pytest.mark.parametrize("keyword", [REASON, HISTORY])
def test_texts_come_in_the_files_character_set(charset: str, text: str, keyword: str) -> None:
    assert read(said(keyword, charset, text), keyword) == text


@pytest.mark.parametrize(
    "film",
    [
        said(REASON, "ISO_IR 100", "Rückenschmerzen", syntax=ImplicitVRLittleEndian),
        said(REASON, "ISO_IR 100", "Rückenschmerzen", syntax=DeflatedExplicitVRLittleEndian),
    ],
)
def test_texts_come_in_every_syntax(film: bytes) -> None:
    assert read(film) == "Rückenschmerzen"


@pytest.mark.parametrize("which", ["none", "compressed", "all"])
def test_texts_come_from_the_process_that_decodes(which: str, tmp_path: Path) -> None:
    dataset = dicom(GREY, bits=12, SpecificCharacterSet="ISO_IR 192", **{HISTORY: "胸痛 seit gestern"})
    plain = written(dataset)
    dataset.compress(JPEG2000Lossless)
    packed = written(dataset)
    (tmp_path / "film.dcm").write_bytes(packed)
    for film in (plain, packed, tmp_path / "film.dcm"):
        shown = PREPROCESSING.read_shown(film, Isolation(which), ("CR", "DX"), HISTORY)
        assert shown.text == "胸痛 seit gestern"
        alone = PREPROCESSING.read_shown(film, Isolation(which))
        assert alone.text is None
        assert np.array_equal(alone.pixels, shown.pixels)


@pytest.mark.parametrize("value", ["", " ", " \\ ", b"\0\0"])
def test_what_is_blank_is_no_text(value: str | bytes) -> None:
    assert read(said(REASON, "ISO_IR 192", value)) is None


def test_what_is_absent_is_no_text() -> None:
    assert read(written(dicom(GREY, bits=12))) is None
    assert read(said(HISTORY, "ISO_IR 192", "Cough")) is None


def test_several_values_are_sentences_and_a_long_texts_backslash_is_one() -> None:
    assert read(said(REASON, "ISO_IR 192", "Chest pain\\\\ Cough ")) == "Chest pain. Cough"
    assert read(said(HISTORY, "ISO_IR 192", "Pain\\Cough"), HISTORY) == "Pain\\Cough"


def test_half_of_a_character_that_looks_like_a_backslash_parts_nothing() -> None:
    text = "".join(
        each for code in range(0x4E00, 0x9000) if b"\\" in (each := chr(code)).encode("gb18030", "ignore")
    )[:30]
    assert len(text) == 30
    assert read(said(REASON, "GB18030", text.encode("gb18030"))) == text


def test_long_texts_are_cut() -> None:
    film = said("TextValue", "ISO_IR 192", "𝔸" * (5 * MOST_CHARACTERS))  # UT: of any length
    assert read(film, "TextValue") == "𝔸" * MOST_CHARACTERS
    shown = PREPROCESSING.read_shown(film, Isolation("all"), ("CR", "DX"), "TextValue")
    assert shown.text == "𝔸" * MOST_CHARACTERS


@settings(max_examples=80, deadline=None)
@given(
    value=st.binary(max_size=60),
    charset=st.sampled_from([None, "ISO_IR 192", "ISO_IR 13", "nonsense", "GBK"]),
)
def test_whatever_a_text_holds_costs_no_film(value: bytes, charset: str | None) -> None:
    film = said(REASON, None, value)
    if charset is not None:
        plain = said(REASON, "ISO_IR 192", value)
        film = plain.replace(b"ISO_IR 192", charset.ljust(10).encode())
    shown = read_dicom(film, rules=FilmRules(text=REASON))
    assert shown.text is None or isinstance(shown.text, str)
    assert np.array_equal(shown.pixels, read_dicom(film).pixels)


def test_nothing_else_of_the_patient_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real: Callable[..., Any] = pydicom.dcmread

    def noted(*arguments: Any, specific_tags: Any, **options: Any) -> Any:
        asked.extend(pydicom.datadict.keyword_for_tag(tag) for tag in specific_tags)
        return real(*arguments, specific_tags=specific_tags, **options)

    monkeypatch.setattr(pydicom, "dcmread", noted)
    found = read(said(REASON, "ISO_IR 192", "Cough"))
    assert found == "Cough"
    assert [name for name in asked if "Patient" in name or "Reason" in name] == [REASON]
    asked.clear()
    read_dicom(said(REASON, "ISO_IR 192", "Cough"))
    assert not {REASON, "SpecificCharacterSet"} & set(asked)
    assert NAME not in found
    assert NUMBER not in found


@pytest.mark.parametrize("keyword", [REASON, HISTORY, "ReasonForStudy", "AdmittingDiagnosesDescription"])
def test_text_attributes(keyword: str) -> None:
    assert check_attribute(keyword) == keyword


@pytest.mark.parametrize(
    ("keyword", "problem"),
    [
        ("Reason", "no attribute of DICOM; give its keyword"),
        ("", "no attribute of DICOM"),
        (7, "no attribute of DICOM"),
        ("PatientName", "whose values are PN and no text"),
        ("PatientBirthDate", "whose values are DA"),
        ("PixelData", "and no text"),
        ("RequestAttributesSequence", "whose values are SQ"),
    ],
)
def test_other_attributes_are_refused(keyword: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        check_attribute(keyword)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pydicom.datadict", None)
    with pytest.raises(MissingExtraError, match=r"cxrscribe\[dicom\]"):
        check_attribute(REASON)

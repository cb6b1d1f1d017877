from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from cxrscribe.errors import FilmError, Reason
from cxrscribe.films import isolation as isolating
from cxrscribe.films.isolation import Isolation
from cxrscribe.films.study_uid import read_study_uid
from support.compressed import jpeg
from support.dicom_file import NAME, NUMBER, dicom, encapsulated, written

UID = "1.2.840.99999.7.42"
FILM = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)


def stored(folder: Path, content: bytes) -> Path:
    path = folder / "film.dcm"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
)
def test_every_syntax_says_its_study(tmp_path: Path, syntax: str) -> None:
    film = stored(tmp_path, written(dicom(FILM, syntax=syntax, StudyInstanceUID=UID)))
    assert read_study_uid(film, Isolation("none")) == UID
    assert read_study_uid(str(film)) == UID


@pytest.mark.parametrize("which", ["none", "compressed", "all"])
def test_isolation_is_that_of_the_film(tmp_path: Path, which: str) -> None:
    isolating.end_processes()
    film = stored(tmp_path, encapsulated(jpeg(FILM), FILM, JPEGBaseline8Bit, StudyInstanceUID=UID))
    assert read_study_uid(film, Isolation(which)) == UID
    assert len(isolating._idle) == (which != "none")
    isolating.end_processes()


def test_a_file_without_preamble_says_it_too(tmp_path: Path) -> None:
    content = written(dicom(FILM, StudyInstanceUID=UID))[132:]
    assert read_study_uid(stored(tmp_path, content)) == UID


def test_pixels_are_not_needed(tmp_path: Path) -> None:
    content = written(dicom(FILM, StudyInstanceUID=UID))
    assert read_study_uid(stored(tmp_path, content[: -FILM.size])) == UID


def test_a_uid_inside_a_sequence_is_another_studys(tmp_path: Path) -> None:
    other = Dataset()
    other.StudyInstanceUID = "1.2.3"
    film = dicom(FILM, ReferencedStudySequence=Sequence([other]))
    with pytest.raises(FilmError, match="doesn't say its study"):
        read_study_uid(stored(tmp_path, written(film)))
    film.StudyInstanceUID = UID
    assert read_study_uid(stored(tmp_path, written(film))) == UID


@pytest.mark.parametrize("which", ["none", "all"])
def test_a_value_that_is_no_uid_is_refused_and_not_repeated(
    tmp_path: Path, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    content = written(dicom(FILM, StudyInstanceUID=UID)).replace(UID.encode(), b"Roentgen^Anna Bert")
    caplog.set_level(logging.DEBUG)
    with pytest.raises(FilmError, match="StudyInstanceUID that is none") as refused:
        read_study_uid(stored(tmp_path, content), Isolation(which))
    for said in (str(refused.value), caplog.text):
        assert not any(secret in said for secret in (NAME, NUMBER, "Roentgen"))
    isolating.end_processes()


def test_files_that_say_no_study_are_named(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match=r"film.dcm: is a DICOM file that doesn't say its study; group films"):
        read_study_uid(stored(tmp_path, written(dicom(FILM))))
    with pytest.raises(FilmError, match=r"a.dcm: file does not exist") as missing:
        read_study_uid(tmp_path / "a.dcm")
    assert missing.value.reason == Reason.MISSING
    picture = tmp_path / "film.jpg"
    picture.write_bytes(jpeg(FILM))
    with pytest.raises(FilmError, match=r"film.jpg: is no DICOM file, so that nothing says its study"):
        read_study_uid(picture)


@pytest.mark.parametrize("place", range(132, 420, 7))
def test_a_damaged_header_is_an_error_of_the_film(tmp_path: Path, place: int) -> None:
    content = bytearray(written(dicom(FILM, StudyInstanceUID=UID)))
    content[place : place + 3] = b"\xff\xff\xff"
    try:
        found = read_study_uid(stored(tmp_path, bytes(content)))
    except FilmError:
        return
    assert all(letter in "0123456789." for letter in found)


def test_a_header_of_endless_elements_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxrscribe.films.dicom._MOST_READS", 10)
    with pytest.raises(FilmError, match="damaged DICOM file"):
        read_study_uid(stored(tmp_path, written(dicom(FILM, StudyInstanceUID=UID))))

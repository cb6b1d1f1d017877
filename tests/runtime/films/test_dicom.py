"""Reading DICOM films in all encodings."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxrscribe.errors import FilmError, InputError
from cxrscribe.films.display import window
from cxrscribe.films.film import read_film
from cxrscribe.films.rules import FilmRules

pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom")

from pydicom.uid import (  # noqa: E402
    JPEG2000,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from support.dicom_file import RAMP, RAMP_12, dicom, encapsulated, shown_dicom, without, written  # noqa: E402

IDENTITY: dict[str, Any] = {"WindowCenter": 128, "WindowWidth": 256}
"""A window that shows 8 bits as they are."""


def test_jpeg_baseline() -> None:
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    frame = BytesIO()
    Image.fromarray(smooth).save(frame, "JPEG", quality=98)
    film = shown_dicom(encapsulated(frame.getvalue(), smooth, JPEGBaseline8Bit, **IDENTITY))
    assert np.abs(film.astype(int) - smooth).max() <= 4


@pytest.mark.parametrize("lossless", [True, False])
def test_jpeg_2000_of_8_bits(lossless: bool) -> None:
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    dataset = dicom(smooth, **IDENTITY)
    if lossless:
        dataset.compress(JPEG2000Lossless)
    else:
        dataset.compress(JPEG2000, j2k_cr=[4])
    film = shown_dicom(written(dataset))
    assert np.abs(film.astype(int) - smooth).max() <= (0 if lossless else 6)


def test_jpeg_2000_of_12_bits_with_a_window() -> None:
    attributes: dict[str, Any] = {"WindowCenter": 2000, "WindowWidth": 3000}
    plain = dicom(RAMP_12, 12, **attributes)
    packed = dicom(RAMP_12, 12, **attributes)
    packed.compress(JPEG2000Lossless)
    assert np.array_equal(shown_dicom(written(packed)), shown_dicom(written(plain)))


def test_rle_and_big_endian() -> None:
    packed = dicom(RAMP)
    packed.compress(RLELossless)
    assert np.array_equal(shown_dicom(written(packed)), RAMP)
    swapped = dicom(RAMP_12.astype(">u2"), 12, ExplicitVRBigEndian)
    content = BytesIO()
    swapped.save_as(content, enforce_file_format=True)
    assert np.array_equal(shown_dicom(content.getvalue()), shown_dicom(written(dicom(RAMP_12, 12))))


def test_colour_becomes_luma() -> None:
    colours = np.zeros((16, 16, 3), dtype=np.uint8)
    colours[...] = (200, 100, 50)
    assert np.all(shown_dicom(written(dicom(colours))) == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50))


def test_what_lies_in_unused_bits_is_not_seen() -> None:
    marked = RAMP_12.copy()
    marked[::2] |= 0x8000
    assert np.array_equal(shown_dicom(written(dicom(marked, 12))), shown_dicom(written(dicom(RAMP_12, 12))))


def test_high_bit_is_one_less_than_the_bits_stored() -> None:
    plain = shown_dicom(written(dicom(RAMP_12, 12)))
    assert np.array_equal(shown_dicom(written(without(dicom(RAMP_12, 12), "HighBit"))), plain)
    with pytest.raises(FilmError, match="12 bits with the high bit 15, not 11; shift them"):
        shown_dicom(written(dicom(RAMP_12 << 4, 12, HighBit=15)))


def test_real_films(shared_data: Path) -> None:
    films = shared_data / "films" / "dicom"
    upright = read_film(films / "chest_pa_jpeg.dcm")
    inverted = read_film(films / "chest_pa_monochrome1_tag.dcm")
    assert upright.shape == (1024, 1024)
    assert np.abs(inverted.astype(int) - (255 - upright.astype(int))).max() <= 1  # halves are rounded
    assert read_film(films / "chest_ap_jpeg.dcm").std() > 30


def test_file_without_preamble_is_read() -> None:
    content = written(dicom(RAMP))
    assert np.array_equal(read_film(content[132:]), read_film(content))


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"Modality": "CT"}, "modality CT, not a radiograph"),
        ({"Modality": "MG"}, "modality MG, not a radiograph"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "not a radiograph; --modality any"),
        ({"Modality": "DX", "BodyPartExamined": "HAND"}, r"another part of the body \(HAND\)"),
        ({"Modality": "CR", "BodyPartExamined": "PELVIS"}, "another part of the body"),
    ],
)
def test_what_is_no_film_of_a_chest_is_refused_unless_asked_for(
    attributes: dict[str, Any], said: str
) -> None:
    content = written(dicom(RAMP, **attributes))
    with pytest.raises(FilmError, match=said):
        read_film(content)
    assert np.array_equal(read_film(content, rules=FilmRules(modalities=())), RAMP)


@pytest.mark.parametrize(
    "attributes",
    [
        {"Modality": "CR"},
        {"Modality": "DX", "BodyPartExamined": "CHEST"},
        {"Modality": "DX", "BodyPartExamined": "TORAX AP"},
        {"Modality": "", "BodyPartExamined": ""},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
    ],
)
def test_films_of_chests_and_of_who_knows_are_read(attributes: dict[str, Any]) -> None:
    assert np.array_equal(read_film(written(dicom(RAMP, **attributes))), RAMP)


def test_modalities_are_codes() -> None:
    assert FilmRules(modalities=["mg", "CR"]).modalities == ("MG", "CR")
    assert FilmRules(modalities="mg").modalities == ("MG",)
    with pytest.raises(InputError, match="give DICOM's codes"):
        FilmRules(modalities=["x-ray of the chest"])


SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
"""Files that come with pydicom."""


@pytest.mark.parametrize("name", ["RLE", "bigendian", "expb", "implicit", "jp2klossless", "jpeg_ls_lossless"])
def test_lossless_encodings_of_one_picture_are_the_same(name: str) -> None:
    path = SHIPPED / f"MR_small_{name}.dcm"
    if not path.exists():
        pytest.skip(f"this pydicom comes without {path.name}")
    rules = FilmRules(modalities=())
    assert np.array_equal(read_film(path, rules=rules), read_film(SHIPPED / "MR_small.dcm", rules=rules))


def test_jpeg_of_12_bits(tmp_path: Path) -> None:
    path = SHIPPED / "JPGExtended.dcm"
    if not path.exists():
        pytest.skip(f"this pydicom comes without {path.name}")
    dataset = pydicom.dcmread(path)
    decoded = read_film(path, rules=FilmRules(modalities=()))
    command = "import sys, gdcm; r = gdcm.ImageReader(); r.SetFileName(sys.argv[1]); assert r.Read(); "
    command += "sys.stdout.buffer.write(r.GetImage().GetBuffer().encode('utf-8', 'surrogateescape'))"
    by_gdcm = subprocess.run([sys.executable, "-c", command, str(path)], capture_output=True, check=True)
    values = np.frombuffer(by_gdcm.stdout, "<u2" if not dataset.PixelRepresentation else "<i2").astype(float)
    values = values.reshape(decoded.shape) * float(dataset.get("RescaleSlope") or 1)
    values += float(dataset.get("RescaleIntercept") or 0)
    if dataset.get("WindowWidth"):
        expected = window(values, float(dataset.WindowCenter), float(dataset.WindowWidth)) * 255
    else:
        expected = (values - values.min()) / np.ptp(values) * 255
    assert np.abs(decoded - expected).max() <= 1

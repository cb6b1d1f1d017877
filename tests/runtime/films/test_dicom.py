"""Reading DICOM films: display pipeline and compressions."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxrscribe.errors import FilmError
from cxrscribe.films.dicom import read_dicom, window
from cxrscribe.films.film import read_film

pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom")

from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing  # noqa: E402
from pydicom.uid import (  # noqa: E402
    JPEG2000,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from support.dicom_file import RAMP, RAMP_12, dicom, encapsulated, lut, without, written  # noqa: E402


def test_8_bits_without_a_window_come_out_as_they_are() -> None:
    assert np.array_equal(read_dicom(written(dicom(RAMP))), RAMP)


def test_12_bits_without_a_window_are_scaled_over_their_full_range() -> None:
    film = read_dicom(written(dicom(RAMP_12, 12)))
    assert np.array_equal(film, np.rint(RAMP_12 / 4095 * 255).astype(np.uint8))


def test_signed_values_are_scaled_over_their_full_range() -> None:
    signed = np.linspace(-2048, 2047, 32 * 32).round().astype(np.int16).reshape(32, 32)
    film = read_dicom(written(dicom(signed, 12)))
    assert np.array_equal(film, np.rint((signed + 2048.0) / 4095 * 255).astype(np.uint8))


def test_monochrome1_is_inverted() -> None:
    assert np.array_equal(
        read_dicom(written(dicom(RAMP, PhotometricInterpretation="MONOCHROME1"))), 255 - RAMP
    )


def test_presentation_lut_shape_inverse_is_honoured_once() -> None:
    assert np.array_equal(read_dicom(written(dicom(RAMP, PresentationLUTShape="IDENTITY"))), RAMP)
    assert np.array_equal(read_dicom(written(dicom(RAMP, PresentationLUTShape="INVERSE"))), 255 - RAMP)
    both = dicom(RAMP, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")
    assert np.array_equal(read_dicom(written(both)), 255 - RAMP)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_window_as_pydicom_applies_it(function: str) -> None:
    dataset = dicom(RAMP_12, 12, WindowCenter=1800, WindowWidth=900, VOILUTFunction=function)
    reference = apply_windowing(RAMP_12, dataset) / 4095 * 255
    assert np.abs(read_dicom(written(dataset)) - reference).max() <= 0.5 + 1e-6


def test_window_follows_the_modality_rescaling() -> None:
    dataset = dicom(RAMP_12, 12, RescaleSlope=0.5, RescaleIntercept=-200, WindowCenter=600, WindowWidth=400)
    rescaled = apply_modality_lut(RAMP_12, dataset)
    expected = np.clip((rescaled - 599.5) / 399 + 0.5, 0, 1) * 255
    assert np.abs(read_dicom(written(dataset)) - expected).max() <= 0.5 + 1e-6


def test_inversion_comes_after_the_window() -> None:
    attributes: dict[str, Any] = {"WindowCenter": 1000, "WindowWidth": 500}
    upright = read_dicom(written(dicom(RAMP_12, 12, **attributes)))
    inverted = read_dicom(written(dicom(RAMP_12, 12, PhotometricInterpretation="MONOCHROME1", **attributes)))
    assert np.array_equal(inverted, 255 - upright)


def test_first_of_several_windows_counts() -> None:
    one = dicom(RAMP_12, 12, WindowCenter=1000, WindowWidth=500)
    two = dicom(RAMP_12, 12, WindowCenter=[1000, 3000], WindowWidth=[500, 100])
    assert np.array_equal(read_dicom(written(one)), read_dicom(written(two)))


def test_window_of_width_1_is_a_threshold() -> None:
    film = read_dicom(written(dicom(RAMP, WindowCenter=100, WindowWidth=1)))
    assert np.array_equal(film, np.where(RAMP > 99.5, 255, 0))


def test_falling_rescale_slope_turns_the_brightness_over() -> None:
    film = read_dicom(written(dicom(RAMP, RescaleSlope=-1, RescaleIntercept=255)))
    assert np.array_equal(film, 255 - RAMP)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize(("first", "bits"), [(0, 16), (100, 12), (100, 8)])
@pytest.mark.parametrize("kind", ["US", "OW"])
def test_voi_lut_is_looked_up(syntax: str, first: int, bits: int, kind: str) -> None:
    curve = [round((i / 599) ** 2 * ((1 << bits) - 1)) for i in range(600)]
    table = lut(curve, first, bits, kind)
    dataset = dicom(RAMP_12, 12, syntax, VOILUTSequence=[table], WindowCenter=1, WindowWidth=2)
    looked_up = np.array(curve)[np.clip(RAMP_12.astype(int) - first, 0, 599)]
    if bits > 8:  # pydicom 3.0 clips the places of an 8-bit table to 8 bits too
        assert np.array_equal(apply_voi_lut(RAMP_12, dataset, prefer_lut=True), looked_up)
    expected = looked_up / ((1 << bits) - 1) * 255
    assert np.abs(read_dicom(written(dataset)) - expected).max() <= 0.5 + 1e-6


def test_8_bit_voi_lut_packed_two_to_a_word() -> None:
    table = lut([], 0, 8)
    table.add_new("LUTDescriptor", "US", [256, 0, 8])
    table.add_new("LUTData", "OW", bytes(255 - value for value in range(256)))
    assert np.array_equal(read_dicom(written(dicom(RAMP, VOILUTSequence=[table]))), 255 - RAMP)


def test_modality_lut_comes_before_the_window() -> None:
    curve = [65535 - 256 * i for i in range(256)]
    sequence = [lut(curve, 0, 16)]
    dataset = dicom(RAMP, ModalityLUTSequence=sequence, WindowCenter=30000, WindowWidth=20000)
    expected = np.clip((np.array(curve)[RAMP] - 29999.5) / 19999 + 0.5, 0, 1) * 255
    assert np.abs(read_dicom(written(dataset)) - expected).max() <= 0.5 + 1e-6


def test_jpeg_baseline() -> None:
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    frame = BytesIO()
    Image.fromarray(smooth).save(frame, "JPEG", quality=98)
    film = read_dicom(encapsulated(frame.getvalue(), smooth, JPEGBaseline8Bit))
    assert np.abs(film.astype(int) - smooth).max() <= 4


@pytest.mark.parametrize("lossless", [True, False])
def test_jpeg_2000_of_8_bits(lossless: bool) -> None:
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    dataset = dicom(smooth)
    if lossless:
        dataset.compress(JPEG2000Lossless)
    else:
        dataset.compress(JPEG2000, j2k_cr=[4])
    film = read_dicom(written(dataset))
    assert np.abs(film.astype(int) - smooth).max() <= (0 if lossless else 6)


def test_jpeg_2000_of_12_bits_with_a_window() -> None:
    attributes: dict[str, Any] = {"WindowCenter": 2000, "WindowWidth": 3000}
    plain = dicom(RAMP_12, 12, **attributes)
    packed = dicom(RAMP_12, 12, **attributes)
    packed.compress(JPEG2000Lossless)
    assert np.array_equal(read_dicom(written(packed)), read_dicom(written(plain)))


def test_rle_and_big_endian() -> None:
    packed = dicom(RAMP)
    packed.compress(RLELossless)
    assert np.array_equal(read_dicom(written(packed)), RAMP)
    swapped = dicom(RAMP_12.astype(">u2"), 12, ExplicitVRBigEndian)
    content = BytesIO()
    swapped.save_as(content, enforce_file_format=True)
    assert np.array_equal(read_dicom(content.getvalue()), read_dicom(written(dicom(RAMP_12, 12))))


def test_colour_becomes_luma() -> None:
    colours = np.zeros((16, 16, 3), dtype=np.uint8)
    colours[...] = (200, 100, 50)
    assert np.all(read_dicom(written(dicom(colours))) == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50))


def test_what_lies_in_unused_bits_is_not_seen() -> None:
    marked = RAMP_12.copy()
    marked[::2] |= 0x8000
    assert np.array_equal(read_dicom(written(dicom(marked, 12))), read_dicom(written(dicom(RAMP_12, 12))))


def test_high_bit_is_one_less_than_the_bits_stored() -> None:
    plain = read_dicom(written(dicom(RAMP_12, 12)))
    assert np.array_equal(read_dicom(written(without(dicom(RAMP_12, 12), "HighBit"))), plain)
    with pytest.raises(FilmError, match="12 bits with the high bit 15, not 11; shift them"):
        read_dicom(written(dicom(RAMP_12 << 4, 12, HighBit=15)))


def test_window_of_the_standards_example() -> None:
    # PS3.3, C.11.2.1.2: center 2048, width 4096 of 12 bits is the identity.
    values = np.arange(4096, dtype=np.float64)
    assert np.allclose(window(values, 2048, 4096), values / 4095)


def test_real_films(shared_data: Path) -> None:
    films = shared_data / "films" / "dicom"
    upright = read_film(films / "chest_pa_jpeg.dcm")
    inverted = read_film(films / "chest_pa_monochrome1_tag.dcm")
    assert upright.shape == (1024, 1024)
    assert np.array_equal(inverted, 255 - upright)
    assert read_film(films / "chest_ap_jpeg.dcm").std() > 30

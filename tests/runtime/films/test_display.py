"""Showing DICOM films, held against pydicom's own pipeline where it has one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cxrscribe.errors import FilmError
from cxrscribe.films.display import window
from cxrscribe.films.rules import FilmRules

pytest.importorskip("pydicom", reason="needs the extra dicom")

from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from support.dicom_file import RAMP, RAMP_12, dicom, lut, shown_dicom, written

pytestmark = pytest.mark.arm64

LOW = (RAMP_12 // 16 + 1000).astype(np.uint16)
"""256 grey levels, 1,000 to 1,255, in 16 bits."""
RANGE = np.rint((LOW - 1000.0) / 255 * 255).astype(np.uint8)

OLD = FilmRules(version=1)


def test_8_bits_without_a_window_come_out_as_they_are() -> None:
    assert np.array_equal(shown_dicom(written(dicom(RAMP))), RAMP)


def test_12_bits_without_a_window_are_scaled_over_their_full_range() -> None:
    film = shown_dicom(written(dicom(RAMP_12, 12)))
    assert np.array_equal(film, np.rint(RAMP_12 / 4095 * 255).astype(np.uint8))


def test_signed_values_are_scaled_over_their_full_range() -> None:
    signed = np.linspace(-2048, 2047, 32 * 32).round().astype(np.int16).reshape(32, 32)
    film = shown_dicom(written(dicom(signed, 12)))
    assert np.array_equal(film, np.rint((signed + 2048.0) / 4095 * 255).astype(np.uint8))


def test_monochrome1_is_inverted() -> None:
    assert np.array_equal(
        shown_dicom(written(dicom(RAMP, PhotometricInterpretation="MONOCHROME1"))), 255 - RAMP
    )


def test_presentation_lut_shape_inverse_is_honoured_once() -> None:
    assert np.array_equal(shown_dicom(written(dicom(RAMP, PresentationLUTShape="IDENTITY"))), RAMP)
    assert np.array_equal(shown_dicom(written(dicom(RAMP, PresentationLUTShape="INVERSE"))), 255 - RAMP)
    both = dicom(RAMP, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")
    assert np.array_equal(shown_dicom(written(both)), 255 - RAMP)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_window_as_pydicom_applies_it(function: str) -> None:
    dataset = dicom(RAMP_12, 12, WindowCenter=1800, WindowWidth=900, VOILUTFunction=function)
    reference = apply_windowing(RAMP_12, dataset) / 4095 * 255
    assert np.abs(shown_dicom(written(dataset)) - reference).max() <= 0.5 + 1e-6


def test_window_follows_the_modality_rescaling() -> None:
    dataset = dicom(RAMP_12, 12, RescaleSlope=0.5, RescaleIntercept=-200, WindowCenter=600, WindowWidth=400)
    rescaled = apply_modality_lut(RAMP_12, dataset)
    expected = np.clip((rescaled - 599.5) / 399 + 0.5, 0, 1) * 255
    assert np.abs(shown_dicom(written(dataset)) - expected).max() <= 0.5 + 1e-6


def test_inversion_comes_after_the_window() -> None:
    attributes: dict[str, Any] = {"WindowCenter": 1000, "WindowWidth": 500}
    upright = shown_dicom(written(dicom(RAMP_12, 12, **attributes)))
    inverted = shown_dicom(written(dicom(RAMP_12, 12, PhotometricInterpretation="MONOCHROME1", **attributes)))
    assert np.array_equal(inverted, 255 - upright)


def test_first_of_several_windows_counts() -> None:
    one = dicom(RAMP_12, 12, WindowCenter=1000, WindowWidth=500)
    two = dicom(RAMP_12, 12, WindowCenter=[1000, 3000], WindowWidth=[500, 100])
    assert np.array_equal(shown_dicom(written(one)), shown_dicom(written(two)))


def test_window_of_width_1_is_a_threshold() -> None:
    film = shown_dicom(written(dicom(RAMP, WindowCenter=100, WindowWidth=1)))
    assert np.array_equal(film, np.where(RAMP > 99.5, 255, 0))


def test_falling_rescale_slope_turns_the_brightness_over() -> None:
    film = shown_dicom(written(dicom(RAMP, RescaleSlope=-1, RescaleIntercept=255)))
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
    assert np.abs(shown_dicom(written(dataset)) - expected).max() <= 0.5 + 1e-6


def test_8_bit_voi_lut_packed_two_to_a_word() -> None:
    table = lut([], 0, 8)
    table.add_new("LUTDescriptor", "US", [256, 0, 8])
    table.add_new("LUTData", "OW", bytes(255 - value for value in range(256)))
    assert np.array_equal(shown_dicom(written(dicom(RAMP, VOILUTSequence=[table]))), 255 - RAMP)


def test_modality_lut_comes_before_the_window() -> None:
    curve = [65535 - 256 * i for i in range(256)]
    sequence = [lut(curve, 0, 16)]
    dataset = dicom(RAMP, ModalityLUTSequence=sequence, WindowCenter=30000, WindowWidth=20000)
    expected = np.clip((np.array(curve)[RAMP] - 29999.5) / 19999 + 0.5, 0, 1) * 255
    assert np.abs(shown_dicom(written(dataset)) - expected).max() <= 0.5 + 1e-6


def test_window_of_the_standards_example() -> None:
    # PS3.3, C.11.2.1.2: center 2048, width 4096 of 12 bits is the identity.
    values = np.arange(4096, dtype=np.float64)
    assert np.allclose(window(values, 2048, 4096), values / 4095)


def test_without_a_window_the_range_of_the_pixels_is_shown() -> None:
    assert np.array_equal(shown_dicom(written(dicom(LOW, 16))), RANGE)
    assert shown_dicom(written(dicom(LOW, 16)), rules=OLD).max() < 8
    inverted = shown_dicom(written(dicom(LOW, 16, PhotometricInterpretation="MONOCHROME1")))
    assert np.array_equal(inverted, 255 - RANGE)


@pytest.mark.parametrize(("center", "width"), [(60000, 100), (10, 5), (None, None), (1100, 0), (1100, None)])
def test_window_that_shows_nothing_counts_as_absent(center: float | None, width: float | None) -> None:
    assert np.array_equal(shown_dicom(written(dicom(LOW, 16, WindowCenter=center, WindowWidth=width))), RANGE)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("value", [0, 4095])
def test_padding_is_background_and_counts_for_no_range(photometric: str, value: int) -> None:
    padded = LOW.copy()
    padded[:4] = value
    plain = shown_dicom(written(dicom(LOW, 12, PhotometricInterpretation=photometric)))
    film = shown_dicom(
        written(dicom(padded, 12, PhotometricInterpretation=photometric, PixelPaddingValue=value))
    )
    assert not film[:4].any()
    lowest, highest = LOW[4:].min(), LOW[4:].max()
    expected = np.rint((LOW[4:].astype(float) - lowest) / (highest - lowest) * 255)
    turned = photometric == "MONOCHROME1"
    assert np.abs(film[4:] - (255 - expected if turned else expected)).max() <= 1
    assert plain.shape == film.shape


def test_range_of_padding_and_padding_alone() -> None:
    padded = LOW.copy()
    padded[0], padded[1] = 0, 5
    film = shown_dicom(written(dicom(padded, 16, PixelPaddingValue=0, PixelPaddingRangeLimit=5)))
    assert not film[:2].any()
    assert film[2:].max() == 255
    assert not shown_dicom(written(dicom(LOW * 0, 16, PixelPaddingValue=0))).any()


def test_signed_padding_that_was_written_unsigned() -> None:
    signed = LOW.astype(np.int16)
    signed[:4] = -2000
    film = shown_dicom(written(dicom(signed, 16, PixelPaddingValue=-2000)))
    assert not film[:4].any()
    assert (film[4:].min(), film[4:].max()) == (0, 255)


def test_lut_is_scaled_by_its_largest_value_where_that_needs_fewer_bits() -> None:
    curve = [4095 * i // 599 for i in range(600)]
    claims_16, claims_12 = (
        shown_dicom(written(dicom(RAMP_12, 12, VOILUTSequence=[lut(curve, 1000, bits)]))) for bits in (16, 12)
    )
    assert np.array_equal(claims_16, claims_12)
    assert claims_16.max() == 255
    old = shown_dicom(written(dicom(RAMP_12, 12, VOILUTSequence=[lut(curve, 1000, 16)])), rules=OLD)
    assert old.max() == 16
    dim = [30000 * i // 599 for i in range(600)]  # needs 15 of 16 bits
    assert shown_dicom(written(dicom(RAMP_12, 12, VOILUTSequence=[lut(dim, 0, 16)]))).max() == 255
    bright = [40000 * i // 599 for i in range(600)]  # needs all 16: white isn't reached
    assert shown_dicom(written(dicom(RAMP_12, 12, VOILUTSequence=[lut(bright, 0, 16)]))).max() == 156


def test_first_value_of_a_lut_below_0_may_be_written_unsigned() -> None:
    signed = np.linspace(-2048, 2047, 32 * 32).round().astype(np.int16).reshape(32, 32)
    table = lut([4095 - i for i in range(4096)], 65536 - 2048, 12)
    film = shown_dicom(written(dicom(signed, 12, VOILUTSequence=[table])))
    assert np.array_equal(film, np.rint((2047.0 - signed) / 4095 * 255).astype(np.uint8))


@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_lut_without_data_counts_as_absent(sequence: str) -> None:
    for items in ([], [Dataset()], [lut([], 0, 16)]):
        assert np.array_equal(shown_dicom(written(dicom(LOW, 16, **{sequence: items}))), RANGE)


@pytest.mark.parametrize(("ratio", "shape"), [([2, 1], (32, 16)), ([1, 2], (16, 32)), ([7, 7], (16, 16))])
def test_pixels_are_made_square(ratio: list[int], shape: tuple[int, int]) -> None:
    film = shown_dicom(written(dicom(RAMP, PixelAspectRatio=ratio)))
    assert film.shape == shape
    assert shown_dicom(written(dicom(RAMP, PixelAspectRatio=ratio)), rules=OLD).shape == (16, 16)


def test_spacing_tells_where_no_ratio_does() -> None:
    assert shown_dicom(written(dicom(RAMP, ImagerPixelSpacing=[0.4, 0.2]))).shape == (32, 16)
    assert shown_dicom(written(dicom(RAMP, ImagerPixelSpacing=[0.2, 0.2001]))).shape == (16, 16)
    assert shown_dicom(written(dicom(RAMP, PixelSpacing=[1, 1], ImagerPixelSpacing=[2, 1]))).shape == (16, 16)


@pytest.mark.parametrize("ratio", [1, [0, 1], []])
def test_aspect_ratio_that_is_none_counts_as_absent(ratio: object) -> None:
    assert np.array_equal(shown_dicom(written(dicom(RAMP, PixelAspectRatio=ratio))), RAMP)


def test_spacing_that_is_no_number_counts_as_absent() -> None:
    content = written(dicom(RAMP, ImagerPixelSpacing=[0.143, 0.286]))
    assert content.count(b"0.143\\0.286") == 1
    assert np.array_equal(shown_dicom(content.replace(b"0.143\\0.286", b"0,143\\0,286")), RAMP)


def test_film_that_a_ratio_makes_too_large_is_refused() -> None:
    with pytest.raises(FilmError, match="too large"):
        shown_dicom(written(dicom(RAMP, PixelAspectRatio=[30000, 1])))


def test_range_of_padding_that_covers_everything_is_none() -> None:
    everything = {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095}
    assert np.array_equal(shown_dicom(written(dicom(LOW, 12, **everything))), RANGE)

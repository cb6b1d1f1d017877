"""Reading DICOM films: display pipeline, compressions, refusals, and silence about patients."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxrscribe.dicom import read_dicom, window
from cxrscribe.errors import FilmError, MissingExtraError
from cxrscribe.film import read_film

pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing  # noqa: E402
from pydicom.uid import (  # noqa: E402
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

NAME, NUMBER = "Roentgen^Anna Bertha", "PAT-1895-1108"


def dicom(
    pixels: np.ndarray, bits: int = 8, syntax: str = ExplicitVRLittleEndian, **attributes: Any
) -> Dataset:
    """A radiograph of one frame with stored values `pixels`."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3.4"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = NAME, NUMBER, "18950101"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * pixels.itemsize, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def written(dataset: Dataset) -> bytes:
    content = BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


def encapsulated(frame: bytes, pixels: np.ndarray, syntax: str, **attributes: Any) -> bytes:
    dataset = dicom(pixels, syntax=syntax, **attributes)
    dataset.PixelData = encapsulate([frame])
    return written(dataset)


def lut(values: list[int], first: int, bits: int, kind: str = "US") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), first, bits])
    item.add_new("LUTData", kind, values if kind == "US" else np.array(values, dtype="<u2").tobytes())
    return item


RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
RAMP_12 = np.linspace(0, 4095, 32 * 32).round().astype(np.uint16).reshape(32, 32)


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


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_picture_larger_than_the_header_says_is_not_decoded(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = BytesIO()
    Image.new("L", (600, 600)).save(frame, kind)
    bomb = encapsulated(frame.getvalue(), RAMP, JPEGBaseline8Bit if kind == "JPEG" else JPEG2000)
    monkeypatch.setattr("pydicom.pixels.pixel_array", lambda dataset: pytest.fail("decoded"))
    with pytest.raises(FilmError, match="another size than its header says"):
        read_dicom(bomb)


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


def test_multi_frame_is_refused_with_a_reason() -> None:
    with pytest.raises(FilmError, match="multi-frame DICOM file of 2 frames"):
        read_dicom(written(dicom(RAMP, NumberOfFrames=2, PixelData=RAMP.tobytes() * 2)))


def test_what_lies_in_unused_bits_is_not_seen() -> None:
    marked = RAMP_12.copy()
    marked[::2] |= 0x8000
    assert np.array_equal(read_dicom(written(dicom(marked, 12))), read_dicom(written(dicom(RAMP_12, 12))))


def test_high_bit_is_one_less_than_the_bits_stored() -> None:
    plain = read_dicom(written(dicom(RAMP_12, 12)))
    assert np.array_equal(read_dicom(written(without(dicom(RAMP_12, 12), "HighBit"))), plain)
    with pytest.raises(FilmError, match="12 bits with the high bit 15, not 11; shift them"):
        read_dicom(written(dicom(RAMP_12 << 4, 12, HighBit=15)))


def test_compressed_values_beyond_the_stored_bits_are_refused() -> None:
    dataset = dicom(RAMP_12, 12)
    dataset.compress(JPEG2000Lossless)
    dataset.BitsStored, dataset.HighBit = 10, 9
    with pytest.raises(FilmError, match="beyond the 10 bits"):
        read_dicom(written(dataset))


def test_compressed_bytes_that_are_not_full_are_refused() -> None:
    frame = BytesIO()
    Image.fromarray(RAMP).save(frame, "JPEG")
    with pytest.raises(FilmError, match="compressed DICOM pixels of 7 bits in bytes"):
        read_dicom(encapsulated(frame.getvalue(), RAMP, JPEGBaseline8Bit, BitsStored=7, HighBit=6))


# Written as numbers and then replaced in the file, for pydicom writes no such thing.
@pytest.mark.parametrize(
    ("name", "number", "written_as"),
    [
        ("RescaleSlope", "1.25", b"nan "),
        ("RescaleSlope", "1.25", b"inf "),
        ("RescaleSlope", "1.2345", b"1e400 "),
        ("RescaleSlope", "1.2345", b"1e308 "),
        ("RescaleSlope", "1.25", b"0.00"),
        ("RescaleIntercept", "1.25", b"nan "),
        ("RescaleIntercept", "1.25", b"-inf"),
    ],
)
@pytest.mark.parametrize("attributes", [{}, {"WindowCenter": 1000, "WindowWidth": 500}])
def test_rescaling_that_has_no_meaning_is_refused(
    name: str, number: str, written_as: bytes, attributes: dict[str, Any]
) -> None:
    content = written(dicom(RAMP_12, 12, **{name: number}, **attributes))
    assert content.count(number.encode()) == 1
    with pytest.raises(FilmError, match="which no film can have"):
        read_dicom(content.replace(number.encode().ljust(len(written_as)), written_as))


def test_rescaling_without_a_value_is_refused() -> None:
    for name in ("RescaleSlope", "RescaleIntercept"):
        with pytest.raises(FilmError, match="display attributes that can't be applied"):
            read_dicom(written(dicom(RAMP_12, 12, **{name: None})))


def without(dataset: Dataset, *names: str) -> Dataset:
    for name in names:
        delattr(dataset, name)
    return dataset


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (without(dicom(RAMP), "PixelData"), "without a picture"),
        (without(dicom(RAMP), "Rows"), "without a picture"),
        (dicom(RAMP, Rows=15), "16 x 15 pixels, too small"),
        (dicom(RAMP, Rows=20_001), "too large"),
        (dicom(RAMP, Rows=15_000, Columns=15_000), "too large"),
        (dicom(RAMP, Rows=200), "can't be decoded"),
        (dicom(RAMP, PixelData=b"\0" * 100), "can't be decoded"),
        (dicom(RAMP, PhotometricInterpretation="PALETTE COLOR"), "'PALETTE COLOR', not a grey film"),
        (dicom(np.zeros((16, 16, 3), np.uint16), 16), "more than 8 bits"),
        (dicom(RAMP, WindowCenter=1, WindowWidth=0), "width 0, which the standard forbids"),
        (dicom(RAMP, WindowCenter=1, WindowWidth=9, VOILUTFunction="CUBIC"), "VOI LUT Function"),
        (dicom(RAMP, VOILUTSequence=[lut([1, 2], 0, 4)]), "LUT of 4 bits"),
        (dicom(RAMP, syntax=DeflatedExplicitVRLittleEndian), "deflated"),
        (dicom(np.zeros((32, 32), np.uint32), 32), "1 to 16 are read"),
    ],
)
def test_what_is_no_film_is_refused_with_a_reason(dataset: Dataset, message: str) -> None:
    with pytest.raises(FilmError, match=message):
        read_dicom(written(dataset))


def test_truncated_file(tmp_path: Path) -> None:
    content = written(dicom(RAMP_12, 12))
    for cut in (140, 200, 400, len(content) // 2, len(content) - 10):
        path = tmp_path / "film.dcm"
        path.write_bytes(content[:cut])
        with pytest.raises(FilmError) as caught:
            read_film(path)
        assert str(caught.value).startswith(f"{path}: ")


def test_missing_extra_is_named_in_the_films_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    content = written(dicom(RAMP))
    with pytest.raises(MissingExtraError):
        read_dicom(content)
    with pytest.raises(FilmError, match=r"film of \d+ bytes: reading DICOM needs the extra 'dicom'"):
        read_film(content)


def test_nothing_about_the_patient_gets_out(caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    odd = dicom(RAMP)
    odd.PatientBirthDate = ""
    content = written(odd).replace(b"18950101", b"born1895")
    variants = [content, content[:-200], content[: len(content) // 2], written(dicom(RAMP, Rows=3000))]
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for variant in variants:
            try:
                read_film(variant)
            except FilmError as error:
                said += [str(error), str(error.__cause__)]
    said += [str(warning.message) for warning in caught] + [caplog.text]
    for secret in (NAME, NUMBER, "Roentgen", "1895", "1.2.3.4"):
        assert all(secret not in text for text in said)


def test_pydicom_is_quiet_from_the_first_film_on() -> None:
    script = (
        "import logging, warnings\n"
        "from cxrscribe.dicom import read_dicom\n"
        "from cxrscribe.errors import FilmError\n"
        "try: read_dicom(b'no film')\n"
        "except FilmError: pass\n"
        "warnings.warn_explicit('a name', UserWarning, 'values.py', 1, module='pydicom.values')\n"
        "logging.getLogger('pydicom').error('a name')\n"
    )
    command = [sys.executable, "-W", "always", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_who_turns_pydicom_up_again_keeps_hearing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    content = written(dicom(RAMP))
    read_dicom(content)
    monkeypatch.setattr(logging.getLogger("pydicom"), "level", logging.INFO)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module="pydicom")
        chosen = list(warnings.filters)
        read_dicom(content)
        assert warnings.filters == chosen
    assert logging.getLogger("pydicom").level == logging.INFO


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

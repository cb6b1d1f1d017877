"""What of DICOM is no film: refused with a reason, and silent about patients."""

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

from cxrscribe.errors import FilmError, MissingExtraError
from cxrscribe.films.dicom import transfer_syntax
from cxrscribe.films.film import read_film

pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom")

from pydicom.dataset import Dataset  # noqa: E402
from pydicom.uid import (  # noqa: E402
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
)

from support.dicom_file import (  # noqa: E402
    NAME,
    NUMBER,
    RAMP,
    RAMP_12,
    dicom,
    encapsulated,
    lut,
    shown_dicom,
    without,
    written,
)


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_picture_larger_than_the_header_says_is_not_decoded(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = BytesIO()
    Image.new("L", (600, 600)).save(frame, kind)
    bomb = encapsulated(frame.getvalue(), RAMP, JPEGBaseline8Bit if kind == "JPEG" else JPEG2000)
    monkeypatch.setattr("pydicom.pixels.pixel_array", lambda dataset: pytest.fail("decoded"))
    with pytest.raises(FilmError, match="another size than its header says"):
        shown_dicom(bomb)


def test_multi_frame_is_refused_with_a_reason() -> None:
    with pytest.raises(FilmError, match="multi-frame DICOM file of 2 frames"):
        shown_dicom(written(dicom(RAMP, NumberOfFrames=2, PixelData=RAMP.tobytes() * 2)))


def test_compressed_values_beyond_the_stored_bits_are_refused() -> None:
    dataset = dicom(RAMP_12, 12)
    dataset.compress(JPEG2000Lossless)
    dataset.BitsStored, dataset.HighBit = 10, 9
    with pytest.raises(FilmError, match="beyond the 10 bits"):
        shown_dicom(written(dataset))


def test_compressed_bytes_may_have_fewer_bits_but_not_say_so() -> None:
    for pixels, is_read in ((RAMP, False), (RAMP // 4 + 10, True)):
        frame = BytesIO()
        Image.fromarray(pixels).save(frame, "JPEG", quality=95)
        content = encapsulated(frame.getvalue(), pixels, JPEGBaseline8Bit, BitsStored=7, HighBit=6)
        if is_read:
            assert shown_dicom(content).shape == pixels.shape
        else:
            with pytest.raises(FilmError, match="beyond the 7 bits"):
                shown_dicom(content)


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
        shown_dicom(content.replace(number.encode().ljust(len(written_as)), written_as))


def test_rescaling_without_a_value_is_no_rescaling() -> None:
    plain = shown_dicom(written(dicom(RAMP_12, 12)))
    for name in ("RescaleSlope", "RescaleIntercept"):
        assert np.array_equal(shown_dicom(written(dicom(RAMP_12, 12, **{name: None}))), plain)


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
        (dicom(RAMP, PhotometricInterpretation="PALETTE COLOR"), "colours of a palette, but without one"),
        (dicom(RAMP, PhotometricInterpretation="HSV"), "photometric interpretation HSV, not a grey film"),
        (dicom(np.zeros((16, 16, 3), np.uint16), 16), "more than 8 bits"),
        (dicom(RAMP, WindowCenter=1, WindowWidth=-1), "width -1, which the standard forbids"),
        (dicom(RAMP, WindowCenter=1, WindowWidth=9, VOILUTFunction="CUBIC"), "VOI LUT Function"),
        (dicom(RAMP, VOILUTSequence=[lut([1, 2], 0, 4)]), "LUT of 4 bits"),
        (dicom(np.zeros((32, 32), np.uint32), 32), "1 to 16 are read"),
    ],
)
def test_what_is_no_film_is_refused_with_a_reason(dataset: Dataset, message: str) -> None:
    with pytest.raises(FilmError, match=message):
        shown_dicom(written(dataset))


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
    monkeypatch.setitem(sys.modules, "pydicom.filereader", None)
    content = written(dicom(RAMP))
    with pytest.raises(MissingExtraError):
        shown_dicom(content)
    with pytest.raises(FilmError, match=r"film of \d+ bytes: reading DICOM needs the extra 'dicom'"):
        read_film(content)


def test_elements_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = dicom(RAMP)
    for place in range(0x10, 0x50):
        dataset.add_new((0x0009, place), "LO", "x")
    content = written(dataset)
    assert shown_dicom(content).shape == RAMP.shape
    monkeypatch.setattr("cxrscribe.films.dicom._MOST_READS", 50)
    with pytest.raises(FilmError, match="of too many elements"):
        shown_dicom(content)


def test_items_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = dicom(RAMP)
    dataset.add_new((0x0009, 0x1001), "SQ", [Dataset() for _ in range(900)])
    dataset[0x0009, 0x1001].is_undefined_length = True
    assert shown_dicom(written(dataset)).shape == RAMP.shape
    monkeypatch.setattr("cxrscribe.films.dicom._MOST_READS", 900)
    with pytest.raises(FilmError, match="of too many elements"):
        shown_dicom(written(dataset))


def test_a_long_file_meta_information_is_not_understood() -> None:
    content = written(dicom(RAMP))
    place = 132 + 12  # behind the length of the group
    many = content[:place] + b"\x02\0\x02\x01UI\0\0" * 2000 + content[place:]
    assert transfer_syntax(many) is None


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
        "from cxrscribe.films.dicom import read_dicom\n"
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
    shown_dicom(content)
    monkeypatch.setattr(logging.getLogger("pydicom"), "level", logging.INFO)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module="pydicom")
        chosen = list(warnings.filters)
        shown_dicom(content)
        assert warnings.filters == chosen
    assert logging.getLogger("pydicom").level == logging.INFO

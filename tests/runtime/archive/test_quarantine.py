"""The reason of each film that can't be done, held against what the reader of films says."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian

import cxrscribe
from cxrscribe.archive.quarantine import quarantined
from cxrscribe.errors import FilmError, Reason
from cxrscribe.reporter import Reporter
from support.archive_films import small_film
from support.dicom_file import RAMP, dicom, written

CR = {"Modality": "CR"}


def picture(shape: tuple[int, int], kind: str = "PNG") -> bytes:
    content = BytesIO()
    Image.fromarray((np.indices(shape).sum(0) % 251).astype(np.uint8)).save(content, kind)
    return content.getvalue()


def animation() -> bytes:
    content = BytesIO()
    frames = [Image.fromarray(np.full((32, 32), level, np.uint8)) for level in (0, 200)]
    frames[0].save(content, "PNG", save_all=True, append_images=frames[1:])
    return content.getvalue()


FILMS: dict[str, tuple[Callable[[], bytes], Reason]] = {
    "words": (lambda: b"words and words", Reason.NOT_A_RADIOGRAPH),
    "a GIF": (lambda: picture((32, 32), "GIF"), Reason.NOT_A_RADIOGRAPH),
    "a CT": (lambda: written(dicom(RAMP, Modality="CT")), Reason.NOT_A_RADIOGRAPH),
    "a hand": (lambda: written(dicom(RAMP, **CR, BodyPartExamined="HAND")), Reason.NOT_A_RADIOGRAPH),
    "an even film": (lambda: _saved(np.full((64, 64), 90, np.uint8)), Reason.NOT_A_RADIOGRAPH),
    "an icon": (lambda: picture((8, 8)), Reason.NOT_A_RADIOGRAPH),
    "nothing": (lambda: b"", Reason.TRUNCATED),
    "a PNG that is cut off": (lambda: small_film(0)[:200], Reason.TRUNCATED),
    "a JPEG that is cut off": (lambda: picture((400, 400), "JPEG")[:3000], Reason.TRUNCATED),
    "a PNG without a header": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(60), Reason.UNREADABLE),
    "two frames": (lambda: written(dicom(RAMP, **CR, NumberOfFrames=2)), Reason.SEVERAL_FRAMES),
    "an animation": (animation, Reason.SEVERAL_FRAMES),
    "a strip": (lambda: picture((16, 20_001)), Reason.TOO_LARGE),
    "colours of 16 bits": (
        lambda: written(dicom(np.zeros((16, 16, 3), np.uint16), 16, **CR)),
        Reason.UNSUPPORTED,
    ),
    "half a deflated file": (
        lambda: written(dicom(RAMP, syntax=DeflatedExplicitVRLittleEndian, **CR))[:-40],
        Reason.TRUNCATED,
    ),
    "12 of 16 bits on the left": (
        lambda: written(dicom(RAMP.astype(np.uint16), bits=12, **CR, HighBit=15)),
        Reason.UNSUPPORTED,
    ),
}


def _saved(pixels: np.ndarray) -> bytes:
    content = BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize("name", FILMS)
def test_reason_is_what_the_reader_says(reporter: Reporter, name: str) -> None:
    make, reason = FILMS[name]
    (outcome,) = reporter.report_stream([make()])
    assert isinstance(outcome, FilmError)
    found = quarantined(outcome)
    assert (found.reason, str(found)) == (reason, str(outcome).partition(": ")[2])
    assert "film of" not in str(found)


def test_search_without_a_report_is_no_fault_of_the_file(reporter: Reporter) -> None:
    words = tuple(word for word in reporter.vocabulary.words if not word.startswith("<"))
    settings = cxrscribe.BeamSettings(beam_width=1, min_length=3, max_length=4, banned_words=words)
    (outcome,) = reporter.report_stream([small_film(0)], settings)
    assert isinstance(outcome, FilmError)
    assert quarantined(outcome).reason is Reason.SEARCH_FAILED

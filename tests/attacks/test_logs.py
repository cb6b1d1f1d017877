"""Applications that log everything: what films say of their patients isn't in it."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from io import BytesIO
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

import cxrscribe
from cxrscribe.errors import FilmError
from cxrscribe.films import isolation as module
from cxrscribe.films.film import read_film
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.films.quiet import quiet_libraries
from cxrscribe.films.read_ahead import read_or_error

NAME = "ROENTGEN^ANNA-BERTHA"
PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)


def with_exif(kind: str) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = exif[ExifTags.Base.ImageDescription] = NAME
    exif[ExifTags.Base.Orientation] = 6
    content = BytesIO()
    text = PngImagePlugin.PngInfo()
    text.add_text("Patient", NAME)
    Image.fromarray(PIXELS).save(content, kind, exif=exif, **({"pnginfo": text} if kind == "PNG" else {}))
    return content.getvalue()


def dicom_film(**attributes: object) -> bytes:
    pytest.importorskip("pydicom", reason="needs the extra 'dicom'")
    from support.dicom_file import dicom, written

    return written(dicom(PIXELS, PatientName=NAME, **attributes))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "DICOM"])
def test_root_logger_at_debug_hears_nothing_of_a_film(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    film = dicom_film() if kind == "DICOM" else with_exif(kind)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("PIL").setLevel(logging.NOTSET)
        assert read_film(film).shape == PIXELS.shape
    assert not [record for record in caplog.records if record.name.startswith(("PIL", "pydicom"))]
    assert NAME not in caplog.text


def test_pydicom_that_is_asked_to_debug_says_nothing_of_a_film(caplog: pytest.LogCaptureFixture) -> None:
    film = dicom_film(StudyDescription=NAME)
    import pydicom

    pydicom.config.debug(True, default_handler=False)
    try:
        with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "pydicom"):
            read_film(film)
            assert NAME not in caplog.text
            pydicom.dcmread(BytesIO(film))  # the application's own use
            assert "pydicom" in {record.name for record in caplog.records}
    finally:
        pydicom.config.debug(False, default_handler=False)


def test_other_threads_and_other_uses_are_heard(caplog: pytest.LogCaptureFixture) -> None:
    barrier = Barrier(2, timeout=60)
    film = with_exif("JPEG")

    def read() -> None:
        with quiet_libraries():
            barrier.wait()
            logging.getLogger("PIL.TiffImagePlugin").error("of a film")
            barrier.wait()

    thread = Thread(target=read)
    with caplog.at_level(logging.DEBUG):
        thread.start()
        barrier.wait()
        Image.open(BytesIO(film)).getexif()
        barrier.wait()
        thread.join()
    assert NAME in caplog.text
    assert "of a film" not in caplog.text


def test_first_film_of_a_process_is_quiet_too(tmp_path: Path) -> None:
    """Loggers are made while modules are imported, in the middle of the film."""
    films = {"a.png": with_exif("PNG"), "b.jpg": with_exif("JPEG")}
    for name, film in films.items():
        (tmp_path / name).write_bytes(film)
    script = (
        "import logging, sys; logging.basicConfig(level=logging.DEBUG); logging.getLogger('PIL')\n"
        "from cxrscribe.films.film import read_film\nfor film in sys.argv[1:]: read_film(film)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *(tmp_path / name for name in films)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_process_that_decodes_a_film_says_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application's sitecustomize is imported there too."""
    log = tmp_path / "log"
    (tmp_path / "sitecustomize.py").write_text(
        f"import logging; logging.basicConfig(level=logging.DEBUG, filename={str(log)!r})\n"
        "logging.getLogger('ours').debug('started')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    isolation = cxrscribe.Isolation("all")
    module.end_processes()
    try:
        Preprocessing(24, 24).read(with_exif("JPEG"), isolation)
    finally:
        module.end_processes()
    assert "started" in log.read_text()
    assert NAME not in log.read_text()
    assert len(log.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "attribute", ["Modality", "PhotometricInterpretation", "SOPClassUID", "BodyPartExamined"]
)
def test_error_of_a_damaged_film_repeats_no_name(attribute: str) -> None:
    """Where an element is lost or cut, a value stands where another one is looked for."""
    film = dicom_film(**({"Modality": ""} if attribute == "SOPClassUID" else {}))
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.dcmread(BytesIO(film))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        setattr(dataset, attribute, "DOE^JOHN")
        content = BytesIO()
        dataset.save_as(content)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")  # as an application may do at any time
        said = read_or_error(content.getvalue(), read_film)
    assert "DOE" not in str(said)
    assert not warned


def test_warning_of_a_damaged_film_repeats_no_name_to_whoever_wants_all_of_them() -> None:
    film = dicom_film()
    place = film.index(b"\xe0\x7f\x10\x00")
    element = b"\x28\x00\x08\x00IS\x08\x00DOE^JOHN"  # NumberOfFrames
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(FilmError, match=r"is a damaged DICOM file"):
            read_film(film[:place] + element + film[place:])
    assert not warned

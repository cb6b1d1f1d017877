"""A slim environment writes the same reports, of every kind of film, and the same errors."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import cxrscribe
from support.compressed import jpeg, jpeg_2000
from support.deploy_files import DEPLOY

PACKAGES = (
    *("numpy", "pillow", "onnxruntime", "protobuf", "flatbuffers", "packaging", "click"),
    *("pydicom", "imagecodecs", "uvicorn", "h11", "python-multipart"),
)
PIXELS = np.random.default_rng(0).integers(0, 200, (64, 80), np.uint8)


def slim() -> ModuleType:
    spec = spec_from_file_location("slim", DEPLOY / "slim.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["slim"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site-packages of an environment that has cxrscribe alone."""
    site = tmp_path_factory.mktemp("environment") / "site-packages"
    for name in PACKAGES:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        for file in found.files or ():
            source = Path(str(found.locate_file(file)))
            if ".." not in file.parts and "__pycache__" not in file.parts and source.is_file():
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, site / file)
    for room in ("cxrscribe", "cxrscribe_train", "cxrscribe_export", "cxrscribe_models", "cxrscribe_bench"):
        spec = find_spec(room)
        assert spec is not None
        (folder,) = spec.submodule_search_locations or ()
        shutil.copytree(folder, site / room, ignore=shutil.ignore_patterns("__pycache__"))
    return site


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of every kind that is read, and some that aren't."""
    folder = tmp_path_factory.mktemp("films")
    picture = Image.fromarray(PIXELS)
    picture.save(folder / "grey.png")
    picture.convert("RGB").save(folder / "colour.jpg")
    for name in ("film.webp", "film.tiff", "film.bmp"):  # refused, and by the same words
        picture.save(folder / name)
    (folder / "cut.png").write_bytes((folder / "grey.png").read_bytes()[:200])
    for name, content in dicom_films().items():
        (folder / f"{name}.dcm").write_bytes(content)
    return folder


def dicom_films() -> dict[str, bytes]:
    """Of every compression that docs/films.md names, grey and in colours, 8 bits and more."""
    codecs = pytest.importorskip("imagecodecs", reason="needs the extra dicom")
    from pydicom import uid

    from support.dicom_file import dicom, encapsulated, written
    from support.drawn_dicoms import drawn_dicoms

    deep, colour = PIXELS.astype(np.uint16) << 4, np.stack([PIXELS, PIXELS // 2, PIXELS // 3], -1)
    luma: dict[str, Any] = {"PhotometricInterpretation": "YBR_FULL_422"}
    frames: dict[str, tuple[Any, NDArray[Any], str, dict[str, Any]]] = {
        "jpeg-colour": (jpeg(colour), colour, uid.JPEGBaseline8Bit, luma),
        "jpeg-12-bits": (codecs.jpeg8_encode(deep, bitspersample=12), deep, uid.JPEGExtended12Bit, {}),
        "jpeg-lossless-any-predictor": (
            *(codecs.jpeg8_encode(deep, lossless=True, predictor=6, bitspersample=12), deep),
            *(uid.JPEGLossless, {}),
        ),
        "jpeg-ls-lossy": (codecs.jpegls_encode(deep, level=2), deep, uid.JPEGLSNearLossless, {}),
        "jpeg-ls-colour": (codecs.jpegls_encode(colour), colour, uid.JPEGLSLossless, {}),
        "jpeg-2000-lossy": (
            *(codecs.jpeg2k_encode(deep, codecformat="j2k", bitspersample=12, level=60), deep),
            *(uid.JPEG2000, {}),
        ),
        "jpeg-2000-colour": (jpeg_2000(colour, mct=0), colour, uid.JPEG2000Lossless, {}),
        "htj2k": (codecs.htj2k_encode(PIXELS), PIXELS, uid.HTJ2KLossless, {}),
    }
    datasets = {
        "32-bits-allocated": dicom(PIXELS.astype(np.uint32), 8),
        "colour": dicom(colour),
    }
    return {
        **drawn_dicoms(PIXELS),
        **{
            name: encapsulated(
                *(bytes(frame), pixels, syntax),
                **({"BitsStored": 12, "HighBit": 11} if pixels is deep else {}),
                **attributes,
            )
            for name, (frame, pixels, syntax, attributes) in frames.items()
        },
        **{name: written(dataset) for name, dataset in datasets.items()},
        **{f"rle-{name}": _rle(dicom(pixels)) for name, pixels in (("8-bits", PIXELS), ("colour", colour))},
    }


def _rle(dataset: Any) -> bytes:
    from pydicom.uid import RLELossless

    from support.dicom_file import written

    dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return written(dataset)


def reports(site: Path, films: Path, home: Path) -> Iterator[str]:
    report = [sys.executable, "-S", "-P", "-B", "-m", "cxrscribe", "report", "--json"]
    for isolation in ("none", "all"):
        command = [*report, "--isolate", isolation, "--bundle", str(cxrscribe.demo_bundle())]
        done = subprocess.run(
            [*command, *map(str, [*cxrscribe.demo_films(), *sorted(films.iterdir())])],
            env={**os.environ, "PYTHONPATH": str(site)},
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1, done.stderr  # some can't be read
        yield done.stdout + done.stderr


def test_reports_and_errors_are_equal(site: Path, films: Path, tmp_path: Path) -> None:
    before = list(reports(site, films, tmp_path))
    size = slim().megabytes(site)
    done = subprocess.run(
        [sys.executable, "-I", DEPLOY / "slim.py", site], capture_output=True, text=True, check=True
    )
    assert list(reports(site, films, tmp_path)) == before
    readable = len(cxrscribe.demo_films()) + 2 + len(dicom_films())
    assert before[0].count('"error": null') == readable
    assert slim().megabytes(site) < size
    assert f"{size:.1f} MB before" in done.stdout
    assert not list(site.glob("onnxruntime/capi/libonnxruntime.so*"))
    run = [sys.executable, "-S", "-P", "-B"]
    environment = {**os.environ, "PYTHONPATH": str(site), "CXRSCRIBE_CACHE": str(tmp_path / "cache")}
    for command in ("tune", "report --decoding sample --samples 2", "score --help"):
        words = [*command.split(), *([str(films / "grey.png")] if "samples" in command else [])]
        subprocess.run([*run, "-m", "cxrscribe", *words], env=environment, check=True, cwd=tmp_path)
    if find_spec("uvicorn"):
        serving = "from cxrscribe.server.service import _noise; import cxrscribe.server.listening; _noise()"
        subprocess.run([*run, "-c", serving], env=environment, check=True)


def test_a_file_that_is_linked_elsewhere_stays_there_as_it_was(tmp_path: Path) -> None:
    head = struct.pack(
        "<4s12xHHIQQQIHHHHHH", b"\x7fELF\x02\x01", 3, 62, 1, 0, 64, 200, 0, 64, 56, 1, 64, 1, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 150, 150, 4096)
    content = (head[:4] + b"\x02\x01" + head[6:] + segment).ljust(150, b"c") + b"symbols"
    (tmp_path / "cache").write_bytes(content)
    (tmp_path / "cache").chmod(0o555)
    (tmp_path / "library.so").hardlink_to(tmp_path / "cache")
    slim().cut(tmp_path / "library.so")
    assert (tmp_path / "cache").read_bytes() == content
    left = (tmp_path / "library.so").read_bytes()
    assert len(left) == 150
    assert left[64:] == content[64:150]
    assert (tmp_path / "library.so").stat().st_mode & 0o777 == 0o555
    slim().cut(tmp_path / "library.so")
    assert (tmp_path / "library.so").read_bytes() == left


@pytest.mark.skipif(sys.platform != "linux" or sys.maxsize < 2**32, reason="reads ELF files of 64 bits")
def test_a_library_that_was_cut_is_loaded(tmp_path: Path) -> None:
    from PIL import _imaging

    copy = tmp_path / Path(_imaging.__file__).name
    shutil.copyfile(_imaging.__file__, copy)
    with copy.open("ab") as file:
        file.write(bytes(1000))
    before = slim().needed_libraries(copy)
    slim().cut(copy)
    assert copy.stat().st_size < Path(_imaging.__file__).stat().st_size + 1000
    assert slim().needed_libraries(copy) == before


def test_a_dry_run_takes_nothing(tmp_path: Path) -> None:
    for name in ("onnxruntime/capi/libonnxruntime.so.1", "numpy/tests/test_a.py", "numpy/core.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 1_000_000)
    command = [sys.executable, "-I", str(DEPLOY / "slim.py"), str(tmp_path)]
    said = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=True).stdout
    assert "    1.0 MB  the engine once more" in said
    assert slim().megabytes(tmp_path) == 3
    subprocess.run(command, capture_output=True, check=True)
    assert slim().megabytes(tmp_path) == 1


def test_what_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    done = subprocess.run(
        [sys.executable, "-I", DEPLOY / "slim.py", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "has no numpy and onnxruntime" in done.stderr
    assert (tmp_path / "tests").is_dir()


@pytest.mark.skipif(sys.platform != "linux" or sys.maxsize < 2**32, reason="reads ELF files of 64 bits")
def test_libraries_that_a_module_asks_for_are_found() -> None:
    from PIL import _imaging

    names = slim().needed_libraries(Path(_imaging.__file__))
    assert any(name.startswith("libjpeg") for name in names)
    assert "libc.so.6" in names
    assert slim().needed_libraries(Path(__file__)) == []

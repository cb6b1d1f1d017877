"""What the browser's page reads of films: the runtime's pixels, to the bit; all else is an error."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

import cxrscribe
from cxrscribe.errors import FilmError
from cxrscribe.films.film import read_film
from cxrscribe.films.preprocess import Preprocessing
from support.skips import skip_or_fail

pytest.importorskip("pydicom", reason="needs the extra dicom")

import imagecodecs
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from support.compressed import jpeg
from support.dicom_file import dicom, encapsulated, lut, written

JAVASCRIPT = Path(__file__).resolve().parents[2] / "examples" / "javascript"
HEIGHT, WIDTH = 48, 40
PROGRAM = """
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
const [{ readFilm }, { fitFilm }, { makeCodecs }] = await Promise.all(
  ["film", "fit", "codecs"].map((name) => import(`${%s}/${name}.mjs`)));
const require = createRequire(%s);
const library = (name) => ({
  factory: require(`@cornerstonejs/${name}/decodewasmjs`),
  compiled: new WebAssembly.Module(readFileSync(require.resolve(`@cornerstonejs/${name}/decodewasm`))),
});
const codecs = makeCodecs({ openjpeg: library("codec-openjpeg"), charls: library("codec-charls") });
const results = [];
for (const [path, preprocessing] of JSON.parse(readFileSync("films.json", "utf8"))) {
  try {
    const film = await readFilm(readFileSync(path), preprocessing, { codecs, keepsStored: true });
    writeFileSync(`${path}.pixels`, film.pixels);
    const { stored } = film;
    let through = null;
    if (stored) {
      writeFileSync(`${path}.values`, Float32Array.from(stored.codes, (code) => stored.values[code]));
      through = { shape: [stored.height, stored.width], isInverse: stored.isInverse, window: stored.window };
    }
    let unseen = null;
    try {
      writeFileSync(`${path}.fitted`, fitFilm(film, preprocessing).pixels);
    } catch (error) {
      unseen = error.message;
    }
    results.push({ shape: [film.height, film.width], kind: film.kind, stored: through, unseen });
  } catch (error) {
    results.push({ error: error.message, kind: error.constructor.name });
  }
}
console.log(JSON.stringify(results));
"""


def read_in_javascript(folder: Path, codecs: Path, contents: list[bytes], display: int = 3) -> list[Any]:
    """What the page's readers make of each film, of which `folder` gets the pixels."""
    node = shutil.which("node")
    if node is None:
        skip_or_fail("no node on this machine, which runs the readers of films")
    asked = []
    for place, content in enumerate(contents):
        (folder / str(place)).write_bytes(content)
        preprocessing = {"height": HEIGHT, "width": WIDTH, "display": display, "png_range": "used"}
        asked.append((str(place), preprocessing))
    (folder / "films.json").write_text(json.dumps(asked), encoding="utf-8")
    program = PROGRAM % (json.dumps(JAVASCRIPT.as_uri()), json.dumps(f"{codecs}/"))
    command = [node, "--input-type=module", "-e", program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    results: list[Any] = json.loads(done.stdout)
    return results


def assert_same(folder: Path, codecs: Path, contents: list[bytes], display: int = 3) -> list[Any]:
    """Pixels as read and as fitted are the runtime's; what the readers made of each."""
    preprocessing = Preprocessing(HEIGHT, WIDTH, display=display)
    results = read_in_javascript(folder, codecs, contents, display)
    for place, (content, found) in enumerate(zip(contents, results, strict=True)):
        assert "error" not in found, (place, found)
        wanted = read_film(content, preprocessing.size_hint, preprocessing.rules())
        pixels = np.fromfile(folder / f"{place}.pixels", np.uint8)
        assert found["shape"] == list(wanted.shape), place
        np.testing.assert_array_equal(pixels.reshape(wanted.shape), wanted, err_msg=str(place))
        if found["unseen"] is not None:
            with pytest.raises(FilmError, match=re.escape(found["unseen"])):
                preprocessing.read(content)
            continue
        fitted = np.fromfile(folder / f"{place}.fitted", np.uint8).reshape(HEIGHT, WIDTH)
        np.testing.assert_array_equal(fitted, preprocessing.read(content), err_msg=str(place))
    return results


RANDOM = np.random.default_rng(18)


def picture(bits: int, height: int = 310, width: int = 290, *, signed: bool = False) -> np.ndarray:
    """Smooth, with a little noise, in all of its bits."""
    rough = Image.fromarray(RANDOM.integers(0, 256, (height, width), np.uint8))
    smooth = np.asarray(rough.filter(ImageFilter.GaussianBlur(3))).astype(np.int64)
    smooth = (smooth - smooth.min()) * ((1 << bits) - 1) // max(int(np.ptp(smooth)), 1)
    noisy = np.clip(smooth + RANDOM.integers(0, 1 + (1 << bits) // 100, smooth.shape), 0, (1 << bits) - 1)
    stored = noisy - (1 << (bits - 1)) * signed
    return stored.astype(("i" if signed else "u") + ("1" if bits <= 8 else "2"))


def packed(values: np.ndarray, bits: int, syntax: str, **options: Any) -> bytes:
    """A picture compressed by the codecs' own libraries."""
    samples = values.view(f"u{values.itemsize}") & np.array((1 << bits) - 1, f"u{values.itemsize}")
    if syntax in (JPEGLossless, JPEGLosslessSV1):
        predictor = options.pop("predictor", 1)
        more = {"lossless": True, "predictor": predictor, "bitspersample": bits, **options}
        return bytes(imagecodecs.jpeg8_encode(samples, **more))
    if syntax == JPEGExtended12Bit:
        return bytes(imagecodecs.jpeg8_encode(samples, bitspersample=12, **options))
    if syntax in (JPEGLSLossless, JPEGLSNearLossless):
        return bytes(imagecodecs.jpegls_encode(samples, level=2 if syntax == JPEGLSNearLossless else 0))
    if syntax == HTJ2K:
        return bytes(imagecodecs.htj2k_encode(values, **options))
    lossy = {"level": 40, "reversible": False} if syntax == JPEG2000 else {"reversible": True}
    return bytes(imagecodecs.jpeg2k_encode(values, codecformat="j2k", bitspersample=bits, **lossy, **options))


def film(values: np.ndarray, bits: int, syntax: str, frame: bytes, **attributes: Any) -> bytes:
    more = {"BitsStored": bits, "HighBit": bits - 1, **attributes}
    return encapsulated(frame, values, syntax, **more)


WINDOWS: tuple[dict[str, Any], ...] = ({}, {"WindowCenter": 900, "WindowWidth": 1200})


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEG2000, HTJ2K])
def test_jpeg_2000(tmp_path: Path, codecs_folder: Path, syntax: str) -> None:
    """Whole, and at each resolution, of films whose sides no power of two divides."""
    contents = []
    for bits, signed in ((8, False), (12, False), (12, True), (16, False)):
        for height, width in ((310, 290), (173, 611), (41, 37)):
            values = picture(bits, height, width, signed=signed)
            frame = packed(values, bits, syntax)
            contents += [film(values, bits, syntax, frame, **window) for window in WINDOWS]
    assert_same(tmp_path, codecs_folder, contents)
    assert_same(tmp_path, codecs_folder, contents[::5], display=2)


def test_jpeg_lossless(tmp_path: Path, codecs_folder: Path) -> None:
    contents = []
    kinds = ((8, False), (8, True), (10, False), (12, False), (12, True), (16, False), (16, True))
    for bits, signed in kinds:
        values = picture(bits, 51, 67, signed=signed)
        for predictor in range(1, 8):
            syntax = JPEGLosslessSV1 if predictor == 1 else JPEGLossless
            frame = packed(values, bits, syntax, predictor=predictor)
            contents.append(film(values, bits, syntax, frame, **WINDOWS[predictor % 2]))
    extremes = np.where(RANDOM.integers(0, 2, (40, 50)) == 1, 65535, RANDOM.integers(0, 2, (40, 50)) * 32768)
    values = extremes.astype(np.uint16)
    contents.append(film(values, 16, JPEGLossless, packed(values, 16, JPEGLossless, predictor=4)))
    assert_same(tmp_path, codecs_folder, contents)


def test_jpeg_ls_and_jpeg_of_12_bits(tmp_path: Path, codecs_folder: Path) -> None:
    contents = []
    for bits, signed in ((8, False), (12, False), (12, True), (16, False)):
        values = picture(bits, 61, 47, signed=signed)
        for syntax in (JPEGLSLossless, JPEGLSNearLossless):
            if syntax == JPEGLSNearLossless:
                if signed:
                    continue
                values = np.clip(values, 2, (1 << bits) - 3)  # near may be beyond the bits
            contents.append(film(values, bits, syntax, packed(values, bits, syntax), **WINDOWS[bits % 8 > 0]))
    twelve = picture(12, 203, 150)
    for quality in (40, 95):
        frame = packed(twelve, 12, JPEGExtended12Bit, level=quality)
        contents += [film(twelve, 12, JPEGExtended12Bit, frame, **window) for window in WINDOWS]
    assert_same(tmp_path, codecs_folder, contents)


def test_a_window_that_misses_a_reduced_film(tmp_path: Path, codecs_folder: Path) -> None:
    """Decoded whole after all: a range is that of single values."""
    eight, twelve = picture(8), picture(12)
    missed = {"WindowCenter": 30000, "WindowWidth": 10}
    contents = [
        encapsulated(jpeg(eight), eight, JPEGBaseline8Bit, **missed),
        film(twelve, 12, JPEG2000Lossless, packed(twelve, 12, JPEG2000Lossless), **missed),
    ]
    results = assert_same(tmp_path, codecs_folder, contents)
    assert [found["shape"] for found in results] == [[310, 290]] * 2


def test_demo_films_and_what_has_nothing_to_see(tmp_path: Path, codecs_folder: Path) -> None:
    contents = [path.read_bytes() for path in cxrscribe.demo_films()]
    contents.append(written(dicom(np.full((40, 50), 7, np.uint8))))
    results = assert_same(tmp_path, codecs_folder, contents)
    assert [found["kind"] for found in results] == ["PNG"] * (len(contents) - 1) + ["DICOM"]
    assert results[-1]["unseen"].startswith("has nothing to see")


def test_stored_values_for_a_viewer(tmp_path: Path, codecs_folder: Path) -> None:
    """At the film's whole size, as the modality's rescaling means them, and without padding."""
    values = picture(12, signed=True)
    more: dict[str, Any] = {"RescaleSlope": "2", "RescaleIntercept": "-100", **WINDOWS[1]}
    plain = dicom(values, bits=12, PixelPaddingValue=int(values[0, 0]), **more)
    frame = packed(values, 12, JPEG2000Lossless)
    table = {"ModalityLUTSequence": [lut(list(range(4096, 8192)), 0, 16)]}
    contents = [
        written(plain),
        film(values, 12, JPEG2000Lossless, frame, **more, PhotometricInterpretation="MONOCHROME1"),
        written(dicom((values + 2048).astype(np.uint16), bits=12, **table)),
    ]
    meant = values.astype(np.float32) * 2 - 100
    without_padding = np.where(values == values[0, 0], np.nan, meant)
    looked_up = values.astype(np.float32) + 2048 + 4096
    wanted = [without_padding, meant, looked_up]
    results = read_in_javascript(tmp_path, codecs_folder, contents)
    for place, (found, expected) in enumerate(zip(results, wanted, strict=True)):
        assert "error" not in found, found
        assert found["stored"]["shape"] == [310, 290]
        assert found["stored"]["isInverse"] == (place == 1)
        shown = np.fromfile(tmp_path / f"{place}.values", np.float32).reshape(310, 290)
        np.testing.assert_array_equal(shown, expected)
    assert [found["stored"]["window"] for found in results[:2]] == [{"center": 900, "width": 1200}] * 2
    range_used = {"center": (looked_up.min() + looked_up.max()) / 2, "width": np.ptp(looked_up)}
    assert results[2]["stored"]["window"] == range_used
    assert results[1]["shape"] != [310, 290]  # what the model reads of it is a resolution


def damaged(content: bytes, count: int) -> list[bytes]:
    """Copies that are cut off, or have some bytes changed."""
    copies = [content[: int(len(content) * part)] for part in (0.1, 0.5, 0.9, 0.99)]
    for _ in range(count):
        copy = bytearray(content)
        for place in RANDOM.integers(0, len(copy), RANDOM.integers(1, 12)):
            copy[place] = RANDOM.integers(0, 256)
        copies.append(bytes(copy))
    return copies


def test_damaged_films_are_errors_or_films(tmp_path: Path, codecs_folder: Path) -> None:
    """Never anything else, never a hang, and the films behind them are read."""
    eight, twelve = picture(8, 60, 50), picture(12, 60, 50)
    whole = [cxrscribe.demo_films()[0].read_bytes(), jpeg(eight), jpeg(eight, progressive=True)]
    whole += [
        film(twelve, 12, syntax, packed(twelve, 12, syntax))
        for syntax in (JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, JPEGExtended12Bit)
    ]
    run = dicom(twelve, bits=12)
    run.compress(RLELossless, encoding_plugin="pydicom")
    whole += [written(run), written(dicom(twelve, bits=12))]
    contents = [copy for content in whole for copy in damaged(content, 40)] + whole
    results = read_in_javascript(tmp_path, codecs_folder, contents)
    errors = [found for found in results if "error" in found]
    assert {found["kind"] for found in errors} == {"FilmError"}
    assert len(errors) > len(contents) / 4
    assert not any("error" in found for found in results[-len(whole) :])

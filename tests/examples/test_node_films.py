"""The readers of films in JavaScript give the pixels that the runtime reads, to the bit."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageFilter

import cxrscribe
from cxrscribe.errors import FilmError
from cxrscribe.films.film import read_film
from cxrscribe.films.rules import FilmRules
from support.skips import skip_or_fail

NODE = Path(__file__).resolve().parents[2] / "examples" / "node"
HEIGHT, WIDTH = 48, 40
"""Of a network's input, by which large JPEGs are reduced."""
PROGRAM = """
import { readFileSync, writeFileSync } from "node:fs";
import { readFilm } from %s;
const results = [];
for (const [path, preprocessing] of JSON.parse(readFileSync("films.json", "utf8"))) {
  try {
    const { pixels, width, height } = await readFilm(path, preprocessing);
    writeFileSync(`${path}.pixels`, pixels);
    results.push([height, width]);
  } catch (error) {
    results.push(error.message);
  }
}
console.log(JSON.stringify(results));
"""


def in_node(folder: Path, films: list[tuple[Path, FilmRules]]) -> list[np.ndarray | str]:
    """Pixels uint8 [h, w] of each film, or what is said to be wrong with it."""
    node = shutil.which("node")
    if node is None:
        skip_or_fail("no node on this machine, which runs the readers of films")
    asked = [
        (
            path.name,
            {"height": HEIGHT, "width": WIDTH, "display": rules.version, "png_range": rules.png_range},
        )
        for path, rules in films
    ]
    (folder / "films.json").write_text(json.dumps(asked), encoding="utf-8")
    program = PROGRAM % json.dumps((NODE / "film.mjs").as_uri())
    command = [node, "--input-type=module", "-e", program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [
        one if isinstance(one, str) else np.fromfile(f"{path}.pixels", np.uint8).reshape(one)
        for (path, _), one in zip(films, json.loads(done.stdout), strict=True)
    ]


def assert_same(folder: Path, contents: list[bytes], rules: list[FilmRules]) -> None:
    """Each film has the runtime's pixels under each of the rules, or is refused by both."""
    films = []
    for place, content in enumerate(contents):
        for each in rules:
            path = folder / f"{place}-{each.version}-{each.png_range}"
            path.write_bytes(content)
            films.append((path, each))
    for (path, each), found in zip(films, in_node(folder, films), strict=True):
        times = each.enlargement
        wanted = read_film(path, (times * HEIGHT, times * WIDTH), each)
        assert not isinstance(found, str), (path, found)
        assert found.shape == wanted.shape, path
        np.testing.assert_array_equal(found, wanted, err_msg=str(path))


def saved(image: Image.Image, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, **options)
    return stream.getvalue()


RULES = [FilmRules(3, "used"), FilmRules(2, "full")]
RANDOM = np.random.default_rng(8)


def noise(height: int, width: int, *more: int, most: int = 256, kind: type = np.uint8) -> np.ndarray:
    return RANDOM.integers(0, most, (height, width, *more)).astype(kind)


def test_png(tmp_path: Path) -> None:
    grey, wide = noise(37, 53), noise(40, 31, most=4096, kind=np.uint16)
    colours, clear = noise(29, 44, 3), noise(33, 26, 4)
    pictures = [Image.fromarray(one) for one in (grey, wide, colours, clear, noise(25, 21, 2))]
    contents = [saved(picture, format="PNG") for picture in pictures]
    contents += [saved(pictures[0].convert(mode), format="PNG") for mode in ("1", "P")]
    contents += [
        saved(pictures[0].quantize(colors), format="PNG", bits=bits) for colors, bits in ((3, 2), (14, 4))
    ]
    contents.append(saved(pictures[0], format="PNG", transparency=int(grey[0, 0])))
    contents.append(saved(pictures[1], format="PNG", transparency=int(wide[0, 0])))
    contents.append(saved(pictures[2], format="PNG", transparency=tuple(map(int, colours[0, 0]))))
    contents.append(saved(pictures[2].quantize(20), format="PNG", transparency=b"\x00\x80\x20"))
    smooth = Image.fromarray(
        np.add.outer(np.arange(60), np.arange(70)).astype(np.uint8)
    )  # every filter is worth it
    contents.append(saved(smooth, format="PNG", optimize=True))
    contents += [path.read_bytes() for path in cxrscribe.demo_films()[:2]]
    assert_same(tmp_path, contents, RULES)


def test_jpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every kind that cameras and archives write, at all four scales."""
    monkeypatch.setattr(ImageFile, "MAXBLOCK", 1 << 24)
    contents = []
    for place, (height, width) in enumerate(
        ((50, 61), (97, 130), (201, 187), (411, 500), (803, 790), (1201, 850))
    ):
        for colours in (False, True):
            picture = Image.fromarray(noise(height, width, *((3,) if colours else ()))).filter(
                ImageFilter.GaussianBlur(place % 3)
            )
            options: dict[str, Any] = {
                "quality": 30 + 12 * place,
                "progressive": place % 2 == 1,
                "optimize": place % 3 == 0,
            }
            if colours:
                options["subsampling"] = place % 3
            if place % 4 == 2:
                options["restart_marker_blocks"] = 5
            contents.append(saved(picture, format="JPEG", **options))
    assert_same(tmp_path, contents, RULES)


@pytest.fixture
def dicom() -> Callable[..., Any]:
    pytest.importorskip("pydicom", reason="needs the extra dicom")
    from support.dicom_file import dicom as made

    return made


def test_dicom(tmp_path: Path, dicom: Callable[..., Any]) -> None:
    from pydicom.uid import (
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        ImplicitVRLittleEndian,
        JPEGBaseline8Bit,
        RLELossless,
    )

    from support.compressed import jpeg
    from support.dicom_file import encapsulated, lut, written

    eight, twelve = noise(40, 34), noise(35, 41, most=4096, kind=np.uint16)
    sixteen = noise(30, 31, most=65536, kind=np.uint16)
    signed = (noise(31, 37, most=4096, kind=np.int16) - 2048).astype(np.int16)
    window = {"WindowCenter": 2000, "WindowWidth": 1500}
    datasets = [
        dicom(eight),
        dicom(twelve, bits=12),
        dicom(sixteen),
        dicom(signed, bits=12),
        dicom(twelve, bits=12, PhotometricInterpretation="MONOCHROME1", **window),
        dicom(
            signed,
            bits=12,
            RescaleSlope="1.5",
            RescaleIntercept="-20.25",
            WindowCenter="100\\7",
            WindowWidth="900\\9",
        ),
        *(
            dicom(twelve, bits=12, VOILUTFunction=kind, **window)
            for kind in ("LINEAR", "LINEAR_EXACT", "SIGMOID")
        ),
        dicom(twelve, bits=12, PresentationLUTShape="INVERSE", WindowCenter=0, WindowWidth=1),
        dicom(
            twelve,
            bits=12,
            PixelPaddingValue=int(twelve[0, 0]),
            PixelPaddingRangeLimit=int(twelve[0, 0]) + 300,
        ),
        dicom(twelve | np.uint16(0xF000), bits=12),
        dicom(twelve, bits=12, PixelSpacing=[0.14, 0.14]),
        dicom(twelve, bits=12, PixelSpacing=[0.1, 0.17]),
        dicom(twelve, bits=12, PixelAspectRatio=[5, 3], **window),
    ]
    contents = [written(dataset) for dataset in datasets]
    for syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        dataset = dicom(twelve, bits=12, **window)
        dataset.file_meta.TransferSyntaxUID = syntax
        contents.append(written(dataset))
    contents.append(written(dicom(twelve.astype(">u2"), bits=12, syntax=ExplicitVRBigEndian, **window)))
    for pixels in (eight, twelve, signed):
        dataset = dicom(pixels, **({} if pixels is eight else {"bits": 12}))
        dataset.compress(RLELossless, encoding_plugin="pydicom")
        contents.append(written(dataset))
    smooth = np.asarray(Image.fromarray(noise(310, 290)).filter(ImageFilter.GaussianBlur(2)))
    windows: tuple[dict[str, int], ...] = ({}, {"WindowCenter": 120, "WindowWidth": 100})
    contents += [encapsulated(jpeg(smooth), smooth, JPEGBaseline8Bit, **more) for more in windows]
    assert_same(tmp_path, contents, RULES)
    tables = [
        written(dicom(twelve, bits=12, **{sequence: [lut(RANDOM.integers(0, 1024, 4096).tolist(), 0, 12)]}))
        for sequence in ("ModalityLUTSequence", "VOILUTSequence")
    ]
    assert_same(tmp_path, tables, RULES)


def test_what_is_refused_is_named(tmp_path: Path, dicom: Callable[..., Any]) -> None:
    from pydicom.uid import JPEGLosslessSV1, JPEGLSLossless, RLELossless

    from support.dicom_file import encapsulated, written

    eight = noise(40, 34)
    png = saved(Image.fromarray(eight), format="PNG")
    jpeg = saved(Image.fromarray(eight), format="JPEG")
    runs = b"".join(bytes((len(run) - 1,)) + run.tobytes() for run in np.array_split(eight.ravel(), 16))
    cut_run = struct.pack("<16I", 1, 64, *[0] * 14) + runs[:-10]
    turned = Image.Exif()
    turned[274] = 6
    for content, problem in (
        (b"", "is no whole PNG, JPEG, DICOM"),
        (b"GIF89a" + bytes(200), "is no whole PNG, JPEG, DICOM"),
        (png[:-30], "is a PNG file that is cut off"),
        (png[:50] + b"!" + png[51:], "has a wrong checksum"),
        (jpeg[:400], "is a JPEG file that is damaged or cut off"),
        (saved(Image.fromarray(eight), format="JPEG", exif=turned), "is turned by EXIF"),
        (saved(Image.fromarray(noise(8, 40)), format="PNG"), "has 8 x 40 pixels"),
        (b"P5\n40 8\n255\n" + bytes(320), "has 8 x 40 pixels"),
        (encapsulated(cut_run, eight, RLELossless), "has DICOM pixels that are cut off"),
        (encapsulated(b"\xff\xd8\xff", eight, JPEGLSLossless), f"transfer syntax {JPEGLSLossless}"),
        (encapsulated(b"\xff\xd8\xff", eight, JPEGLosslessSV1), "can't be understood"),
        (written(dicom(eight, BodyPartExamined="HAND")), "another part of the body (HAND)"),
        (written(dicom(eight, Modality="CT")), "modality CT"),
        (written(dicom(eight, NumberOfFrames=2)), "several frames"),
        (written(dicom(eight))[:-40], "cut off"),
    ):
        path = tmp_path / "film"
        path.write_bytes(content)
        (found,) = in_node(tmp_path, [(path, RULES[0])])
        assert isinstance(found, str), problem
        assert found.startswith("film: ")
        assert problem in found
        if "EXIF" not in problem and "syntax" not in problem:
            with pytest.raises(FilmError):
                read_film(path)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(header: bytes, packed: bytes, *between: bytes) -> bytes:
    chunks = (chunk(b"IHDR", header), *between, chunk(b"IDAT", packed), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of Adam7: first column and row, and the steps to the next (ISO/IEC 15948, 8.2)."""


def interlaced(pixels: np.ndarray, depth: int) -> bytes:
    """An interlaced PNG of pixels [h, w] or [h, w, 3] whose samples have so many bits."""
    rows = b""
    for left, top, step_x, step_y in PASSES:
        for row in pixels[top::step_y, left::step_x]:
            if row.size:
                packed = np.packbits(row).tobytes() if depth == 1 else row.astype(f">u{depth // 8}").tobytes()
                rows += b"\0" + packed
    height, width = pixels.shape[:2]
    colour = 2 if pixels.ndim == 3 else 0
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 1)
    return png_of(header, zlib.compress(rows))


def test_interlaced_png(tmp_path: Path) -> None:
    contents = []
    for height, width in ((16, 16), (17, 19), (23, 16), (16, 31), (37, 53)):
        contents.append(interlaced(noise(height, width, most=2), 1))
        contents.append(interlaced(noise(height, width), 8))
        contents.append(interlaced(noise(height, width, most=65536, kind=np.uint16), 16))
        contents.append(interlaced(noise(height, width, 3), 8))
    assert_same(tmp_path, contents, RULES)


def test_jpeg_with_bytes_that_fill(tmp_path: Path) -> None:
    """Any number of bytes 0xff may stand before a marker (T.81, B.1.1.2), those of a restart among them."""
    contents = []
    for picture in (noise(70, 90), noise(70, 90, 3)):
        for progressive in (False, True):
            options: dict[str, Any] = {"progressive": progressive, "restart_marker_blocks": 3}
            content = saved(Image.fromarray(picture), format="JPEG", **options)
            start = content.index(b"\xff\xda")
            filled = re.sub(b"\xff(?=[\xd0-\xd7])", b"\xff\xff\xff", content[start:], flags=re.DOTALL)
            assert len(filled) > len(content) - start
            contents.append(content[:start] + filled)
    assert_same(tmp_path, contents, RULES)


def test_orientations_that_mean_nothing_turn_nothing(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 9
    picture = Image.fromarray(noise(40, 34))
    contents = [saved(picture, format=kind, exif=exif) for kind in ("JPEG", "PNG")]
    assert_same(tmp_path, contents, RULES)


def test_headers_that_would_take_all_time_or_memory_are_refused(tmp_path: Path) -> None:
    """Each is small, and was read for minutes or into gigabytes."""
    jpeg = saved(Image.fromarray(noise(64, 64, 3)), format="JPEG")
    frame = jpeg.index(b"\xff\xc0") + 4
    contents = []
    for sampling in (b"\x00", b"\x10", b"\x01", b"\xff"):  # of each colour: blocks across and down
        content = bytearray(jpeg)
        for place in (frame + 7, frame + 10, frame + 13):
            content[place : place + 1] = sampling
        contents.append(bytes(content))
    contents += [jpeg[: frame + 5] + count + jpeg[frame + 6 :] for count in (b"\x00", b"\xff")]
    scans = saved(Image.fromarray(noise(64, 64)), format="JPEG", progressive=True)
    start = scans.index(b"\xff\xda")
    (length,) = struct.unpack(">H", scans[start + 2 : start + 4])
    contents.append(scans[:start] + (scans[start : start + 2 + length] + b"\0") * 101 + b"\xff\xd9")

    grey = bytes((*struct.pack(">II", 32, 32), 8, 0, 0, 0, 0))
    rows = zlib.compress(bytes(33 * 32))
    contents.append(png_of(grey, zlib.compress(bytes(1 << 26))))
    contents.append(png_of(grey, b"no deflated bytes"))
    contents.append(png_of(grey[:12] + b"\2", rows))  # there is no such way to interlace
    contents.append(png_of(grey, rows, chunk(b"tRNS", b"\0")))
    contents.append(png_of(grey[:9] + b"\3" + grey[10:], rows))  # colours of a palette that isn't there
    for depth, colour in ((1, 2), (16, 3), (4, 4), (3, 0), (8, 5)):
        header, packed = grey[:8] + bytes((depth, colour)) + grey[10:], zlib.compress(bytes(32 * 32 * 8))
        contents.append(png_of(header, packed, chunk(b"PLTE", bytes(30))))
    films = [(tmp_path / str(place), RULES[0]) for place in range(len(contents))]
    for (path, _), content in zip(films, contents, strict=True):
        path.write_bytes(content)
    for found in in_node(tmp_path, films):
        assert isinstance(found, str), found
        assert re.search("damaged|of more than 100 scans", found), found


def test_programs_are_short() -> None:
    for path in (*NODE.glob("*.mjs"), *(NODE.parent / "javascript").glob("*.mjs")):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 400, path

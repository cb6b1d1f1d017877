"""What a film costs from the bytes of its file to the network's picture, by format, beside other libraries.

    python -m cxrscribe_bench.scripts.film_formats [--size 224] [--words 100]

Core-milliseconds (processor time, one thread), all in turn in one run. Each of the others does the same work
with the fastest functions that it has: it decodes, shows by window or range, and fits; the pictures are
compared. Those that aren't installed are left out (`pip install opencv-python-headless` brings one).
"Before" are the rules of version 2, which decode DICOM whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from statistics import median
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from cxrscribe.films.isolation import Isolation
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_bench.material.large_films import FORMATS, SIDES, WINDOW, large_film

Pixels = npt.NDArray[np.uint8]
Peer = Callable[[bytes], Any]


def written(film: npt.NDArray[np.uint16]) -> dict[str, bytes]:
    """A film's file in each format."""
    return {name: write(film) for name, write in FORMATS.items()}


def peers(name: str, size: int) -> dict[str, Peer]:
    """Other ways to make the picture uint8 [h, w] of a format, by the name of their library."""
    try:
        import cv2
    except ModuleNotFoundError:
        return {}
    import imagecodecs

    cv2.setNumThreads(1)

    def fitted(shown: Pixels) -> Pixels:
        height, width = Preprocessing(size, size).fitted_size(*shown.shape)
        return np.asarray(cv2.resize(shown, (width, height), interpolation=cv2.INTER_AREA))

    def ranged(values: npt.NDArray[Any]) -> Pixels:
        least, largest, *_ = cv2.minMaxLoc(values)
        scale = 255 / (largest - least)
        return fitted(np.asarray(cv2.convertScaleAbs(values, alpha=scale, beta=-least * scale)))

    def windowed(values: npt.NDArray[Any]) -> Pixels:
        if values.dtype == np.uint8:  # the window is what bytes can be
            return fitted(values)
        center, width = WINDOW
        scale = 255 / (width - 1)
        beta = 127.5 - (center - 0.5) * scale
        # convertScaleAbs takes the absolute value: what lies below the window has to be raised first.
        lifted = np.maximum(values, np.uint16(max(0, -beta / scale)))
        return fitted(np.asarray(cv2.convertScaleAbs(lifted, alpha=scale, beta=beta)))

    def by_cv2(content: bytes, how: int = cv2.IMREAD_UNCHANGED) -> npt.NDArray[Any]:
        return np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), how))

    def frame(content: bytes) -> bytes:
        from pydicom import dcmread
        from pydicom.encaps import generate_frames

        packed: bytes = next(generate_frames(dcmread(BytesIO(content)).PixelData, number_of_frames=1))
        return packed

    def raw(content: bytes, kind: str) -> npt.NDArray[Any]:
        from pydicom import dcmread

        return np.frombuffer(dcmread(BytesIO(content)).PixelData, kind).reshape(SIDES)

    def by_pydicom(content: bytes, plugin: str) -> npt.NDArray[Any]:
        from pydicom import dcmread
        from pydicom.pixels import pixel_array

        return np.asarray(pixel_array(dcmread(BytesIO(content)), decoding_plugin=plugin))

    half = cv2.IMREAD_REDUCED_GRAYSCALE_2
    quarter = cv2.IMREAD_REDUCED_GRAYSCALE_4
    ways: dict[str, dict[str, Peer]] = {
        "PNG, 8 bits": {
            "OpenCV": lambda content: fitted(by_cv2(content)),
            "imagecodecs": lambda content: fitted(imagecodecs.png_decode(content)),
        },
        "PNG, 16 bits": {
            "OpenCV": lambda content: ranged(by_cv2(content)),
            "imagecodecs": lambda content: ranged(imagecodecs.png_decode(content)),
        },
        "JPEG": {
            "OpenCV": lambda content: fitted(by_cv2(content)),
            "OpenCV, at half the size": lambda content: fitted(by_cv2(content, half)),
            "OpenCV, at a quarter": lambda content: fitted(by_cv2(content, quarter)),
            "imagecodecs": lambda content: fitted(imagecodecs.jpeg8_decode(content)),
        },
        "DICOM raw, 8 bits": {"pydicom, OpenCV": lambda content: ranged(raw(content, "u1"))},
        "DICOM raw, 12 bits": {"pydicom, OpenCV": lambda content: windowed(raw(content, "<u2"))},
        "DICOM JPEG": {
            "pydicom, OpenCV": lambda content: windowed(by_cv2(frame(content))),
            "pydicom, OpenCV, at a quarter": lambda content: windowed(by_cv2(frame(content), quarter)),
            "pydicom, imagecodecs": lambda content: windowed(imagecodecs.jpeg8_decode(frame(content))),
        },
        "DICOM JPEG lossless": {
            "pydicom, imagecodecs": lambda content: windowed(imagecodecs.jpeg8_decode(frame(content))),
            "pydicom, GDCM": lambda content: windowed(by_pydicom(content, "gdcm")),
        },
        "DICOM JPEG-LS": {
            "pydicom, imagecodecs": lambda content: windowed(imagecodecs.jpegls_decode(frame(content))),
            "pydicom, GDCM": lambda content: windowed(by_pydicom(content, "gdcm")),
        },
        "DICOM JPEG 2000": {
            "pydicom, imagecodecs": lambda content: windowed(
                imagecodecs.jpeg2k_decode(frame(content), numthreads=1)
            ),
            "pydicom, pylibjpeg": lambda content: windowed(by_pydicom(content, "pylibjpeg")),
            "pydicom, GDCM": lambda content: windowed(by_pydicom(content, "gdcm")),
        },
        "DICOM RLE": {
            "pydicom, imagecodecs": lambda content: windowed(
                np.frombuffer(imagecodecs.dicomrle_decode(frame(content), "<u2"), "<u2").reshape(SIDES)
            ),
            "pydicom": lambda content: windowed(by_pydicom(content, "pydicom")),
            "pydicom, GDCM": lambda content: windowed(by_pydicom(content, "gdcm")),
        },
    }
    return ways[name]


def core_milliseconds(ways: Mapping[str, Callable[[], object]], count: int) -> dict[str, list[float]]:
    """Processor time of each way in each of `count` rounds, in turn, after one that warms up."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(count + 1):
        for name, way in ways.items():
            start = time.process_time()
            way()
            if number:
                taken[name].append(1e3 * (time.process_time() - start))
    return taken


def measure(name: str, content: bytes, size: int, count: int) -> dict[str, Any]:
    """Core-milliseconds of one format: now, before, and by the fastest of the others."""
    here = Isolation("none")
    now, before = Preprocessing(size, size), Preprocessing(size, size, display=2)
    ways: dict[str, Callable[[], object]] = {
        "now": lambda: now.read(content, here),
        "before": lambda: before.read(content, here),
    }
    others = {}
    expected = now.read(content, here).astype(float)
    for peer, way in peers(name, size).items():
        try:
            picture = way(content)
        except (ImportError, NotImplementedError, RuntimeError, ValueError):
            continue  # a plugin that isn't installed
        left = (size - picture.shape[1]) // 2
        mine = expected[:, left : left + picture.shape[1]]
        others[peer] = float(np.abs(mine - picture).mean())
        ways[peer] = lambda way=way: way(content)  # type: ignore[misc]
    taken = core_milliseconds(ways, count)
    best = min(others, key=lambda peer: median(taken[peer])) if others else None
    return {
        "now_ms": median(taken["now"]),
        "before_ms": median(taken["before"]),
        "peers_ms": {peer: median(taken[peer]) for peer in others},
        "mean_difference": others,
        "fastest_peer": best,
        "now_over_fastest_peer": None if best is None else _ratio(taken, "now", best),
        "before_over_now": _ratio(taken, "before", "now"),
    }


def _ratio(taken: Mapping[str, list[float]], one: str, other: str) -> float:
    return float(median(mine / theirs for mine, theirs in zip(taken[one], taken[other], strict=True)))


def changed_words(count: int) -> dict[str, float]:
    """Share of reports of the demo bundle whose words differ between the rules of version 2 and of 3.

    And between a film's file as JPEG and as PNG under the same rules, to compare with.
    """
    from cxrscribe import demo_bundle, load

    kinds = ("JPEG", "DICOM JPEG", "DICOM JPEG 2000")
    with load(demo_bundle(), device="cpu") as reporter:
        size = reporter.manifest.preprocessing.height
        readers = [Preprocessing(size, size, display=version).read for version in (2, 3)]
        pictures: dict[str, list[Pixels]] = {}
        for number in range(count):
            found = written(large_film(1000 + number))
            for kind in (*kinds, "PNG, 8 bits"):
                for version, read in enumerate(readers, start=2):
                    pictures.setdefault(f"{kind} {version}", []).append(read(found[kind], Isolation("none")))
        words = {name: [report.tokens for report in _reports(reporter, of)] for name, of in pictures.items()}
    shares = {kind: _differing(words[f"{kind} 2"], words[f"{kind} 3"]) for kind in kinds}
    return shares | {"JPEG against PNG, version 2": _differing(words["JPEG 2"], words["PNG, 8 bits 2"])}


def _reports(reporter: Any, pictures: list[Pixels]) -> list[Any]:
    return list(reporter.report_batch(pictures))


def _differing(one: list[Any], other: list[Any]) -> float:
    return sum(bool(mine != theirs) for mine, theirs in zip(one, other, strict=True)) / len(one)


@click.command()
@click.option(
    "--size", type=click.IntRange(16, 1024), default=224, show_default=True, help="Network's input."
)
@click.option("--rounds", "count", type=click.IntRange(min=1), default=9, show_default=True)
@click.option(
    "--words", type=click.IntRange(min=0), default=0, metavar="N", help="Also compare the reports of N films."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def main(size: int, count: int, words: int, as_json: bool) -> None:
    """Print what a film of 2,500 x 2,048 pixels costs in each format."""
    films = written(large_film(1))
    found: dict[str, Any] = {name: measure(name, content, size, count) for name, content in films.items()}
    changed = changed_words(words) if words else {}
    if as_json:
        click.echo(json.dumps({"formats": found, "changed_words": changed}, indent=1))
        return
    click.echo(f"core-milliseconds a film, {SIDES[0]} x {SIDES[1]} pixels to {size} x {size}")
    for name, costs in found.items():
        peer, over = costs["fastest_peer"], costs["now_over_fastest_peer"]
        beside = f"{over:5.2f}x {peer} ({costs['peers_ms'][peer]:.1f})" if peer else ""
        click.echo(f"{name:20} {costs['now_ms']:7.1f} now {costs['before_ms']:7.1f} before   {beside}")
    for name, share in changed.items():
        click.echo(f"{name:28} words differ in {share:.1%} of {words} reports")


if __name__ == "__main__":
    main()

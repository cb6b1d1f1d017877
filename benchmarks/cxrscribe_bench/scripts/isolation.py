"""What it costs to decode films in processes of their own.

    python -m cxrscribe_bench.scripts.isolation [FILM ...]

Both ways in turn in one run: films one after the other, as a stream has them, and on as many threads as a
reporter reads with; as a file, which the other process reads itself, and as bytes, which are sent to it. And
the first film after others have had the processor for a while, whose caches know nothing of it. Without FILM,
a drawn film as JPEG, as JPEG lossless and as JPEG 2000 in DICOM.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click
import numpy as np

from cxrscribe.films.isolation import Isolation
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.sessions.device import usable_threads
from cxrscribe_bench.timing.rounds import ratio, rounds

FILMS = 8
"""Read in each turn."""
SIDES = (2500, 2048)
BITS = 12


def drawn_films() -> Mapping[str, bytes]:
    """One film in compressions old and new, as large as real ones."""
    import imagecodecs
    from PIL import Image
    from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1

    rows = np.linspace(0, 3, SIDES[0])[:, None] * np.linspace(0, 3, SIDES[1])
    noise = np.random.default_rng(0).integers(0, 8, SIDES)
    pixels = (100 + 90 * np.sin(rows) + noise).astype(np.uint8)
    films = {}
    for name, kind, syntax, options in (
        ("JPEG", "JPEG", JPEGBaseline8Bit, {"quality": 90}),
        ("JPEG 2000", "JPEG2000", JPEG2000Lossless, {"no_jp2": True}),
    ):
        frame = BytesIO()
        Image.fromarray(pixels).save(frame, kind, **options)
        films[name] = in_dicom(frame.getvalue(), 8, syntax)
    deep = pixels.astype(np.uint16) << 4
    films["JPEG lossless"] = in_dicom(
        bytes(imagecodecs.ljpeg_encode(deep, bitspersample=BITS)), BITS, JPEGLosslessSV1
    )
    return films


def in_dicom(frame: bytes, bits: int, syntax: str) -> bytes:
    """A file with this compressed frame of `SIDES`."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    dataset, film = Dataset(), BytesIO()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns = SIDES
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = (8 if bits <= 8 else 16), bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = encapsulate([frame])
    dataset.save_as(film, enforce_file_format=True)
    return film.getvalue()


def measure(file: Path, count: int) -> dict[str, float]:
    """Milliseconds a film in this process, and what isolation adds; ratios in a row and on threads."""
    read, content = Preprocessing(224, 224).read, file.read_bytes()
    ways: dict[str, Callable[[], object]] = {}
    with ThreadPoolExecutor(min(usable_threads(), 4)) as pool:
        for way, film, isolation in (
            ("here", file, "none"),
            ("isolated", file, "all"),
            ("bytes here", content, "none"),
            ("bytes isolated", content, "all"),
        ):
            one = partial(read, film, Isolation(isolation))
            ways[f"{way}, first"] = one
            ways[way] = partial(in_a_row, one)
            ways[f"{way}, threads"] = partial(on_threads, pool, one)
        seconds = rounds(ways, count)
    return {
        "megabytes": len(content) / 1e6,
        "here_ms": 1e3 * median(seconds["here"]) / FILMS,
        **{
            f"{name}{what}": value
            for name, here, isolated in (
                ("", "here", "isolated"),
                ("bytes_", "bytes here", "bytes isolated"),
            )
            for what, value in (
                ("first_more_ms", more_ms(seconds, f"{isolated}, first", f"{here}, first")),
                ("more_ms", more_ms(seconds, isolated, here) / FILMS),
                ("isolated_over_here", ratio(seconds, isolated, here)),
                (
                    "isolated_over_here_on_threads",
                    ratio(seconds, f"{isolated}, threads", f"{here}, threads"),
                ),
            )
        },
    }


def more_ms(seconds: Mapping[str, list[float]], one: str, other: str) -> float:
    """Median over the rounds of how much longer `one` took than `other` in the same round."""
    return 1e3 * median(map(float.__sub__, seconds[one], seconds[other]))


def in_a_row(one: Callable[[], object]) -> None:
    """Do this some times."""
    for _ in range(FILMS):
        one()


def on_threads(pool: ThreadPoolExecutor, one: Callable[[], object]) -> None:
    """Do this some times on all threads of the pool."""
    for done in [pool.submit(one) for _ in range(FILMS)]:
        done.result()


@click.command()
@click.argument("films", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--rounds", "count", type=click.IntRange(min=1), default=9, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def main(films: tuple[Path, ...], count: int, as_json: bool) -> None:
    """Print what isolation costs for each FILM; without FILM, for two drawn ones."""
    with TemporaryDirectory(prefix="cxrscribe-bench-") as folder:
        given = {path.name: path for path in films}
        if not films:
            for name, content in drawn_films().items():
                given[name] = Path(folder) / f"{name}.dcm"
                given[name].write_bytes(content)
        found = {name: measure(path, count) for name, path in given.items()}
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    click.echo(
        f"{'':20} {'MB':>6} {'ms':>8}   isolated {'more':>12} {'ratio':>7} {'on threads':>10} {'first':>12}"
    )
    for name, costs in found.items():
        for given_as, key in (("file", ""), ("bytes", "bytes_")):
            click.echo(
                f"{name:20} {costs['megabytes']:6.2f} {costs['here_ms']:8.1f}   {given_as:8} "
                f"{costs[key + 'more_ms']:+9.2f} ms {costs[key + 'isolated_over_here']:7.3f} "
                f"{costs[key + 'isolated_over_here_on_threads']:10.3f} "
                f"{costs[key + 'first_more_ms']:+9.2f} ms"
            )


if __name__ == "__main__":
    main()

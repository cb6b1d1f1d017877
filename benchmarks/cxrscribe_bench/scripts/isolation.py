"""What it costs to decode films in processes of their own.

    python -m cxrscribe_bench.scripts.isolation [FILM ...]

Both ways in turn in one run: one film after the other, and on as many threads as a reporter reads with.
Without FILM, a drawn film as JPEG and as JPEG 2000 in DICOM.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path
from statistics import median

import click
import numpy as np

from cxrscribe.films.isolation import Isolation
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.sessions.device import usable_threads
from cxrscribe_bench.timing.rounds import ratio, rounds

FILMS = 8
SIDES = (2048, 2500)


def drawn_films() -> Mapping[str, bytes]:
    """One film in each compression that Pillow writes, as large as real ones."""
    from PIL import Image
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

    rows = np.linspace(0, 3, SIDES[0])[:, None] * np.linspace(0, 3, SIDES[1])
    noise = np.random.default_rng(0).integers(0, 8, SIDES)
    pixels = (100 + 90 * np.sin(rows) + noise).astype(np.uint8)
    films = {}
    for name, kind, syntax, options in (
        ("JPEG", "JPEG", JPEGBaseline8Bit, {"quality": 90}),
        ("JPEG 2000", "JPEG2000", JPEG2000Lossless, {"no_jp2": True}),
    ):
        frame, film = BytesIO(), BytesIO()
        Image.fromarray(pixels).save(frame, kind, **options)
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation = 7, 0
        dataset.PixelData = encapsulate([frame.getvalue()])
        dataset.save_as(film, enforce_file_format=True)
        films[name] = film.getvalue()
    return films


def measure(film: bytes, count: int) -> dict[str, float]:
    """Milliseconds a film here and isolated, one after the other; and ratios, one by one and on threads."""
    read = Preprocessing(224, 224).read
    ways: dict[str, Callable[[], object]] = {}
    with ThreadPoolExecutor(min(usable_threads(), 4)) as pool:
        for way, isolation in (("here", Isolation("none")), ("isolated", Isolation("all"))):
            ways[way] = partial(read, film, isolation)
            ways[f"{way}, threads"] = lambda isolation=isolation: list(  # type: ignore[misc]
                pool.map(lambda _: read(film, isolation), range(FILMS))
            )
        seconds = rounds(ways, count)
    return {
        "here_ms": 1e3 * median(seconds["here"]),
        "isolated_ms": 1e3 * median(seconds["isolated"]),
        "isolated_over_here": ratio(seconds, "isolated", "here"),
        "isolated_over_here_on_threads": ratio(seconds, "isolated, threads", "here, threads"),
    }


@click.command()
@click.argument("films", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--rounds", "count", type=click.IntRange(min=1), default=9, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def main(films: tuple[Path, ...], count: int, as_json: bool) -> None:
    """Print what isolation costs for each FILM; without FILM, for two drawn ones."""
    given = {path.name: path.read_bytes() for path in films} or drawn_films()
    found = {name: measure(content, count) for name, content in given.items()}
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for name, costs in found.items():
        click.echo(
            f"{name:20} {costs['here_ms']:8.1f} ms here {costs['isolated_ms']:8.1f} ms isolated "
            f"{costs['isolated_over_here']:6.3f}x, on threads {costs['isolated_over_here_on_threads']:.3f}x"
        )


if __name__ == "__main__":
    main()

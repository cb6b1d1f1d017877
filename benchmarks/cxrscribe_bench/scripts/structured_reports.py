"""What structured reports cost an archive run: `score_shards` with `sr` and without, in turn, in one run.

    python -m cxrscribe_bench.scripts.structured_reports [BUNDLE] --films 64 --rounds 10
    python -m cxrscribe_bench.scripts.structured_reports [BUNDLE] --films 64 --rounds 10 --compressed

Of drawn films as DICOM, with the identifiers of a patient who was drawn too. `--compressed`: as JPEG 2000, so
that headers are read in a process of their own, as pixels are; that process' time is not in this one's
processor seconds, but in the wall time.
"""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import click

import cxrscribe
from cxrscribe.archive import begin_run, score_shards
from cxrscribe_bench.material.drawn_films import drawn_film
from cxrscribe_bench.timing.rounds import interval

WITHOUT, WITH = "without", "with"


def dicom_film(number: int, *, compressed: bool) -> bytes:
    """A drawn film of 12 bits, of a study of its own."""
    import numpy as np
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

    pixels = drawn_film(number).astype(np.uint16) * 16
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless if compressed else ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = f"2.25.3{number:09}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"2.25.1{number:09}", f"2.25.2{number:09}"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName, dataset.PatientID = f"Gezeichnet^Jörg {number}", f"DRAWN-{number}"
    dataset.PatientBirthDate, dataset.PatientSex = "19010203", "O"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20260304", "050607", f"A{number}"
    dataset.ReferringPhysicianName, dataset.StudyID, dataset.Modality = "Drawn^Doctor", "1", "DX"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    if compressed:
        import imagecodecs

        dataset.PixelData = encapsulate([imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k")])
    else:
        dataset.PixelData = pixels.tobytes()
    content = BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


def measure(folder: Path, bundle: Path, films: int, count: int, *, compressed: bool) -> dict[str, float]:
    """Processor and wall seconds with structured reports over those without, of the same films in turn."""
    archive = folder / "films"
    archive.mkdir()
    for number in range(films):
        (archive / f"{number:06}.dcm").write_bytes(dicom_film(number, compressed=compressed))
    ratios: list[float] = []
    wall_ratios: list[float] = []
    seconds: dict[str, list[float]] = {WITHOUT: [], WITH: []}
    documents = 0
    with cxrscribe.load(bundle, device="cpu", spinning=False) as reporter:
        for number in range(count + 1):
            worked: dict[str, float] = {}
            took: dict[str, float] = {}
            for name in (WITHOUT, WITH) if number % 2 else (WITH, WITHOUT):
                run = begin_run(
                    folder / f"{name}-{number}",
                    [str(archive)],
                    reporter,
                    reporter.settings,
                    sr=name == WITH,
                )
                began, before = perf_counter(), process_time()
                receipts = list(score_shards(run, run.generation().missing(), reporter))
                worked[name], took[name] = process_time() - before, perf_counter() - began
                documents += sum(receipt.sr_documents for receipt in receipts)
            if number:  # the first round warms up
                ratios.append(worked[WITH] / worked[WITHOUT])
                wall_ratios.append(took[WITH] / took[WITHOUT])
                for name, each in worked.items():
                    seconds[name].append(each)
    if documents != films * (count + 1):
        raise click.ClickException(f"{documents} structured reports for {films * (count + 1)} films")
    low, high = interval(ratios)
    more = [one - other for one, other in zip(seconds[WITH], seconds[WITHOUT], strict=True)]
    return {
        "films": films,
        "rounds": count,
        "with_over_without": median(ratios),
        "with_over_without_low": low,
        "with_over_without_high": high,
        "wall_with_over_without": median(wall_ratios),
        "cpu_milliseconds_a_film": 1e3 * median(seconds[WITHOUT]) / films,
        "more_cpu_milliseconds_a_film": 1e3 * median(more) / films,
    }


@click.command()
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--films", default=64, show_default=True, help="Films of the archive.")
@click.option("--rounds", "count", default=10, show_default=True, help="Rounds, with and without in turn.")
@click.option("--compressed", is_flag=True, help="Films as JPEG 2000.")
def main(bundle: Path | None, films: int, count: int, compressed: bool) -> None:
    """Print the figures as JSON."""
    with TemporaryDirectory() as name:
        found = measure(Path(name), bundle or cxrscribe.demo_bundle(), films, count, compressed=compressed)
    click.echo(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

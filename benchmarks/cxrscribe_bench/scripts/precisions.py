"""How much faster int8 is than fp32: `python -m cxrscribe_bench.scripts.precisions [--encoder NAME]`.

Encoder and fused step, at several batch sizes, each pair of graphs timed in turn in one run: ratios hold on a
machine that does other things too, milliseconds only on a quiet one. Without a bundle it is the benchmark
model: its speed is that of a trained one, and its reports mean nothing, so only speed and size are printed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import click
import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.contract import BEAM_INIT, BEAM_STEP, ENCODER
from cxrscribe.bundle.files import FP32
from cxrscribe.sessions.device import usable_threads
from cxrscribe_bench.material.drawn_films import drawn_films
from cxrscribe_bench.material.model import ModelSize, model_at

if TYPE_CHECKING:
    import onnx

FILMS: Final = (1, 8, 32)
PLACES: Final = 5
IMAGES: Final = (1, 10, 32)
"""Times `PLACES` hypotheses each: 5, 50 and 160 rows."""
STEP_ROUNDS: Final = 100
CALIBRATION_FILMS: Final = 16
_DRAWN_SIDE: Final = 512

Films = NDArray[np.uint8]
Models = Mapping[str, "onnx.ModelProto"]


@dataclass(frozen=True)
class Subject:
    """A model at fp32 and int8."""

    name: str
    architecture: Architecture
    films: Films
    """[32, H, W]: drawn, to be encoded."""
    fp32: Models
    int8: Models


@dataclass(frozen=True)
class Timing:
    """Median milliseconds of one graph at one batch size."""

    graph: str
    size: str
    fp32_ms: float
    int8_ms: float
    speedup: float
    """How many times faster int8 is: the median over pairs of runs."""


@click.command()
@click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Default: the benchmark model.",
)
@click.option("--encoder", default="resnet101", show_default=True, help="Backbone of that model.")
@click.option("--size", default=224, show_default=True, help="Height and width of its films.")
@click.option("--rounds", default=9, show_default=True, help="Rounds for the encoder; the median counts.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(bundle: Path | None, encoder: str, size: int, rounds: int, as_json: bool) -> None:
    """Time the encoder and the fused step at fp32 and int8, and say how large they are."""
    from cxrscribe.sessions.device import processor_name

    if bundle is not None:
        subject = subject_of(bundle)
    else:
        with tempfile.TemporaryDirectory(prefix="cxrscribe-bench-") as folder:
            subject = subject_of(model_at(Path(folder), ModelSize(backbone=encoder, side=size)).bundle)
    timings = list(measure(subject, rounds))
    megabytes = {
        name: [models[name].ByteSize() / 1e6 for models in (subject.fp32, subject.int8)]
        for name in (ENCODER, BEAM_INIT, BEAM_STEP)
    }
    if as_json:
        record = {
            "model": subject.name,
            "processor": processor_name(),
            "threads": usable_threads(),
            "timings": [asdict(timing) for timing in timings],
            "megabytes": megabytes,
        }
        click.echo(json.dumps(record, indent=2))
        return
    click.echo(f"{subject.name}, {usable_threads()} threads of {processor_name()}")
    click.echo("\n".join(_table(timings, megabytes)))


def measure(subject: Subject, rounds: int) -> Iterator[Timing]:
    """Time every graph at every batch size; `rounds`: of the encoder."""
    from cxrscribe_export.graphs.runner import GraphRunner
    from cxrscribe_export.precision.speed import seconds_in_turn, step_inputs

    def runners(graph: str) -> list[GraphRunner]:
        return [GraphRunner(models[graph]) for models in (subject.fp32, subject.int8)]

    pair = runners(ENCODER)
    for films in FILMS:
        batch = subject.films[:films]
        seconds = seconds_in_turn([partial(runner.run, batch) for runner in pair], rounds)
        yield _timing("encoder", f"{films} films", seconds)
    pair = runners(BEAM_STEP)
    for images in IMAGES:
        inputs = step_inputs(subject.architecture, images, PLACES)
        seconds = seconds_in_turn([partial(runner.run, *inputs) for runner in pair], STEP_ROUNDS)
        yield _timing("beam_step", f"{images * PLACES} rows", seconds)


def _timing(graph: str, size: str, seconds: Sequence[Sequence[float]]) -> Timing:
    fp32, int8 = seconds
    ratio = median(before / after for before, after in zip(fp32, int8, strict=True))
    return Timing(graph, size, 1000 * median(fp32), 1000 * median(int8), ratio)


def _table(timings: Sequence[Timing], megabytes: Mapping[str, Sequence[float]]) -> Iterator[str]:
    yield f"{'graph':<12}{'batch':<10}{'fp32 ms':>10}{'int8 ms':>10}{'speedup':>10}"
    for timing in timings:
        yield (
            f"{timing.graph:<12}{timing.size:<10}{timing.fp32_ms:>10.2f}{timing.int8_ms:>10.2f}"
            f"{timing.speedup:>9.2f}x"
        )
    yield f"{'graph':<22}{'fp32 MB':>10}{'int8 MB':>10}{'share':>10}"
    whole = [sum(sizes) for sizes in zip(*megabytes.values(), strict=True)]
    for name, (fp32, int8) in {**megabytes, "all": whole}.items():
        yield f"{name:<22}{fp32:>10.2f}{int8:>10.2f}{int8 / fp32:>10.2f}"


def subject_of(path: Path) -> Subject:
    """The model in the bundle `path`; int8 is made, calibrated on drawn films, where the bundle lacks it.

    Raises BundleError where the bundle is damaged or has no fused graphs.
    """
    import onnx

    from cxrscribe.bundle.bundle import Bundle
    from cxrscribe.bundle.precision_pair import INT8
    from cxrscribe_export.patients import starts, text_of_bundle
    from cxrscribe_export.precision.kinds import GRAPHS, KINDS

    bundle = Bundle.open(path)
    manifest = bundle.manifest
    drawn = drawn_films(max(FILMS) + CALIBRATION_FILMS, _DRAWN_SIDE)
    films = np.stack([manifest.preprocessing.read(film) for film in drawn])
    encoded, calibration = np.split(films, [max(FILMS)])

    def graphs(precision: str) -> Models:
        return {name: onnx.load(str(bundle.graph(name, precision))) for name in GRAPHS}

    text = text_of_bundle(bundle.path, manifest)

    def nobody(features: NDArray[np.float32]) -> NDArray[np.float32]:
        return starts(features, text, [""] * len(features))

    fp32 = graphs(FP32)
    has_int8 = INT8 in manifest.graph_precisions
    int8 = graphs(INT8) if has_int8 else KINDS[INT8].make(fp32, calibration, nobody)
    return Subject(manifest.architecture.backbone, manifest.architecture, encoded, fp32, int8)


if __name__ == "__main__":
    main()

"""The encoder by engine and precision: `python -m cxrscribe_bench.scripts.encoder_engines [--bundle DIR]`.

onnxruntime and OpenVINO at every precision that the bundle and this processor have, at one film and at eight,
all in turn in one run: ratios hold on a machine that does other things too, milliseconds only on a quiet one.
`--starts N` also starts N fresh processes of each and has them write a first report, on caches that are
filled. Without a bundle it is the benchmark model.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import click
import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.contract import ENCODER
from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.precision_pair import BF16, PrecisionPair
from cxrscribe.errors import DeviceError
from cxrscribe.networks.encoder import Encoder
from cxrscribe.networks.opening import open_encoder
from cxrscribe.sessions.cache import open_cache
from cxrscribe.sessions.device import OPENVINO, find_devices, processor_name, usable_threads
from cxrscribe.sessions.factory import SessionFactory
from cxrscribe.tuning.race import turns
from cxrscribe_bench.material.drawn_films import drawn_film, drawn_films
from cxrscribe_bench.material.model import ModelSize, model_at
from cxrscribe_bench.timing.memory import PEAK_KILOBYTES
from cxrscribe_bench.timing.worker import WorkerError

FILMS: Final = (1, 8)
_BASE: Final = ("cpu", FP32)
"""What all others are compared with."""
_STARTED: Final = f"""
import sys, time
{PEAK_KILOBYTES}
import cxrscribe
_, began, bundle, film, device, precision, cache = sys.argv
with cxrscribe.load(bundle, device=device, precision=precision, cache=cache) as reporter:
    reporter.report(film)
    print(time.monotonic() - float(began), peak_kilobytes())
"""

Kind = tuple[str, str]
"""Device and precision."""


@dataclass(frozen=True)
class Speed:
    """One device and precision, at so many films or, with none, of a start."""

    device: str
    precision: str
    films: int
    milliseconds: float
    """Median over the rounds: of a film, or from the start of a process to its first report."""
    time: float
    """As a multiple of onnxruntime's in fp32: the median over the rounds."""
    megabytes: float | None = None
    """Peak memory of the process, of a start."""


@click.command()
@click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Default: the benchmark model.",
)
@click.option("--encoder", default="resnet101", show_default=True, help="Backbone of that model.")
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=15,
    show_default=True,
    help="Of each kind at each number of films.",
)
@click.option(
    "--starts", type=click.IntRange(min=0), default=0, show_default=True, help="Fresh processes of each kind."
)
@click.option("--threads", type=click.IntRange(min=1), help="Default: all that this process may use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    bundle: Path | None, encoder: str, rounds: int, starts: int, threads: int | None, as_json: bool
) -> None:
    """Time the encoder, and a first report, by engine and precision."""
    with tempfile.TemporaryDirectory(prefix="cxrscribe-bench-") as folder:
        if bundle is None:
            bundle = model_at(Path(folder), ModelSize(backbone=encoder)).bundle
        found = Bundle.open(bundle)
        kinds = kinds_of(found)
        cache = Path(folder) / "cache"
        opened = {kind: _opened(found, kind, threads, cache) for kind in kinds}
        side = found.manifest.preprocessing.height
        speeds = list(measure(opened, drawn_films(max(FILMS), side), rounds))
        if starts:
            speeds += measure_starts(found, kinds, cache, Path(folder), starts)
    if as_json:
        record = {
            "model": found.manifest.architecture.backbone,
            "processor": processor_name(),
            "threads": threads or usable_threads(),
            "speeds": [asdict(speed) for speed in speeds],
        }
        click.echo(json.dumps(record, indent=2))
        return
    click.echo(
        f"{found.manifest.architecture.backbone}, {threads or usable_threads()} threads of {processor_name()}"
    )
    click.echo("\n".join(_table(speeds)))


def kinds_of(bundle: Bundle) -> list[Kind]:
    """Every engine here with every precision of the encoder that it computes; fp32 by onnxruntime first."""
    graphs = [name for name in bundle.manifest.graph_precisions if bundle.has_graph(ENCODER, name)]
    kinds = [("cpu", name) for name in graphs]
    try:
        find_devices(OPENVINO.name)
        from cxrscribe.sessions.openvino import bf16_capable

        kinds += [(OPENVINO.name, name) for name in [*graphs, *([BF16] if bf16_capable() else [])]]
    except DeviceError as error:
        click.echo(f"without OpenVINO: {error}", err=True)
    return sorted(kinds, key=lambda kind: kind != _BASE)


def measure(encoders: Mapping[Kind, Encoder], films: NDArray[np.uint8], rounds: int) -> Iterator[Speed]:
    """Time every encoder at every number of films."""
    for count in FILMS:
        seconds = in_turn([partial(encoder.encode, films[:count]) for encoder in encoders.values()], rounds)
        for (device, precision), mine in zip(encoders, seconds, strict=True):
            yield Speed(device, precision, count, 1000 * median(mine) / count, _ratio(mine, seconds[0]))


def measure_starts(
    bundle: Bundle, kinds: Sequence[Kind], cache: Path, folder: Path, starts: int
) -> Iterator[Speed]:
    """Time the first report of fresh processes; the decoder is at fp32 in all of them."""
    from PIL import Image

    film = folder / "film.png"
    Image.fromarray(drawn_film(0)).save(film)
    taken: dict[Kind, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for number in range(starts + 1):  # the first one fills the cache
        for device, precision in kinds:
            pair = str(PrecisionPair.parse(precision if precision == BF16 else f"{precision}+{FP32}"))
            sample = _start(str(bundle.path.resolve()), str(film), device, pair, str(cache))
            if number:
                taken[device, precision].append(sample)
    base = [seconds for seconds, _ in taken[kinds[0]]]
    for (device, precision), samples in taken.items():
        seconds = [each for each, _ in samples]
        memory = median(kilobytes for _, kilobytes in samples) / 1024
        yield Speed(device, precision, 0, 1000 * median(seconds), _ratio(seconds, base), memory)


def in_turn(runs: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Seconds of each round of each of `runs`, in turn; each is run once more before, to warm its caches."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _, place in turns(list(range(len(runs))), range(rounds)):
        runs[place]()
        started = time.perf_counter()
        runs[place]()
        seconds[place].append(time.perf_counter() - started)
    return seconds


def _ratio(mine: Sequence[float], base: Sequence[float]) -> float:
    return median(a / b for a, b in zip(mine, base, strict=True))


def _opened(bundle: Bundle, kind: Kind, threads: int | None, cache: Path) -> Encoder:
    device, precision = kind
    sessions = SessionFactory(device, threads, cache=open_cache(cache, None))
    return open_encoder(bundle, sessions, PrecisionPair(precision, FP32), strict=False)


def _start(*arguments: str) -> tuple[float, float]:
    """Seconds and kilobytes of one fresh process."""
    command = [sys.executable, "-c", _STARTED, str(time.monotonic()), *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        raise WorkerError(f"a fresh process failed with exit code {process.returncode}: {process.stderr}")
    seconds, kilobytes = process.stdout.split()
    return float(seconds), float(kilobytes)


def _table(speeds: Sequence[Speed]) -> Iterator[str]:
    yield f"{'device':<11}{'precision':<11}{'films':>7}{'ms':>10}{'times':>9}{'MB':>7}"
    for speed in speeds:
        films = str(speed.films or "start")
        memory = f"{speed.megabytes:>7.0f}" if speed.megabytes is not None else ""
        yield (
            f"{speed.device:<11}{speed.precision:<11}{films:>7}{speed.milliseconds:>10.1f}{speed.time:>9.2f}"
            f"{memory}"
        )


if __name__ == "__main__":
    main()

"""The one-file graph beside the Python runtime: `python -m cxrscribe_bench.scripts.onefile BUNDLE`.

Times both from pixels to reports, in turn in one run, at every precision that the bundle has: ratios hold on
a machine that does other things too, milliseconds only on a quiet one. With `--films` it also counts on how
many drawn films both give the same words, in all hypotheses of the beam, with weights in float32 and in
float16. With `--letterbox` it measures what a film of any size costs: the time of fitting it inside the graph
beside the runtime's, on one thread, and the memory of the whole file.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import click
import numpy as np
from click import ClickException
from numpy.typing import NDArray

import cxrscribe
from cxrscribe import Report, Reporter
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.errors import FilmError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.sessions.device import import_onnxruntime, usable_threads
from cxrscribe_bench.timing.memory import PEAK_KILOBYTES, resident_bytes
from cxrscribe_bench.timing.rounds import ratio, rounds

BATCHES: Final = (1, 32)
SEED: Final = 2024
"""Of the films that are drawn. The demo model was trained on others."""

LETTERBOX_SIZES: Final = ((2500, 2000), (5000, 4000), (1000, 800))
FILM_SIZE: Final = (5000, 4000)
"""Of the film whose memory is measured: the largest in use have 20 megapixels."""

_PRINT_MEMORY: Final = (
    PEAK_KILOBYTES
    + """
import sys
import numpy
import onnxruntime
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
loaded = peak_kilobytes()
film = numpy.zeros(tuple(map(int, sys.argv[2:])), numpy.uint8)
film[:] = numpy.arange(film.shape[1]) % 251  # touched, so that it is in RAM
session.run(None, {"film": film})
print(loaded, peak_kilobytes())
"""
)

Films = NDArray[np.uint8]
Found = tuple[tuple[tuple[int, ...], bool, float], ...]
"""Tokens, finished and score of each hypothesis of one film, best first."""


@dataclass(frozen=True)
class Timing:
    """One precision at one batch size, medians."""

    precision: str
    films: int
    file_ms: float
    runtime_ms: float
    speedup: float
    """How many times faster the file is: the median of the rounds' ratios."""


@dataclass(frozen=True)
class Identity:
    """On how many films the two agree."""

    precision: str
    weights: str
    """How the file stores its weights."""
    bytes: int
    """Of the file."""
    films: int
    same_best: int
    """Films whose best report has the same words."""
    same_words: int
    """Films of which all hypotheses have the same words and ends."""
    same_scores: int
    """Those among them whose scores are equal to the last bit."""


@dataclass(frozen=True)
class LetterboxTime:
    """Fitting a film of one size, on one thread, medians."""

    height: int
    width: int
    file_ms: float
    runtime_ms: float
    times_slower: float
    """The median of the rounds' ratios."""


@dataclass(frozen=True)
class FilmMemory:
    """What a process that does nothing else had in RAM at most, in megabytes. Linux only."""

    loaded_mb: float
    """With onnxruntime and the file loaded."""
    peak_mb: float
    """While it wrote the report of a film of `FILM_SIZE`, the film included."""


class OneFile:
    """The graph on onnxruntime, on as many threads of the CPU as the runtime takes."""

    def __init__(self, bundle: Path, precision: str, weights: str = "fp32") -> None:
        from cxrscribe_export.onefile.file import one_file
        from cxrscribe_export.onefile.variant import Variant

        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = usable_threads()
        # Its threads must not slow the runtime while that is timed.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        variant = Variant(weights=weights)
        graph = one_file(Bundle.open(bundle), precision=precision, variant=variant).SerializeToString()
        self.weights = weights
        self.bytes = len(graph)
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(self, films: Films) -> list[NDArray[Any]]:
        """All outputs for films uint8 [N, H, W]."""
        outputs: list[NDArray[Any]] = self._session.run(None, {"image": films})
        return outputs

    def found(self, films: Films) -> list[Found]:
        """What it finds for each film."""
        return [
            tuple(
                (tuple(words[:length].tolist()), bool(finished), float(score))
                for words, length, score, finished in zip(*film, strict=True)
                if score > -np.inf
            )
            for film in zip(*self.run(films), strict=True)
        ]


@click.command()
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--films", default=0, show_default=True, help="Drawn films on which the words are compared.")
@click.option("--rounds", "count", default=15, show_default=True, help="Rounds of the timing.")
@click.option("--letterbox", "fits", is_flag=True, help="Measure time and memory of films of any size too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(bundle: Path, films: int, count: int, fits: bool, as_json: bool) -> None:
    """Time the one-file graph of BUNDLE beside the Python runtime, and compare their words."""
    picture = Bundle.open(bundle).manifest.preprocessing
    drawn = drawn_phantoms(max(films, *BATCHES), picture)
    timings, identities = [], []
    for precision in Bundle.open(bundle).manifest.graph_precisions:
        file = OneFile(bundle, precision)
        with cxrscribe.load(bundle, device="cpu", precision=precision) as reporter:
            timings += list(measure(file, reporter, drawn, count))
            if films:
                identities.append(compare(file, reporter, drawn[:films]))
                half = OneFile(bundle, precision, "fp16")
                identities.append(compare(half, reporter, drawn[:films]))
    times = list(letterbox_times(picture, count)) if fits else []
    memory = film_memory(bundle) if fits else None
    if as_json:
        record = {
            "bundle": str(bundle),
            "threads": usable_threads(),
            "timings": [asdict(timing) for timing in timings],
            "identities": [asdict(identity) for identity in identities],
            **({"letterbox": [asdict(time) for time in times]} if fits else {}),
            **({"memory": asdict(memory)} if memory else {}),
        }
        click.echo(json.dumps(record, indent=2))
    else:
        click.echo("\n".join([*_table(timings, identities), *_costs(times, memory)]))


def drawn_phantoms(count: int, picture: Preprocessing) -> Films:
    """Films as the network takes them, uint8 [count, H, W], with findings as often as in a drawn corpus."""
    from cxrscribe_train.phantom.drawing.film import draw_film
    from cxrscribe_train.phantom.recipe import sampled_recipe

    recipes = (sampled_recipe(SEED, number) for number in range(1, count + 1))
    return np.stack([picture.apply(draw_film(recipe.findings, recipe.drawing_seed)) for recipe in recipes])


def measure(file: OneFile, reporter: Reporter, films: Films, count: int) -> Iterator[Timing]:
    """Time both at every batch size of `BATCHES`, in `count` rounds."""
    for size in BATCHES:
        batch = films[:size]
        seconds = rounds(
            {"file": partial(file.run, batch), "runtime": partial(reporter.report_batch, list(batch))}, count
        )
        yield Timing(
            reporter.precision,
            size,
            1000 * median(seconds["file"]),
            1000 * median(seconds["runtime"]),
            ratio(seconds, "runtime", "file"),
        )


def compare(file: OneFile, reporter: Reporter, films: Films) -> Identity:
    """Compare all hypotheses of all films under the bundle's default settings."""
    settings = replace(reporter.settings, n_best=reporter.settings.beam_width)
    same_best = same_words = same_scores = 0
    for start in range(0, len(films), max(BATCHES)):
        batch = films[start : start + max(BATCHES)]
        outcomes = reporter.report_batch(list(batch), settings)
        for own, outcome in zip(file.found(batch), outcomes, strict=True):
            wanted = _found(outcome)
            same_best += [each[:2] for each in own[:1]] == [each[:2] for each in wanted[:1]]
            same_words += [each[:2] for each in own] == [each[:2] for each in wanted]
            same_scores += own == wanted
    return Identity(
        reporter.precision, file.weights, file.bytes, len(films), same_best, same_words, same_scores
    )


def letterbox_times(picture: Preprocessing, count: int) -> Iterator[LetterboxTime]:
    """Time the letterbox of the file and of the runtime on films of several sizes, in `count` rounds."""
    from cxrscribe_export.onefile.letterbox import letterbox_model

    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = letterbox_model(picture.height, picture.width).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    for height, width in LETTERBOX_SIZES:
        film = np.random.default_rng(SEED).integers(0, 256, (height, width), np.uint8)
        if not np.array_equal(session.run(None, {"film": film})[0][0], picture.apply(film)):
            raise ClickException(
                f"a film of {width} x {height} pixels is fitted otherwise than by the runtime"
            )
        seconds = rounds(
            {"file": partial(session.run, None, {"film": film}), "runtime": partial(picture.apply, film)},
            count,
        )
        yield LetterboxTime(
            height,
            width,
            1000 * median(seconds["file"]),
            1000 * median(seconds["runtime"]),
            ratio(seconds, "file", "runtime"),
        )


def film_memory(bundle: Path) -> FilmMemory | None:
    """Of the file that reads films of any size, in its own process; None where the system doesn't tell."""
    from cxrscribe_export.onefile.file import one_file
    from cxrscribe_export.onefile.variant import Variant

    if not resident_bytes():
        return None
    with TemporaryDirectory() as folder:
        path = Path(folder) / "report.onnx"
        path.write_bytes(one_file(Bundle.open(bundle), variant=Variant(input="film")).SerializeToString())
        height, width = FILM_SIZE
        command = [sys.executable, "-c", _PRINT_MEMORY, str(path), str(height), str(width)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded, peak = map(int, done.stdout.split())
    return FilmMemory(loaded / 1000, peak / 1000)


def _found(outcome: Report | FilmError) -> Found:
    if isinstance(outcome, FilmError):
        return ()
    results = (outcome, *outcome.alternatives)
    return tuple((result.tokens, result.finished, result.score) for result in results)


def _table(timings: Sequence[Timing], identities: Sequence[Identity]) -> Iterator[str]:
    yield f"{'precision':<12}{'films':>8}{'file ms':>12}{'runtime ms':>12}{'speedup':>10}"
    for timing in timings:
        yield (
            f"{timing.precision:<12}{timing.films:>8}{timing.file_ms:>12.2f}{timing.runtime_ms:>12.2f}"
            f"{timing.speedup:>9.2f}x"
        )
    for identity in identities:
        yield (
            f"{identity.precision}, weights in {identity.weights} ({identity.bytes / 1e6:.2f} MB): of "
            f"{identity.films} films {identity.same_best} have the same best report, {identity.same_words} "
            f"the same words in all results, {identity.same_scores} of them the same scores to the last bit"
        )


def _costs(times: Sequence[LetterboxTime], memory: FilmMemory | None) -> Iterator[str]:
    for time in times:
        yield (
            f"letterbox of {time.width} x {time.height}: {time.file_ms:.1f} ms in the file, "
            f"{time.runtime_ms:.1f} ms in the runtime, {time.times_slower:.1f} times as long"
        )
    if memory is not None:
        pixels = FILM_SIZE[0] * FILM_SIZE[1] / 1e6
        yield (
            f"memory: {memory.loaded_mb:.0f} MB with the file loaded, {memory.peak_mb:.0f} MB at most while "
            f"it wrote the report of a film of {pixels:.0f} megapixels, which is {pixels:.0f} MB itself"
        )


if __name__ == "__main__":
    main()

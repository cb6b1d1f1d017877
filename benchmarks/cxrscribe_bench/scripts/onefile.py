"""The one-file graph beside the Python runtime: `python -m cxrscribe_bench.scripts.onefile BUNDLE`.

Times both from pixels to reports, in turn in one run, at every precision that the bundle has: ratios hold on
a machine that does other things too, milliseconds only on a quiet one. With `--films` it also counts on how
many drawn films both give the same words, in all hypotheses of the beam.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import click
import numpy as np
from numpy.typing import NDArray

import cxrscribe
from cxrscribe import Report, Reporter
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.errors import FilmError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.sessions.device import import_onnxruntime, usable_threads
from cxrscribe_bench.timing.rounds import ratio, rounds

BATCHES: Final = (1, 32)
SEED: Final = 2024
"""Of the films that are drawn. The demo model was trained on others."""

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
    films: int
    same_words: int
    """Films of which all hypotheses have the same words and ends."""
    same_scores: int
    """Those among them whose scores are equal to the last bit."""


class OneFile:
    """The graph on onnxruntime, on as many threads of the CPU as the runtime takes."""

    def __init__(self, bundle: Path, precision: str) -> None:
        from cxrscribe_export.onefile.file import one_file

        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = usable_threads()
        # Its threads must not slow the runtime while that is timed.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        graph = one_file(Bundle.open(bundle), precision=precision).SerializeToString()
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
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(bundle: Path, films: int, count: int, as_json: bool) -> None:
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
    if as_json:
        record = {
            "bundle": str(bundle),
            "threads": usable_threads(),
            "timings": [asdict(timing) for timing in timings],
            "identities": [asdict(identity) for identity in identities],
        }
        click.echo(json.dumps(record, indent=2))
    else:
        click.echo("\n".join(_table(timings, identities)))


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
    same_words = same_scores = 0
    for start in range(0, len(films), max(BATCHES)):
        batch = films[start : start + max(BATCHES)]
        outcomes = reporter.report_batch(list(batch), settings)
        for own, outcome in zip(file.found(batch), outcomes, strict=True):
            wanted = _found(outcome)
            same_words += [each[:2] for each in own] == [each[:2] for each in wanted]
            same_scores += own == wanted
    return Identity(reporter.precision, len(films), same_words, same_scores)


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
            f"{identity.precision}: {identity.same_words} of {identity.films} films have the same words in "
            f"all results, {identity.same_scores} of them the same scores to the last bit"
        )


if __name__ == "__main__":
    main()

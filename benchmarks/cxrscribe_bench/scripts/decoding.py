"""How far decoding is from the machine's limit, and from simpler programs.

    python -m cxrscribe_bench.scripts.decoding FOLDER

takes the benchmark model in FOLDER, or makes it there. Features are ready, on the CPU. Everything is timed in
turn, round by round; what is printed are medians of ratios within a round.

With --brief, Python's share and the comparison with plain numpy only: a minute instead of several.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import click
import numpy as np

import cxrscribe
from cxrscribe import BeamSettings, DecodingStats, Report, Reporter
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.precision_pair import INT8
from cxrscribe.loader import open_bundle
from cxrscribe.search.requests import FeatureMatrix
from cxrscribe.search.scheduler import IMAGES_AT_ONCE
from cxrscribe_bench.floor.matrix_products import MatrixProducts, multiplications
from cxrscribe_bench.floor.recording import SearchRows, recorded_rows
from cxrscribe_bench.material.model import BenchmarkModel, model_at
from cxrscribe_bench.results.record import Goal
from cxrscribe_bench.results.samples import Estimate
from cxrscribe_bench.systems.plain_onnxruntime import OnnxDecoder
from cxrscribe_bench.systems.plain_search import PlainSearch
from cxrscribe_bench.timing.rounds import ratio, rounds

MAX_LENGTH = 162
_MAX_OF_REPORTS = BeamSettings(beam_width=5, max_length=MAX_LENGTH)


@dataclass(frozen=True)
class Setting:
    """What is decoded."""

    images: int
    beam_width: int = 5

    @property
    def beam(self) -> BeamSettings:
        """How."""
        return BeamSettings(beam_width=self.beam_width, max_length=MAX_LENGTH)


@dataclass(frozen=True)
class PythonShare:
    """What decoding takes beside the network."""

    share: float
    """Of all time."""
    step_seconds: float
    """For each step, everything that is done once an image included."""


class Bench:
    """The reporter on the benchmark model, and what it is compared with."""

    def __init__(self, model: BenchmarkModel, reporter: Reporter, count: int) -> None:
        self._reporter = reporter
        self._count = count
        self._model = model
        self._products = MatrixProducts(reporter.manifest.architecture)
        opened = open_bundle(
            model.bundle, device="cpu", precision=reporter.precision, threads=reporter.threads, cache=False
        )
        self._decoder = opened.decoder

    @property
    def precision(self) -> str:
        """Of the reporter."""
        return self._reporter.precision

    def rows(self, setting: Setting) -> SearchRows:
        """Rows of each call of the network when these images are decoded."""
        vocabulary = self._reporter.vocabulary
        features, each = self._model.features(setting.images), [setting.beam] * setting.images
        source = FeatureMatrix(features, each, vocabulary, IMAGES_AT_ONCE)
        return recorded_rows(self._decoder, vocabulary, source, IMAGES_AT_ONCE)

    def against_products(self, setting: Setting) -> float:
        """Decoding time over that of the products at the rows really run."""
        features = self._model.features(setting.images)
        rows = self.rows(setting)
        self._products.prepare(rows.steps, rows.initial)
        seconds = rounds(
            {
                "ours": partial(self._reporter.decode_features, features, setting.beam),
                "products": partial(self._products.run, rows.steps, rows.initial),
            },
            self._count,
        )
        return ratio(seconds, "ours", "products")

    def python(self, setting: Setting) -> PythonShare:
        """What decoding takes that is not in a session's run, of the wall time of the whole call."""
        features = self._model.features(setting.images)
        shares, steps = [], []
        for _ in range(2 * self._count):
            stats = DecodingStats()
            started = perf_counter()
            self._reporter.decode_features(features, setting.beam, stats=stats)
            seconds = perf_counter() - started
            shares.append(1 - stats.decoder_seconds / seconds)
            steps.append((seconds - stats.decoder_seconds) / stats.steps)
        return PythonShare(median(shares), median(steps))

    def against_plain_search(self, images: int, batches: Sequence[int]) -> tuple[float, int]:
        """Reports a second over those of the plain numpy search; in how many reports the two differ.

        That search takes the size of a batch, of `batches`, that is best for it.
        """
        features = self._model.features(images)
        network = OnnxDecoder(Bundle.open(self._model.bundle), self._reporter.threads)
        peers = {
            str(size): PlainSearch(network, _MAX_OF_REPORTS.beam_width, MAX_LENGTH, size) for size in batches
        }
        ours = self._reporter.decode_features(features, _MAX_OF_REPORTS)
        theirs = next(iter(peers.values())).decode(features)
        differing = sum(list(report.tokens) != words for report, words in zip(ours, theirs, strict=True))
        seconds = rounds(
            {
                "ours": partial(self._reporter.decode_features, features, _MAX_OF_REPORTS),
                **{name: partial(peer.decode, features) for name, peer in peers.items()},
            },
            self._count,
        )
        return min(ratio(seconds, name, "ours") for name in peers), differing

    def wide_beam(self, images: int) -> float:
        """Time at beam width 10 over that at 1, over the same ratio of their products' multiplications."""
        features = self._model.features(images)
        wide, narrow = Setting(images, 10), Setting(images, 1)
        architecture = self._reporter.manifest.architecture
        more_work = multiplications(architecture, self.rows(wide).steps) / multiplications(
            architecture, self.rows(narrow).steps
        )
        seconds = rounds(
            {
                "wide": partial(self._reporter.decode_features, features, wide.beam),
                "narrow": partial(self._reporter.decode_features, features, narrow.beam),
            },
            self._count,
        )
        return ratio(seconds, "wide", "narrow") / more_work


def figures(bench: Bench, images: int) -> Iterator[Goal]:
    """All figures of one precision, one by one."""
    one_batch = bench.against_products(Setting(32))
    yield _goal("32 images: decoding time / products alone", one_batch, 1.4, at_most=True)
    stream = bench.against_products(Setting(images))
    name = f"{images} images, {IMAGES_AT_ONCE} in flight: decoding time / products"
    yield _goal(name, stream, 1.4, at_most=True)
    yield from brief_figures(bench, images)
    yield _goal("beam 10 / beam 1, over their products", bench.wide_beam(32), 1.2, at_most=True)


def brief_figures(bench: Bench, images: int) -> Iterator[Goal]:
    """Python's share, and the comparison with plain numpy."""
    yield from shares(bench, images)
    peer, _ = bench.against_plain_search(images, (32, IMAGES_AT_ONCE))
    name = f"{images} images, {IMAGES_AT_ONCE} in flight: reports a second / plain numpy's"
    yield _goal(name, peer, 2.2, at_most=False)


def shares(bench: Bench, images: int) -> Iterator[Goal]:
    """Python's share at one image, at a batch and at a stream."""
    for size, name, goal in (
        (1, "1 image", 0.1),
        (32, "32 images", 0.02),
        (images, f"{images} images, {IMAGES_AT_ONCE} in flight", 0.02),
    ):
        python = bench.python(Setting(size))
        micros = f"{python.step_seconds * 1e6:.0f} us a step"
        yield _goal(f"{bench.precision}, {name}: Python's share ({micros})", python.share, goal, at_most=True)


def _goal(name: str, value: float, goal: float, at_most: bool) -> Goal:
    return Goal(name, Estimate.of_one(value), goal, at_most)


def _all_figures(
    model: BenchmarkModel, reporter: Reporter, count: int, images: int, brief: bool
) -> Iterator[Goal]:
    yield from (brief_figures if brief else figures)(Bench(model, reporter, count), images)
    if INT8 in reporter.manifest.graph_precisions:
        with cxrscribe.load(
            model.bundle, device="cpu", precision=INT8, threads=reporter.threads
        ) as quantized:
            yield from shares(Bench(model, quantized, count), images)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--rounds", "count", default=7, show_default=True, help="Rounds of each comparison.")
@click.option("--images", default=256, show_default=True, help="Images of a stream.")
@click.option("--threads", type=int, help="CPU threads.")
@click.option("--brief", is_flag=True, help="Only Python's share and the comparison with plain numpy.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def main(folder: Path, count: int, images: int, threads: int | None, brief: bool, as_json: bool) -> None:
    """Measure decoding on the benchmark model in FOLDER."""
    model = model_at(folder)
    with cxrscribe.load(model.bundle, device="cpu", threads=threads) as reporter:
        reports: list[Report] = reporter.decode_features(model.features(images), _MAX_OF_REPORTS)
        words = np.array([len(report.tokens) for report in reports])
        click.echo(
            f"reports: mean {words.mean():.1f} words, median {np.median(words):.0f}, 90 % under "
            f"{np.percentile(words, 90):.0f}, longest {words.max()}; load {os.getloadavg()[0]:.2f}",
            err=True,
        )
        found = []
        for figure in _all_figures(model, reporter, count, images, brief):
            found.append(figure)
            sign = "<=" if figure.at_most else ">="
            verdict = "reached" if figure.reached else "NOT reached"
            if not as_json:
                click.echo(
                    f"{figure.name:68} {figure.value.value:7.3f}  goal {sign} {figure.goal:g}: {verdict}"
                )
    if as_json:
        click.echo(
            json.dumps(
                [
                    {**asdict(figure), "value": figure.value.value, "reached": figure.reached}
                    for figure in found
                ],
                indent=1,
            )
        )


if __name__ == "__main__":
    main()

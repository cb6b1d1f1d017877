"""What samples and a consensus of them cost, beside beam search.

    python -m cxrscribe_bench.scripts.samples [BUNDLE]

decodes features that are ready, fp32, on the CPU, every way in turn, round by round. Of each way the least
time is printed: all threads' processor time a report, which other programs on the machine hardly change, and
how much of the whole time was not the network's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Final

import click
import numpy as np
from numpy.typing import NDArray

import cxrscribe
from cxrscribe import BeamSettings, DecodingStats, Reporter, demo_bundle

_SAMPLED: Final = BeamSettings(decoding="sample", temperature=0.7)
WAYS: Final[Mapping[str, BeamSettings]] = {
    "beam 1": BeamSettings(beam_width=1),
    "beam 3": BeamSettings(beam_width=3),
    "beam 16": BeamSettings(beam_width=16),
    "1 sample": _SAMPLED,
    "1 sample of the best 20 words": BeamSettings(decoding="sample", temperature=0.7, top_k=20),
    "16 samples": BeamSettings(decoding="sample", temperature=0.7, samples=16),
    "consensus of 16": BeamSettings(decoding="consensus", temperature=0.7, samples=16),
}
MIXED_OF: Final = 16
"""Random features, of which each image's are a mixture: what an encoder gives varies no more than that."""


@dataclass(frozen=True)
class Cost:
    """Of one way to decode."""

    way: str
    processor_ms: float
    """Milliseconds of processor time a report."""
    python_share: float
    """Of the time of decoding, what isn't the network's."""
    rows_per_step: float


def measure(reporter: Reporter, features: NDArray[np.float32], count: int) -> list[Cost]:
    """The least that each way took in `count` rounds; `features`: float32 [N, F]."""
    least: dict[str, Cost] = {}
    for _ in range(count):
        for way, settings in WAYS.items():
            stats = DecodingStats()
            started, working = perf_counter(), process_time()
            reporter.decode_features(features, settings, stats=stats)
            cost = Cost(
                way,
                1000 * (process_time() - working) / len(features),
                1 - stats.decoder_seconds / (perf_counter() - started),
                stats.rows_per_step,
            )
            least[way] = min(least.get(way, cost), cost, key=lambda one: one.processor_ms)
    return list(least.values())


def some_features(size: int, images: int) -> NDArray[np.float32]:
    """Float32 [images, size], not negative, as those of most backbones are."""
    random = np.random.default_rng(0)
    mixed = np.abs(random.standard_normal((MIXED_OF, size)))
    return (random.dirichlet(np.full(MIXED_OF, 0.3), images) @ mixed).astype(np.float32)


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option("--rounds", "count", default=3, show_default=True, help="In which all ways take turns.")
@click.option("--images", default=128, show_default=True, help="Images, 32 at a time.")
@click.option("--threads", default=1, show_default=True, help="CPU threads.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def main(bundle: Path | None, count: int, images: int, threads: int, as_json: bool) -> None:
    """Measure on BUNDLE, by default the embedded demo bundle."""
    with cxrscribe.load(bundle or demo_bundle(), device="cpu", threads=threads, spinning=False) as reporter:
        size = reporter.manifest.architecture.feature_size
        costs = measure(reporter, some_features(size, images), count)
    if as_json:
        click.echo(json.dumps([asdict(cost) for cost in costs], indent=1))
        return
    for cost in costs:
        click.echo(
            f"{cost.way:30} {cost.processor_ms:8.2f} ms a report, {cost.python_share:6.1%} Python, "
            f"{cost.rows_per_step:6.1f} rows a step"
        )


if __name__ == "__main__":
    main()

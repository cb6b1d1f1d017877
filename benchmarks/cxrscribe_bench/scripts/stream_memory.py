"""Whether a stream's memory stays flat: `decode_stream` over many rows of features.

    python -m cxrscribe_bench.scripts.stream_memory [BUNDLE] --rows 100000

Rows are drawn around the features of the demo films where BUNDLE is the demo bundle, else around 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import click
import numpy as np
from numpy.typing import NDArray

import cxrscribe
from cxrscribe_bench.timing.memory import resident_bytes


def drawn_rows(center: NDArray[np.float32], count: int) -> Iterator[NDArray[np.float32]]:
    """Rows float32 [F] around those of `center` [n, F], made one by one."""
    random = np.random.default_rng(0)
    size = int(center.shape[1])
    spread = np.float32(center.std() + 0.05)
    for number in range(count):
        noise = random.standard_normal(size, dtype=np.float32)
        yield center[number % len(center)] + spread * noise


@click.command()
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--rows", default=100_000, show_default=True, help="Rows to decode.")
@click.option("--warm-up", default=1_000, show_default=True, help="Rows after which memory has to stay flat.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def main(bundle: Path | None, rows: int, warm_up: int, as_json: bool) -> None:
    """Decode a stream and watch the memory of this process."""
    with cxrscribe.load(bundle or cxrscribe.demo_bundle(), device="cpu", cache=False) as reporter:
        size = reporter.manifest.architecture.feature_size
        center = np.zeros((1, size), np.float32) if bundle else reporter.encode(list(cxrscribe.demo_films()))
        started = perf_counter()
        words = 0
        settled = 0
        peak = 0
        for number, report in enumerate(reporter.decode_stream(drawn_rows(center, rows)), 1):
            words += len(report.tokens)
            if number == warm_up:
                settled = peak = resident_bytes()
            elif number > warm_up and number % 500 == 0:
                peak = max(peak, resident_bytes())
        seconds = perf_counter() - started
    found = {
        "rows": rows,
        "mean_words": words / rows,
        "reports_per_second": rows / seconds,
        "resident_bytes_after_warm_up": settled,
        "largest_resident_bytes_afterwards": peak,
        "ratio": peak / settled,
    }
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    click.echo(
        f"{rows} rows, {words / rows:.1f} words each, {rows / seconds:.0f} reports a second\n"
        f"resident after {warm_up} rows {settled / 1e6:.1f} MB, at most {peak / 1e6:.1f} MB afterwards: "
        f"{peak / settled:.4f} times"
    )


if __name__ == "__main__":
    main()

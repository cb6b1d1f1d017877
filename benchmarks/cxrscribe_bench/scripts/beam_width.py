"""What a wider beam brings and costs: the plot of docs/decoding.md.

    python -m cxrscribe_bench.scripts.beam_width FOLDER [--bundle BUNDLE] [--plot FILE.png]

draws phantoms in FOLDER that the demo bundle never saw, or takes those that are there, encodes them once, and
decodes them at every width. Times are medians over rounds in which the widths take turns; features are ready,
fp32, on the CPU.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Final

import click

from cxrscribe.embedded import demo_bundle
from cxrscribe.sessions.device import usable_threads
from cxrscribe_train.corpus.table import read_reports
from cxrscribe_train.evaluation.model import BundleModel
from cxrscribe_train.evaluation.subject import Subject
from cxrscribe_train.phantom.corpus import sampled_corpus, write_films, write_tables
from cxrscribe_train.tuning.decoding import Tried, encode_once, scorer_of, try_settings
from cxrscribe_train.tuning.decoding_results import decoding_lines, draw_decoding

WIDTHS: Final = (1, 2, 3, 5, 8, 12, 20)
_BY: Final = "place_f1_micro"


def try_widths(bundle: Path, corpus: Path, widths: tuple[int, ...], rounds: int) -> list[Tried]:
    """The figures at each beam width, with the median speed of `rounds` rounds, on all films of `corpus`."""
    with BundleModel(bundle, "cpu") as model:
        films = Subject.of(read_reports(corpus), "all").films
        features, scorer = encode_once(model, films), scorer_of(films)
        found: dict[int, list[Tried]] = {width: [] for width in widths}
        for _ in range(rounds):
            for width in widths:
                settings = replace(model.settings, beam_width=width, n_best=1)
                found[width].append(try_settings(model, features, scorer, settings))
    return [
        replace(tried[0], reports_per_second=median(one.reports_per_second for one in tried))
        for tried in found.values()
    ]


def draw_phantoms(folder: Path, studies: int, seed: int) -> None:
    """Draw a corpus in `folder`; films that are there are kept."""
    corpus = sampled_corpus(studies, seed)
    for _ in write_films(corpus, folder, usable_threads()):
        pass
    write_tables(corpus, folder, None)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--bundle", type=click.Path(path_type=Path), help="[default: the embedded demo bundle]")
@click.option("--studies", default=300, show_default=True, help="Phantoms to draw.")
@click.option("--seed", default=77, show_default=True, help="Of the phantoms; not that of the training.")
@click.option("--rounds", default=5, show_default=True, help="Rounds in which all widths are timed.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw quality and speed there.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def main(
    folder: Path,
    bundle: Path | None,
    studies: int,
    seed: int,
    rounds: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Measure every beam width on phantoms in FOLDER."""
    draw_phantoms(folder, studies, seed)
    tried = try_widths(bundle or demo_bundle(), folder, WIDTHS, rounds)
    if plot is not None:
        title = f"{bundle.name if bundle else 'demo bundle'} on {studies} phantoms of seed {seed}"
        draw_decoding(tried, _BY, plot, title)
    if as_json:
        click.echo(json.dumps([one.to_json() for one in tried], indent=1))
        return
    click.echo(f"load {os.getloadavg()[0]:.2f}", err=True)
    for line in decoding_lines(tried, _BY, len(tried)):
        click.echo(line)


if __name__ == "__main__":
    main()

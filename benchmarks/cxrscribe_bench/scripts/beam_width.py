"""What a wider beam brings and costs: the plot of docs/decoding.md.

    python -m cxrscribe_bench.scripts.beam_width FOLDER [--bundle BUNDLE] [--plot FILE.png]

draws phantoms in FOLDER that the demo bundle never saw, or takes those that are there, encodes them once, and
decodes them at every width with and without a length penalty. Each time is the shortest of rounds in which
the settings take turns; features are ready, fp32, on the CPU.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from cxrscribe.embedded import demo_bundle
from cxrscribe.sessions.device import usable_threads
from cxrscribe_train.corpus.table import read_reports
from cxrscribe_train.evaluation.model import BundleModel
from cxrscribe_train.evaluation.subject import Subject
from cxrscribe_train.phantom.corpus import sampled_corpus, write_films, write_tables
from cxrscribe_train.tuning.decoding import Grid, Tried, encode_once, scorer_of, try_settings
from cxrscribe_train.tuning.decoding_results import decoding_lines, draw_decoding

WIDTHS: Final = (1, 2, 3, 5, 8, 12, 20)
LENGTH_PENALTIES: Final = (0.0, 1.0)
_BY: Final = "label_f1_micro"


def try_widths(bundle: Path, corpus: Path, grid: Grid, rounds: int) -> list[Tried]:
    """The figures of each combination, with the best speed of `rounds` rounds, on all films of `corpus`."""
    with BundleModel(bundle, "cpu") as model:
        films = Subject.of(read_reports(corpus), "all").films
        features, scorer = encode_once(model, films), scorer_of(films)
        combinations = grid.combinations(model.settings)
        turns = [
            [try_settings(model, features, scorer, settings) for settings in combinations]
            for _ in range(rounds)
        ]
    return [
        replace(of_one[0], reports_per_second=max(tried.reports_per_second for tried in of_one))
        for of_one in zip(*turns, strict=True)
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
@click.option("--rounds", default=4, show_default=True, help="Rounds in which all settings are timed.")
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
    grid = Grid(WIDTHS, LENGTH_PENALTIES, (0,), (0,))
    tried = try_widths(bundle or demo_bundle(), folder, grid, rounds)
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

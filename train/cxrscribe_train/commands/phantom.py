"""`cxrscribe corpus phantom`: a corpus of drawn chest films."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click
from click.core import ParameterSource

from cxrscribe.errors import InputError


@click.command()
@click.option("--studies", type=click.IntRange(min=1), help="How many; with --from-mesh the default is all.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="The same seed, the same phantoms.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the corpus; what an interrupted run left there is kept.",
)
@click.option(
    "--from-mesh",
    type=click.Path(exists=True, path_type=Path),
    metavar="NLMCXR_ROOT",
    help="Draw one film for each real report with FINDINGS, after its headings, and keep its text.",
)
@click.option(
    "--split-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON with lists of study ids under train, val and test; other studies stay unused.",
)
@click.option("--train", default=0.8, show_default=True, help="Share of studies that are not for testing.")
@click.option("--validation", default=0.1, show_default=True, help="Share of these that validate.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that draw; default: one a core.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.pass_context
def phantom(
    context: click.Context,
    studies: int | None,
    seed: int,
    out: Path,
    from_mesh: Path | None,
    split_file: Path | None,
    train: float,
    validation: float,
    workers: int | None,
    as_json: bool,
) -> None:
    """Draw chest films with their reports, in the format of the Indiana collection.

    Phantoms are for demos, tests and benchmarks. A model trained on them knows nothing about patients.
    """
    from cxrscribe_train.corpus.split import HashSplit, read_split
    from cxrscribe_train.corpus.summary import SUMMARY_FILE
    from cxrscribe_train.phantom.corpus import mesh_corpus, sampled_corpus, write_films, write_tables

    if split_file and any(_is_given(context, name) for name in ("train", "validation")):
        raise InputError("--split-file decides the split alone; leave out --train and --validation")
    split = read_split(split_file) if split_file else HashSplit(train=train, validation=validation)
    if from_mesh is not None:
        planned = mesh_corpus(from_mesh, seed, studies)
    elif studies is not None:
        planned = sampled_corpus(studies, seed)
    else:
        raise InputError(
            "say how many phantoms to draw with --studies, or give real reports with --from-mesh"
        )
    films = write_films(planned, out, workers or _cores())
    with click.progressbar(
        films, length=len(planned.recipes), label="films", file=sys.stderr, update_min_steps=8
    ) as bar:
        for _ in bar:
            pass
    summary, coverage = write_tables(planned, out, split)
    if as_json:
        click.echo(json.dumps(json.loads((out / SUMMARY_FILE).read_text(encoding="utf-8")), indent=2))
    else:
        click.echo(summary.to_table())
        click.echo(coverage.to_table())


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

"""`cxrscribe evaluate`: a model's reports against the references, three baselines and its ablations."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrscribe.cli.options import BeamChoice, beam_options, sample_options
from cxrscribe.cli.terminal import note, say, say_json_text
from cxrscribe.errors import InputError

if TYPE_CHECKING:
    from cxrscribe.settings import BeamSettings
    from cxrscribe_train.evaluation.evaluation import Comparison


@click.command()
@click.argument("model", metavar="BUNDLE_OR_RUN", type=click.Path(path_type=Path))
@click.option(
    "--corpus",
    "corpus_folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder with reports.csv, and findings.csv where the findings were drawn.",
)
@click.option(
    "--features",
    type=click.Path(path_type=Path),
    metavar="H5",
    help="Start from these features, made by the model's own encoder, in place of the films.",
)
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test", "all"]),
    default="test",
    show_default=True,
    help="Which films.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N films or studies.")
@click.option(
    "--by",
    type=click.Choice(["image", "study"]),
    help="What gets one report: every film, or all films of a study together.  [default: what the run was "
    "trained for; image for a bundle]",
)
@click.option(
    "--bootstrap",
    "resamples",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    metavar="N",
    help="Resamples for the 95 % intervals; 0 leaves them out of the table.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of resamples, baselines and examples.",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto, cpu, cuda, or another that is installed; a run folder knows the first three.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write evaluation.json, reports.csv, examples.html and two CSV files for public scorers there.",
)
@beam_options
@partial(sample_options, seed_option="--sample-seed")
@click.pass_context
def evaluate(
    context: click.Context,
    model: Path,
    corpus_folder: Path,
    features: Path | None,
    split: str,
    limit: int | None,
    by: str | None,
    resamples: int,
    seed: int,
    device: str,
    as_json: bool,
    out: Path | None,
    beam: BeamChoice,
) -> None:
    """Score a model's reports, beside the baselines that any model has to beat.

    BLEU alone says little: one constant report does well on it. So each figure stands beside that of the
    best constant report, of the most frequent one, of the model's own reports shuffled, and of the model
    without the film. docs/evaluation.md explains every figure. Exits 1 when a film could not be read.
    """
    import pycocoevalcap  # noqa: F401  (missing, it should not cost the decoding of a corpus)

    from cxrscribe_train.corpus.table import read_reports
    from cxrscribe_train.evaluation.evaluation import Circumstances, Evaluation, compare
    from cxrscribe_train.evaluation.files import evaluation_json, write_evaluation
    from cxrscribe_train.evaluation.model import open_model
    from cxrscribe_train.evaluation.subject import By, Subject, TrainingReports
    from cxrscribe_train.evaluation.table import table
    from cxrscribe_train.evaluation.writing import open_features, write_reports, write_without
    from cxrscribe_train.paddle_warnings import ignore_paddle_warnings

    ignore_paddle_warnings()
    if beam.n_best is not None:
        raise InputError(
            "--n-best changes nothing here: the best report of each film is scored; leave it out"
        )
    corpus = read_reports(corpus_folder)
    with open_model(model, device) as opened:
        one_report = opened.by if by is None else By(by)
        training = TrainingReports.of(corpus, one_report)
        encoded = None if features is None else open_features(features, opened)
        image_ids = None if encoded is None else frozenset(encoded.image_ids)
        subject = Subject.of(corpus, split, image_ids, limit, one_report)
        settings = replace(beam.over(opened.settings), n_best=1)
        written, damaged = write_reports(opened, subject.films, settings, encoded)
        for film in damaged:
            note(f"left out {film}")
        if not written:
            raise InputError(f"none of {len(subject.films)} films can be read, the first one is {damaged[0]}")
        readable = [one.film for one in written]
        without = {
            ablation: write_without(opened, ablation, readable, settings, encoded)
            for ablation in opened.ablations
        }
        identity, disclaimer = opened.identity, opened.disclaimer
    comparison = compare(written, training, resamples, seed, note=note, ablations=without)
    corpus_name = corpus_folder.resolve().name
    films = sum(len(one.film.pooled) for one in written)
    times = _recorded(model, corpus_folder, split, comparison, films, settings)
    if len(written) == 1:
        note(
            "with one film, `shuffled` is its own report, and `without film` starts from its own features: "
            "evaluate two films or more to compare them"
        )
    evaluation = Evaluation(
        Circumstances(
            model=identity,
            corpus=corpus_name,
            split=split,
            truth=subject.truth,
            settings=settings,
            resamples=resamples,
            seed=seed,
            counts={
                "films": films,
                "studies": len({one.film.study_id for one in written}),
                "without_findings": subject.without_findings,
                "without_image" if encoded is None else "without_features": subject.without_image,
                "damaged": len(damaged),
                "training_reports": len(training.reports),
            },
            disclaimer=disclaimer,
            by=one_report,
            times=times,
        ),
        comparison,
        tuple(written),
    )
    if as_json:
        say_json_text(evaluation_json(evaluation))
    else:
        say(*table(evaluation).split("\n"))
    if out is not None:
        for path in write_evaluation(evaluation, out):
            note(f"wrote {path}")
    if damaged:
        context.exit(1)


def _recorded(
    model: Path, corpus: Path, split: str, comparison: Comparison, films: int, settings: BeamSettings
) -> int | None:
    """How often the run was evaluated on this split, this time noted in its folder; None for a bundle."""
    from cxrscribe.bundle.files import sha256_of
    from cxrscribe.version import __version__
    from cxrscribe_train.corpus.table import REPORTS_FILE
    from cxrscribe_train.evaluation.history import HISTORY_FILE, record_evaluation
    from cxrscribe_train.evaluation.model import is_run

    if not is_run(model):
        return None
    figures = comparison.columns["model"]
    about = {
        "films": films,
        "version": __version__,
        "settings": settings.to_json(),
        **{name: figures[name].value for name in ("bleu_4", "label_f1_micro") if name in figures},
    }
    try:
        table = sha256_of(corpus / REPORTS_FILE)
        return record_evaluation(model, corpus.resolve().name, table, split, about)
    except OSError as error:
        note(f"{model / HISTORY_FILE} can't be written ({error}): this evaluation isn't counted")
        return None

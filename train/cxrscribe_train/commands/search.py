"""`cxrscribe search`: settings of a training and of decoding, chosen on the validation split."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from cxrscribe.cli.main import INTERRUPTED
from cxrscribe.cli.terminal import note, say, say_json
from cxrscribe.errors import InputError
from cxrscribe_train.commands.train import StopAsked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cxrscribe.settings import BeamSettings
    from cxrscribe_train.evaluation.model import ReportModel
    from cxrscribe_train.evaluation.subject import Film
    from cxrscribe_train.feature_file import FeatureFile
    from cxrscribe_train.fitting.checkpoint import EpochRecord
    from cxrscribe_train.tuning.decoding import Tried
    from cxrscribe_train.tuning.trials import SearchResult

_Value = TypeVar("_Value")
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_NEW_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_corpus = click.option(
    "--corpus", "corpus_folder", required=True, type=_FOLDER, help="Folder with reports.csv."
)
_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group()
def search() -> None:
    """Choose settings on the validation split; the test split is never looked at."""


@search.command()
@_corpus
@click.option("--features", "features_file", type=_FILE, help="Train on these features.")
@click.option("--end-to-end", is_flag=True, help="Train the backbone too, from films.")
@click.option("--out", required=True, type=_NEW_FOLDER, help="Folder of the search; the same one goes on.")
@click.option(
    "--config", "config_file", type=_FILE, help="TOML file with the settings that all trials share."
)
@click.option("--space", "space_file", type=_FILE, help="TOML file that says what is chosen among.")
@click.option("--trials", type=click.IntRange(min=1), metavar="N", help="End after so many trials, in all.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    metavar="M",
    help="End this call after M minutes.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of what is chosen.")
@_json
@click.pass_context
def training(
    context: click.Context,
    corpus_folder: Path,
    features_file: Path | None,
    end_to_end: bool,
    out: Path,
    config_file: Path | None,
    space_file: Path | None,
    trials: int | None,
    minutes: float | None,
    seed: int,
    as_json: bool,
) -> None:
    """Search for the settings of a training with the lowest validation loss.

    Each trial is a training; one that falls behind is ended early. Interrupted or killed, the same command
    goes on where it was. Writes trials.csv, trials.png and best.toml, which `cxrscribe train --config` takes.
    """
    from cxrscribe_train.paddle_warnings import ignore_paddle_warnings

    ignore_paddle_warnings()
    import optuna  # noqa: F401  (missing, it should be said before anything is read)

    from cxrscribe_train.fitting.config import read_overrides
    from cxrscribe_train.tuning.results import BEST_FILE, PLOT_FILE, TABLE_FILE, table_lines, write_results
    from cxrscribe_train.tuning.space import DEFAULT_SPACE, read_space
    from cxrscribe_train.tuning.trials import SearchPlan
    from cxrscribe_train.tuning.trials import search as search_settings

    in_file, shared = read_overrides(config_file) if config_file else (None, [])
    if features_file is None and not (end_to_end or in_file):
        raise InputError(
            "give --features FILE.h5 to search for settings of the decoder's training, or --end-to-end"
        )
    if features_file is not None and (end_to_end or in_file):
        raise InputError("--features and --end-to-end exclude each other; give one of them")
    plan = SearchPlan(
        corpus=corpus_folder,
        features=features_file,
        out=out,
        shared=tuple(shared),
        end_to_end=features_file is None,
        space=DEFAULT_SPACE if space_file is None else read_space(space_file),
        trials=trials,
        minutes=minutes,
        seed=seed,
    )

    def ended(result: SearchResult) -> None:
        last = result.trials[-1]
        loss = "" if last.val_loss is None else f", validation loss {last.val_loss:.4f}"
        note(f"trial {last.number} {last.state}{loss}")
        write_results(result, plan.space, out)

    def epoch(number: int, record: EpochRecord) -> None:
        note(f"trial {number}  epoch {record.epoch + 1}  val {record.val_loss:.4f}  {record.seconds:.1f} s")

    with StopAsked() as stop_asked:
        result = search_settings(plan, stop_asked, ended, epoch)
        interrupted = stop_asked()
    if result.trials:
        write_results(result, plan.space, out)
    if interrupted:
        note("Interrupted. The same command goes on there.")
        context.exit(INTERRUPTED)
    best = result.best
    if best is None:
        raise InputError(
            f"no trial of {len(result.trials)} has finished in {out}; the same command goes on there, with "
            "more --trials or --minutes"
        )
    if as_json:
        say_json(
            {
                "trials": len(result.trials),
                "best": {"trial": best.number, "val_loss": best.val_loss, "settings": dict(best.settings)},
                "config": str(out / BEST_FILE),
            },
            indent=2,
        )
        return
    ways = ["--end-to-end"] if features_file is None else ["--features", str(features_file)]
    train = ["cxrscribe", "train", "--corpus", str(corpus_folder), *ways, "--config", str(out / BEST_FILE)]
    say(
        *table_lines(result, plan.space),
        f"{out}: {len(result.trials)} trials in {TABLE_FILE} and {PLOT_FILE}; the best is {best.number}",
        "Next:",
        f"  {shlex.join(train)} --out RUN",
    )


@search.command()
@click.argument("model", metavar="BUNDLE_OR_RUN", type=click.Path(path_type=Path))
@_corpus
@click.option("--features", "features_file", type=_FILE, help="Features of the model's own encoder.")
@click.option("--out", required=True, type=_NEW_FOLDER, help="Folder of the trials; the same one goes on.")
@click.option(
    "--split", type=click.Choice(["train", "val"]), default="val", show_default=True, help="Which films."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N films or studies.")
@click.option("--beam-width", type=int, multiple=True, default=(1, 3, 5), show_default=True)
@click.option("--length-penalty", type=float, multiple=True, default=(0.0, 1.0), show_default=True)
@click.option("--min-length", type=int, multiple=True, default=(0, 20, 30), show_default=True)
@click.option("--no-repeat-ngram", type=int, multiple=True, default=(0, 4), show_default=True)
@click.option(
    "--by",
    type=click.Choice(["label_f1_micro", "place_f1_micro", "bleu_4", "rouge_l", "cider"]),
    default="label_f1_micro",
    show_default=True,
    help="The figure that the best settings have the highest of.",
)
@click.option("--keep", is_flag=True, help="Make the best settings the run's defaults, which export takes.")
@click.option("--device", default="auto", show_default=True, help="As for `cxrscribe evaluate`.")
@_json
def decoding(
    model: Path,
    corpus_folder: Path,
    features_file: Path | None,
    out: Path,
    split: str,
    limit: int | None,
    beam_width: tuple[int, ...],
    length_penalty: tuple[float, ...],
    min_length: tuple[int, ...],
    no_repeat_ngram: tuple[int, ...],
    by: str,
    keep: bool,
    device: str,
    as_json: bool,
) -> None:
    """Try every combination of beam settings on the validation split.

    The options that name settings may be repeated. Films are encoded once. Interrupted, the same command goes
    on where it was. Writes decoding.csv and decoding.png.
    """
    from cxrscribe_train.paddle_warnings import ignore_paddle_warnings

    ignore_paddle_warnings()
    from cxrscribe_train.corpus.table import read_reports
    from cxrscribe_train.evaluation.model import is_run, open_model
    from cxrscribe_train.evaluation.subject import Subject
    from cxrscribe_train.evaluation.writing import open_features
    from cxrscribe_train.tuning.decoding import Grid, best_of
    from cxrscribe_train.tuning.decoding_results import as_options, decoding_lines, write_decoding

    if keep and not is_run(model):
        raise InputError(
            f"--keep: {model} is no run, and bundles are never changed; export its run again with them"
        )
    grid = Grid(_once(beam_width), _once(length_penalty), _once(min_length), _once(no_repeat_ngram))
    with open_model(model, device) as opened:
        encoded = None if features_file is None else open_features(features_file, opened)
        image_ids = None if encoded is None else frozenset(encoded.image_ids)
        subject = Subject.of(read_reports(corpus_folder), split, image_ids, limit, opened.by)
        combinations = grid.combinations(opened.settings)
        tried = _try_all(
            opened, subject.films, encoded, combinations, out, corpus_folder.resolve().name, split
        )
    if by not in tried[0].figures:
        raise InputError(f"--by {by}: these films have no such figure; choose another one")
    best = best_of(tried, by)
    write_decoding(tried, by, out)
    if keep:
        _keep(model, best, corpus_folder.resolve().name, split, by)
    if as_json:
        say_json({"tried": len(tried), "by": by, "best": best.to_json(), "kept": keep}, indent=2)
        return
    kept = f"{model} has them as its defaults now" if keep else "add --keep to make them the run's defaults"
    say(*decoding_lines(tried, by), f"best by {by}: {shlex.join(as_options(best.settings))}", kept)


def _once(values: tuple[_Value, ...]) -> tuple[_Value, ...]:
    """The values without repetition, in their order."""
    return tuple(dict.fromkeys(values))


def _try_all(
    model: ReportModel,
    films: Sequence[Film],
    encoded: FeatureFile | None,
    combinations: Sequence[BeamSettings],
    out: Path,
    corpus: str,
    split: str,
) -> list[Tried]:
    """Every combination tried on the films, with a bar on stderr."""
    from cxrscribe.cli.progress import progress
    from cxrscribe_train.evaluation.writing import features_of
    from cxrscribe_train.tuning.decoding import encode_once, scorer_of, try_all, try_settings

    features = encode_once(model, films) if encoded is None else features_of(films, encoded)
    scorer = scorer_of(films)
    identity = {
        "model": model.identity.to_json() | {"name": ""},
        "corpus": corpus,
        "split": split,
        "films": [film.name for film in films],
        "max_length": combinations[0].max_length,
    }
    tried = try_all(
        out, identity, combinations, lambda settings: try_settings(model, features, scorer, settings)
    )
    return list(progress(tried, len(combinations), "settings"))


def _keep(run: Path, best: Tried, corpus: str, split: str, by: str) -> None:
    from cxrscribe_train.run import keep_settings

    chosen_on = {"corpus": corpus, "split": split, "by": by, by: best.figures[by]}
    keep_settings(run, best.settings, chosen_on)

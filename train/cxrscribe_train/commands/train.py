"""`cxrscribe train`: a report model from a corpus."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable
from dataclasses import Field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cxrscribe.cli.main import INTERRUPTED
from cxrscribe.cli.terminal import note, say
from cxrscribe.errors import InputError
from cxrscribe_train.commands.features import parse_backbone_options
from cxrscribe_train.fitting.config import (
    Override,
    TrainingConfig,
    Views,
    build_config,
    options,
    read_overrides,
)
from cxrscribe_train.fitting.self_critical_config import USUAL_EPOCHS

if TYPE_CHECKING:
    from cxrscribe_train.corpus.films import DamagedFilm
    from cxrscribe_train.fitting.checkpoint import EpochRecord, SelfCriticalStart
    from cxrscribe_train.fitting.consensus import ConsensusTargets
    from cxrscribe_train.run import TrainingCorpus
    from cxrscribe_train.training import TrainingResult
    from cxrscribe_train.warm_start import WarmStart

_Command = TypeVar("_Command", bound=Callable[..., Any])
_FROM_FEATURES = ("backbone", "backbone_options", "size", "png_range")


def _config_options(command: _Command) -> _Command:
    """One command-line option for each setting of TrainingConfig that has a plain value."""
    for _, setting in reversed(list(options())):
        command = _click_option(setting)(command)
    return command


def _click_option(setting: Field[Any]) -> Callable[[_Command], _Command]:
    return click.option(
        f"--{setting.name.replace('_', '-')}",
        setting.name,
        type=type(setting.default),
        default=None,
        help=f"{setting.metadata['help']}  [default: {'none' if setting.default == '' else setting.default}]",
    )


@click.command()
@click.option(
    "--corpus",
    "corpus_folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with reports.csv.",
)
@click.option(
    "--features",
    "features_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Train the decoder on these features (the default way).",
)
@click.option("--end-to-end", is_flag=True, help="Train the backbone too, from films.")
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The run folder to write."
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML file with settings; options given here win over it.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option(
    "--self-critical",
    is_flag=True,
    help="Then train on rewards of sampled reports; short for --self-critical-epochs "
    f"{USUAL_EPOCHS}, unless they are given.",
)
@click.option(
    "--backbone-option",
    "backbone_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Option of the backbone.",
)
@_config_options
@click.pass_context
def train(
    context: click.Context,
    /,
    corpus_folder: Path,
    features_file: Path | None,
    end_to_end: bool,
    out: Path,
    config_file: Path | None,
    resume: bool,
    self_critical: bool,
    backbone_options: tuple[str, ...],
    **settings: Any,
) -> None:
    """Train a report model on a corpus.

    Either on features that `cxrscribe features` made (--features), or on films (--end-to-end).
    """
    from cxrscribe_train.paddle_warnings import ignore_paddle_warnings

    ignore_paddle_warnings()
    from cxrscribe_train import training

    in_file, overrides = read_overrides(config_file) if config_file else (None, [])
    overrides += [
        Override(section, setting.name, settings[setting.name])
        for section, setting in options()
        if settings[setting.name] is not None
    ]
    if self_critical and not any(override.name == "self_critical_epochs" for override in overrides):
        overrides.append(Override("self_critical", "self_critical_epochs", USUAL_EPOCHS))
    if backbone_options:
        overrides.append(Override("network", "backbone_options", parse_backbone_options(backbone_options)))
    config = (
        _resumed_config(out, overrides)
        if resume
        else _new_config(overrides, in_file, features_file, end_to_end)
    )
    _check_way(config, features_file, end_to_end)
    if features_file is not None:
        _check_against_features(_encoder_settings(config) if resume else overrides, features_file)

    inputs = ["--end-to-end"] if config.end_to_end else ["--features", str(features_file)]
    resumed = ["cxrscribe", "train", "--corpus", str(corpus_folder), "--out", str(out), "--resume", *inputs]
    command = shlex.join(resumed)
    with StopAsked() as stop_asked, _EpochLines(config) as lines:
        result = training.train(
            corpus_folder,
            out,
            config,
            features_file,
            resume=resume,
            stop=stop_asked,
            progress=training.Progress(
                lines.prepared,
                lines.began,
                lines.epoch,
                lines.took,
                lines.replaced,
                lines.self_critical,
            ),
        )
    context.exit(_closing_lines(result, out, corpus_folder, features_file, command))


def _new_config(
    overrides: list[Override], in_file: bool | None, features_file: Path | None, end_to_end: bool
) -> TrainingConfig:
    if end_to_end and in_file is False:
        raise InputError("--end-to-end contradicts end_to_end = false in the config file; change one of them")
    return build_config(overrides, end_to_end=end_to_end or (in_file is True and features_file is None))


def _resumed_config(out: Path, overrides: list[Override]) -> TrainingConfig:
    """The config that the run was begun with; settings given again must not differ from it."""
    from cxrscribe_train.run import CONFIG_FILE, read_config

    if not (out / CONFIG_FILE).is_file():
        raise InputError(f"nothing to resume in {out}; leave --resume out to start a training")
    config = read_config(out)
    for override in overrides:
        begun_with = getattr(getattr(config, override.section), override.name, None)
        if begun_with != override.value:
            raise InputError(
                f"the run in {out} was begun with {override.section}.{override.name} = {begun_with!r}, not "
                f"{override.value!r}; leave that option out to resume, or start another run"
            )
    return config


def _check_way(config: TrainingConfig, features_file: Path | None, end_to_end: bool) -> None:
    if features_file is not None and (config.end_to_end or end_to_end):
        raise InputError("--features and --end-to-end exclude each other; give one of them")
    if features_file is None and not config.end_to_end:
        raise InputError(
            "give --features FILE.h5 (made by `cxrscribe features`) to train the decoder, or --end-to-end to "
            "train on films"
        )


def _encoder_settings(config: TrainingConfig) -> list[Override]:
    return [Override("network", name, getattr(config.network, name)) for name in _FROM_FEATURES]


def _check_against_features(asked: list[Override], features_file: Path) -> None:
    """A backbone asked for by name, or that of a resumed run, has to be the one that made the features."""
    from cxrscribe_train.feature_file import FeatureFile

    encoder = FeatureFile.open(features_file).encoder
    size, png_range = encoder.preprocessing.height, encoder.preprocessing.png_range
    values = (encoder.backbone, dict(encoder.backbone_options), size, png_range)
    made_with = dict(zip(_FROM_FEATURES, values, strict=True))
    for override in asked:
        if override.name in made_with and override.value != made_with[override.name]:
            raise InputError(
                f"{features_file} was made with {override.name} = {made_with[override.name]!r}, not "
                f"{override.value!r}; give features that were, or leave that setting out"
            )


class StopAsked:
    """Turns the first Ctrl-C into a wish to stop after the present film or step; the second interrupts."""

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = None

    def __call__(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._asked

    def __enter__(self) -> StopAsked:
        self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        note("Stopping after this film or step; press Ctrl-C again to stop at once.")


class _EpochLines:
    """Says on stderr how far a training is. A context manager."""

    def __init__(self, config: TrainingConfig) -> None:
        self._epochs = config.all_epochs
        self._by_study = config.fit.views == Views.ALL
        self._bar: Any = None

    def __enter__(self) -> _EpochLines:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_bar()

    def prepared(self, films: int, of: int) -> None:
        if self._bar is None:
            self._bar = click.progressbar(length=of, label="films", file=sys.stderr)
            self._bar.__enter__()
        self._bar.update(films)

    def began(self, corpus: TrainingCorpus, words: int, damaged: tuple[DamagedFilm, ...]) -> None:
        self._close_bar()
        for film in damaged:
            note(f"left out {film}")
        note(
            f"{corpus.train} training and {corpus.val} validation images, {words} words; left out: "
            f"{corpus.without_image} rows without image, {corpus.without_findings} without FINDINGS, "
            f"{corpus.without_features} images without features, {corpus.damaged} damaged films"
        )
        if self._by_study:
            note(
                "an example is a study: features of random ones of its films are pooled, in validation of all"
            )

    def took(self, start: WarmStart) -> None:
        note(*start.lines())

    def replaced(self, targets: ConsensusTargets) -> None:
        note(str(targets))

    def self_critical(self, start: SelfCriticalStart) -> None:
        note(
            f"self-critical from epoch {start.epoch + 1} on; validation reward so far {start.val_reward:.4f}"
        )

    def epoch(self, record: EpochRecord, best: bool) -> None:
        rewards = ""
        if record.val_reward is not None:
            rewards = f"reward {record.train_reward:.4f}, val {record.val_reward:.4f}  "
        note(
            f"epoch {record.epoch + 1}/{self._epochs}  train {record.train_loss:.4f}  "
            f"val {record.val_loss:.4f}{' *' if best else '  '}  {rewards}"
            f"lr {record.learning_rate:.2e}  {record.seconds:.1f} s"
        )

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


def _closing_lines(
    result: TrainingResult, out: Path, corpus_folder: Path, features_file: Path | None, resume: str
) -> int:
    """Say what came out and what to do next; returns the exit code."""
    if not result.prepared:
        note("Interrupted while films were prepared. The same command goes on there.")
        return INTERRUPTED
    if not result.finished:
        note("Interrupted and saved. Go on with:", f"  {resume}")
        return INTERRUPTED
    assert result.best is not None
    reward = "" if result.best.val_reward is None else f", reward {result.best.val_reward:.4f} a report"
    features = [] if features_file is None else ["--features", str(features_file)]
    corpus = ["--corpus", str(corpus_folder)]
    evaluate = ["cxrscribe", "evaluate", str(out), *corpus, *features, "--split", "val"]
    export = ["cxrscribe", "export", str(out), *features, "--out", "BUNDLE"]
    say(
        f"{out}: best epoch {result.best.epoch + 1} of {result.epochs}, "
        f"validation loss {result.best.val_loss:.4f} a token{reward}",
        "Next:",
        f"  {shlex.join(evaluate)}",
        f"  {shlex.join(export)}",
    )
    return 1 if result.damaged else 0

"""One training from corpus to run folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from cxrscribe.architecture import Architecture
from cxrscribe.errors import InputError
from cxrscribe.preprocess import Preprocessing
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import Vocabulary
from cxrscribe_models import FilmEncoder
from cxrscribe_train.checkpoint import EpochRecord, has_checkpoint
from cxrscribe_train.config import TrainingConfig
from cxrscribe_train.corpus.table import Corpus, read_reports
from cxrscribe_train.dataset import Examples, ReportTokens, read_examples
from cxrscribe_train.feature_file import FeatureFile
from cxrscribe_train.films import DamagedFilm
from cxrscribe_train.fit import Trainer, TrainingJob, help_train, new_network, starting_encoder
from cxrscribe_train.input_cache import CachedInputs, cache_features, cache_films
from cxrscribe_train.parallel import shared_exchange
from cxrscribe_train.phantom.recipe import is_phantom
from cxrscribe_train.run import CHECKPOINT_FOLDER, DECODER_FILE, RunWriter, TrainingCorpus
from cxrscribe_train.study import study_of
from cxrscribe_train.weights import WeightsSource, sha256_of
from cxrscribe_train.words import build_vocabulary


@dataclass(frozen=True)
class Progress:
    """Calls by which a training says how far it is; each may be left out.

    Attributes:
        prepared: the number of films prepared since the last call, and the number of all films.
        began: the training is set up; counts of its examples, the number of words, and damaged films.
        epoch: an epoch is done; its record, and whether it is the best so far.
    """

    prepared: Callable[[int, int], None] = lambda films, of: None
    began: Callable[[TrainingCorpus, int, tuple[DamagedFilm, ...]], None] = lambda corpus, words, damaged: (
        None
    )
    epoch: Callable[[EpochRecord, bool], None] = lambda record, best: None


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended.

    `finished` is False when it was stopped; `best` is None before the first epoch's end.
    """

    finished: bool
    epochs: int
    best: EpochRecord | None
    damaged: tuple[DamagedFilm, ...]


@dataclass(frozen=True)
class _Inputs:
    """What both kinds of training, on features and on films, start from."""

    train: CachedInputs
    val: CachedInputs
    preprocessing: Preprocessing
    backbone: str
    backbone_options: dict[str, int | float | str]
    feature_size: int
    weights: str
    encoder: FilmEncoder | None = None
    encoder_file: Path | None = None


def train(
    corpus_folder: Path,
    out: Path,
    config: TrainingConfig,
    features_file: Path | None = None,
    *,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a report model and write its run folder.

    Args:
        corpus_folder: holds `reports.csv`.
        out: the run folder, new or to be resumed.
        config: all choices; of a resumed run, those that it was begun with.
        features_file: the h5 file of a training on features; None in an end-to-end training.
        resume: go on from the checkpoint in `out`.
        stop: asked after each step; a checkpoint is written when it says so.
        progress: told what happens.

    Raises:
        InputError: corpus, features, config or folder can't be used, or don't fit the checkpoint.
    """
    progress = progress or Progress()
    checkpoint = out / CHECKPOINT_FOLDER
    _check_folder(out, resume=resume)
    corpus = read_reports(corpus_folder)
    examples = {
        split: read_examples(corpus, split, need_file=config.end_to_end) for split in ("train", "val")
    }
    inputs = _cached_inputs(corpus, examples, config, features_file, checkpoint, progress)
    kept = {
        split: examples[split].keep(cached.image_ids)
        for split, cached in (("train", inputs.train), ("val", inputs.val))
    }
    vocabulary = build_vocabulary(kept["train"].words, config.text.min_count)
    tokens = {split: ReportTokens.of(kept[split].words, vocabulary, config.text.max_tokens) for split in kept}
    job = TrainingJob(
        config=config,
        architecture=_architecture(config, inputs, vocabulary),
        preprocessing=inputs.preprocessing,
        train_inputs=inputs.train.path,
        val_inputs=inputs.val.path,
        train=tokens["train"],
        val=tokens["val"],
        checkpoint=checkpoint,
        fingerprint=_fingerprint(config, inputs, vocabulary, tokens),
    )
    damaged = (*inputs.train.damaged, *inputs.val.damaged)
    writer = RunWriter(
        path=out,
        architecture=job.architecture,
        preprocessing=job.preprocessing,
        vocabulary=vocabulary,
        settings=BeamSettings(max_length=int(job.train.lengths.max())),
        config=config,
        weights=inputs.weights,
        corpus=_record(corpus_folder, kept, len(damaged)),
        studies=tuple(dict.fromkeys(study_of(image) for image in kept["train"].image_ids)),
    )
    progress.began(writer.corpus, len(vocabulary), damaged)
    return _fit(job, inputs, writer, damaged, resume=resume, stop=stop, progress=progress)


def _fit(
    job: TrainingJob,
    inputs: _Inputs,
    writer: RunWriter,
    damaged: tuple[DamagedFilm, ...],
    *,
    resume: bool,
    stop: Callable[[], bool],
    progress: Progress,
) -> TrainingResult:
    trainer = Trainer(job, new_network(job, inputs.encoder))
    if resume:
        trainer.restore()
    else:
        writer.begin(inputs.encoder_file)
        trainer.save()

    def close_epoch() -> None:
        last = trainer.state.history[-1]
        is_best = trainer.state.best == last
        if is_best:
            writer.keep_best(trainer.network, last)
        trainer.save()
        writer.log(trainer.state)
        progress.epoch(last, is_best)

    processes = job.config.fit.processes
    helpers = (
        shared_exchange(processes, len(trainer.vector), help_train, job)
        if processes > 1 and not trainer.finished
        else nullcontext(trainer.exchange)
    )
    with helpers as exchange:
        trainer.join(exchange)
        finished = trainer.run(stop, close_epoch)
    writer.draw(trainer.state)
    if finished:
        _delete_caches(inputs)
    else:
        trainer.save()
    return TrainingResult(finished, trainer.state.epoch, trainer.state.best, damaged)


def _check_folder(out: Path, *, resume: bool) -> None:
    begun = has_checkpoint(out / CHECKPOINT_FOLDER)
    if resume and not begun:
        raise InputError(f"nothing to resume in {out}; leave --resume out to start a training")
    if not resume and (begun or (out / DECODER_FILE).exists()):
        raise InputError(f"{out} already holds a run; add --resume to go on with it, or give another --out")


def _cached_inputs(
    corpus: Corpus,
    examples: dict[str, Examples],
    config: TrainingConfig,
    features_file: Path | None,
    folder: Path,
    progress: Progress,
) -> _Inputs:
    paths = {split: folder / f"inputs-{split}.npy" for split in examples}
    network = config.network
    if features_file is not None:
        features = FeatureFile.open(features_file)
        features.check_usable()
        cached = {
            split: cache_features(features, examples[split].image_ids, paths[split]) for split in examples
        }
        return _Inputs(
            train=cached["train"],
            val=cached["val"],
            preprocessing=features.encoder.preprocessing,
            backbone=features.encoder.backbone,
            backbone_options=dict(features.encoder.backbone_options),
            feature_size=features.feature_size,
            weights=features.encoder.weights,
            encoder_file=features.encoder_weights,
        )
    preprocessing = Preprocessing(network.size, network.size)
    # Built before the films are read: a wrong name or weights file should not cost minutes.
    encoder = starting_encoder(config, preprocessing)
    files = {row.image_id: corpus.image_file(row) for row in corpus.rows if row.image_path}
    total = sum(len(examples[split]) for split in examples)
    cached = {
        split: cache_films(
            [(image_id, files[image_id]) for image_id in examples[split].image_ids],
            preprocessing,
            paths[split],
            lambda films: progress.prepared(films, total),
        )
        for split in examples
    }
    return _Inputs(
        train=cached["train"],
        val=cached["val"],
        preprocessing=preprocessing,
        backbone=network.backbone,
        backbone_options=dict(network.backbone_options),
        feature_size=encoder.feature_size,
        weights=_weights_identity(config),
        encoder=encoder,
    )


def _weights_identity(config: TrainingConfig) -> str:
    if config.fit.weights == "random":
        return f"random:{config.fit.seed}"
    return WeightsSource.parse(config.fit.weights).identity


def _architecture(config: TrainingConfig, inputs: _Inputs, vocabulary: Vocabulary) -> Architecture:
    return Architecture(
        backbone=inputs.backbone,
        backbone_options=inputs.backbone_options,
        feature_size=inputs.feature_size,
        embedding_size=config.network.embedding_size,
        hidden_size=config.network.hidden_size,
        layers=config.network.layers,
        vocabulary_size=len(vocabulary),
        dropout=config.network.dropout,
    )


def _fingerprint(
    config: TrainingConfig, inputs: _Inputs, vocabulary: Vocabulary, tokens: dict[str, ReportTokens]
) -> tuple[tuple[str, str], ...]:
    corpus = [inputs.train.image_ids, inputs.val.image_ids, tokens["train"].digest(), tokens["val"].digest()]
    encoder = [inputs.backbone, inputs.backbone_options, inputs.preprocessing.to_json(), inputs.weights]
    if inputs.encoder_file is not None:
        encoder.append(sha256_of(inputs.encoder_file))
    return (
        ("config", hashlib.sha256(config.to_toml().encode()).hexdigest()),
        ("corpus", hashlib.sha256(json.dumps(corpus).encode()).hexdigest()),
        ("vocabulary", hashlib.sha256(vocabulary.to_json().encode()).hexdigest()),
        ("encoder", hashlib.sha256(json.dumps(encoder, sort_keys=True).encode()).hexdigest()),
    )


def _record(folder: Path, kept: dict[str, Examples], damaged: int) -> TrainingCorpus:
    return TrainingCorpus(
        folder=str(folder.resolve()),
        drawn=any(is_phantom(image) for image in kept["train"].image_ids),
        train=len(kept["train"]),
        val=len(kept["val"]),
        without_image=sum(examples.without_image for examples in kept.values()) - damaged,
        without_findings=sum(examples.without_findings for examples in kept.values()),
        damaged=damaged,
    )


def _delete_caches(inputs: _Inputs) -> None:
    """The caches are as large as the corpus, and made again in a minute."""
    for cached in (inputs.train, inputs.val):
        cached.path.unlink(missing_ok=True)
        cached.path.with_suffix(".json").unlink(missing_ok=True)

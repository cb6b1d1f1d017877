"""One training from corpus to run folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cxrscribe.bundle.architecture import Architecture, ContextSizes
from cxrscribe.bundle.files import sha256_of
from cxrscribe.errors import InputError
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import Vocabulary
from cxrscribe_train.context.known import Known
from cxrscribe_train.context.patient_text import fit_patient_text
from cxrscribe_train.context.tags import fit_tags
from cxrscribe_train.corpus.films import DamagedFilm
from cxrscribe_train.corpus.table import Corpus, read_reports
from cxrscribe_train.feature_file import EncoderIdentity, FeatureFile
from cxrscribe_train.fitting.checkpoint import EpochRecord, SelfCriticalStart, has_checkpoint
from cxrscribe_train.fitting.config import Targets, TrainingConfig, Views
from cxrscribe_train.fitting.consensus import ConsensusTargets, consensus_targets
from cxrscribe_train.fitting.dataset import Examples, ReportTokens, read_examples
from cxrscribe_train.fitting.fit import Trainer, help_train, new_network
from cxrscribe_train.fitting.inputs import TrainingInputs, inputs_from_features, inputs_from_films
from cxrscribe_train.fitting.job import TrainingJob
from cxrscribe_train.fitting.network import ReportNetwork
from cxrscribe_train.fitting.parallel import shared_exchange
from cxrscribe_train.fitting.reward import Rewards
from cxrscribe_train.fitting.views import StudyViews, examples_by_study
from cxrscribe_train.fitting.vocabulary import build_vocabulary
from cxrscribe_train.phantom.recipe import is_phantom
from cxrscribe_train.run import (
    CHECKPOINT_FOLDER,
    DECODER_FILE,
    ENCODER_FILE,
    Run,
    RunWriter,
    TrainingCorpus,
)
from cxrscribe_train.warm_start import WarmStart, begin_from, open_origin


@dataclass(frozen=True)
class Progress:
    """Calls by which a training says how far it is; each may be left out.

    Attributes:
        prepared: the number of films prepared since the last call, and the number of all films.
        began: the training is set up; counts of its examples, the number of words, and damaged films.
        epoch: an epoch is done; its record, and whether it is the best so far.
        took: the training begins from another run; what it took of it.
        replaced: films are taught other reports than their own.
        self_critical: the self-critical epochs begin.
    """

    prepared: Callable[[int, int], None] = lambda films, of: None
    began: Callable[[TrainingCorpus, int, tuple[DamagedFilm, ...]], None] = lambda corpus, words, damaged: (
        None
    )
    epoch: Callable[[EpochRecord, bool], None] = lambda record, best: None
    took: Callable[[WarmStart], None] = lambda start: None
    replaced: Callable[[ConsensusTargets], None] = lambda targets: None
    self_critical: Callable[[SelfCriticalStart], None] = lambda start: None


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended.

    `finished` is False when it was stopped, and `prepared` too when that was while films were prepared: the
    same call goes on there. `best` is None before the first epoch's end.
    """

    prepared: bool
    finished: bool
    epochs: int
    best: EpochRecord | None
    damaged: tuple[DamagedFilm, ...]


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
        config: all choices; of a resumed run, those that it was begun with. In a training on features, the
            features say what the backbone, its options and the size are.
        features_file: the h5 file of a training on features; None in an end-to-end training.
        resume: go on from the checkpoint in `out`.
        stop: asked after each film that is prepared and after each step; what was done is kept.
        progress: told what happens.

    Raises:
        InputError: corpus, features, config or folder can't be used, or don't fit the checkpoint.
    """
    progress = progress or Progress()
    checkpoint = out / CHECKPOINT_FOLDER
    _check_folder(out, resume=resume)
    # A resumed training has its weights in the checkpoint: the other run may be gone.
    origin = None if resume or not config.fit.init else open_origin(Path(config.fit.init), out)
    features = None if features_file is None else _usable_features(features_file)
    if features is not None:
        config = _on_features(config, features.encoder)
    corpus = read_reports(corpus_folder)
    examples = {
        split: read_examples(corpus, split, need_file=config.end_to_end, cleaning=config.text.cleaning)
        for split in ("train", "val")
    }
    inputs = (
        inputs_from_films(corpus, examples, config, checkpoint, progress.prepared, stop)
        if features is None
        else inputs_from_features(features, examples, checkpoint)
    )
    if inputs is None:
        return TrainingResult(prepared=False, finished=False, epochs=0, best=None, damaged=())
    kept = {
        split: examples[split].keep(cached.image_ids)
        for split, cached in (("train", inputs.train), ("val", inputs.val))
    }
    reports, views = kept, {}
    if config.fit.views == Views.ALL:
        reports = {split: examples_by_study(kept[split]) for split in kept}
        views = {split: StudyViews.of(kept[split].studies) for split in kept}
    taught = {split: reports[split].words for split in reports}
    targets = None
    if config.text.targets == Targets.CONSENSUS:
        films = kept["train"]
        words, targets = consensus_targets(films.words, films.studies, config.fit.seed)
        # The films of a study teach the same: they have the same report.
        taught["train"] = tuple(words[film] for film in views["train"].first) if views else words
        progress.replaced(targets)
    vocabulary = build_vocabulary(taught["train"], config.text.min_count)
    tokens = {split: ReportTokens.of(taught[split], vocabulary, config.text.max_tokens) for split in taught}
    rewards = None
    if config.self_critical.is_on:
        weight = config.self_critical.label_reward
        rewards = Rewards(reports["train"].words, reports["val"].words, vocabulary, weight)
    known = _known(config, reports, kept["train"], inputs, out, checkpoint, resume=resume)
    job = TrainingJob(
        config=config,
        architecture=_architecture(config, inputs, vocabulary, known),
        preprocessing=inputs.preprocessing,
        train_inputs=inputs.train.path,
        val_inputs=inputs.val.path,
        train=tokens["train"],
        val=tokens["val"],
        checkpoint=checkpoint,
        fingerprint=(
            *_fingerprint(config, inputs, vocabulary, tokens),
            *([("context", known.digest(_indications(reports)))] if known is not None else ()),
            *([("studies", _studies_digest(kept))] if views else ()),
            *([("reports", rewards.digest())] if rewards is not None else ()),
        ),
        known=known,
        train_views=views.get("train"),
        val_views=views.get("val"),
        rewards=rewards,
        best_decoder=out / DECODER_FILE,
        best_encoder=out / ENCODER_FILE,
    )
    network = new_network(job, inputs.encoder)
    studies = {split: _studies(corpus, kept[split].image_ids) for split in kept}
    start = None
    if origin is not None:
        start = begin_from(
            origin,
            network,
            vocabulary,
            other_encoder=_other_encoder(origin, config, inputs),
            validation_studies=studies["val"],
            known=known,
        )
        progress.took(start)
        if config.fit.epochs == 0:
            start.check_whole()
    elif config.fit.init:
        start = WarmStart.read(out)
    before = frozenset() if origin is None else origin.training_studies()
    left_out = sum(len(examples[split]) - len(kept[split]) for split in kept)
    writer = RunWriter(
        path=out,
        architecture=job.architecture,
        preprocessing=job.preprocessing,
        vocabulary=vocabulary,
        settings=BeamSettings(max_length=int(job.train.lengths.max())),
        config=config,
        weights=(start and start.encoder_weights) or inputs.weights,
        corpus=_record(corpus_folder, kept, left_out, len(inputs.damaged)),
        studies=(*studies["train"], *sorted(before.difference(studies["train"]))),
        targets=targets,
    )
    progress.began(writer.corpus, len(vocabulary), inputs.damaged)
    return _fit(job, network, inputs, writer, start, resume=resume, stop=stop, progress=progress)


def _fit(
    job: TrainingJob,
    network: ReportNetwork,
    inputs: TrainingInputs,
    writer: RunWriter,
    start: WarmStart | None,
    *,
    resume: bool,
    stop: Callable[[], bool],
    progress: Progress,
) -> TrainingResult:
    trainer = Trainer(job, network)
    if resume:
        trainer.restore()
    else:
        writer.begin(inputs.encoder_file)
        if job.known is not None:
            job.known.write(writer.path, job.checkpoint)
        if start is not None:
            start.write(writer.path)
        trainer.save()

    def begin_self_critical() -> None:
        trainer.save()
        assert trainer.state.self_critical is not None
        progress.self_critical(trainer.state.self_critical)

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
        finished = trainer.run(stop, close_epoch, begin_self_critical)
    writer.draw(trainer.state)
    if finished:
        inputs.delete_caches()
    else:
        trainer.save()
    return TrainingResult(
        prepared=True,
        finished=finished,
        epochs=trainer.state.epoch,
        best=trainer.state.best,
        damaged=inputs.damaged,
    )


def _check_folder(out: Path, *, resume: bool) -> None:
    begun = has_checkpoint(out / CHECKPOINT_FOLDER)
    if resume and not begun:
        raise InputError(f"nothing to resume in {out}; leave --resume out to start a training")
    if not resume and (begun or (out / DECODER_FILE).exists()):
        raise InputError(f"{out} already holds a run; add --resume to go on with it, or give another --out")


def _usable_features(path: Path) -> FeatureFile:
    features = FeatureFile.open(path)
    features.check_usable()
    features.check_weights()
    return features


def _on_features(config: TrainingConfig, encoder: EncoderIdentity) -> TrainingConfig:
    """The config with the encoder that made the features, so that the run folder says which one it was."""
    network = replace(
        config.network,
        backbone=encoder.backbone,
        backbone_options=dict(encoder.backbone_options),
        size=encoder.preprocessing.height,
        png_range=encoder.preprocessing.png_range,
    )
    return replace(config, network=network)


def _known(
    config: TrainingConfig,
    reports: dict[str, Examples],
    films: Examples,
    inputs: TrainingInputs,
    out: Path,
    checkpoint: Path,
    *,
    resume: bool,
) -> Known | None:
    """What a context is told of the reports' patients, and of the training films.

    Of a resumed run, what was fitted when it was begun.
    """
    if not config.context.is_on:
        return None
    if resume:
        return Known.read(out, checkpoint)
    train, val, seed = reports["train"], reports["val"], config.fit.seed
    fitted = fit_patient_text(
        train.indications,
        train.words,
        train.studies,
        size=config.context.patient_size,
        cleaning=config.text.cleaning,
        seed=seed,
    )
    of_val = np.stack([fitted.text.encode(indication) for indication in val.indications])
    tags = None
    if config.context.has_tags:
        tags = fit_tags(np.load(inputs.train.path), films.words, films.studies, seed)
    return Known(fitted.text, fitted.out_of_fold, of_val, tags)


def _studies_digest(kept: dict[str, Examples]) -> str:
    """sha256 of which film is of which study."""
    return hashlib.sha256(json.dumps([examples.studies for examples in kept.values()]).encode()).hexdigest()


def _indications(kept: dict[str, Examples]) -> list[str]:
    return [indication for examples in kept.values() for indication in examples.indications]


def _other_encoder(origin: Run, config: TrainingConfig, inputs: TrainingInputs) -> str | None:
    """Why the features aren't those that the other run's decoder knows; None where they begin so."""
    if inputs.encoder_file is not None:
        same = sha256_of(inputs.encoder_file) == origin.weights_sha256
        return None if same else "the features here are of another encoder"
    if config.fit.weights != "random":
        return f"the backbone begins from {config.fit.weights}"
    theirs = (origin.architecture.backbone, dict(origin.architecture.backbone_options))
    if theirs == (inputs.backbone, dict(inputs.backbone_options)):
        return None
    return f"the backbone is {inputs.backbone} here and {theirs[0]} in the run, or has other options"


def _architecture(
    config: TrainingConfig, inputs: TrainingInputs, vocabulary: Vocabulary, known: Known | None
) -> Architecture:
    context = None
    if known is not None:
        tags = 0 if known.tags is None else len(known.tags.bias)
        context = ContextSizes(known.text.size, config.context.context_size, tags)
    return Architecture(
        backbone=inputs.backbone,
        backbone_options=inputs.backbone_options,
        feature_size=inputs.feature_size,
        embedding_size=config.network.embedding_size,
        hidden_size=config.network.hidden_size,
        layers=config.network.layers,
        vocabulary_size=len(vocabulary),
        dropout=config.network.dropout,
        context=context,
    )


def _studies(corpus: Corpus, image_ids: tuple[str, ...]) -> tuple[str, ...]:
    """The studies that these images are of, each once."""
    study_of = {row.image_id: row.study_id for row in corpus.rows}
    return tuple(dict.fromkeys(study_of[image] for image in image_ids))


def _fingerprint(
    config: TrainingConfig, inputs: TrainingInputs, vocabulary: Vocabulary, tokens: dict[str, ReportTokens]
) -> tuple[tuple[str, str], ...]:
    corpus = [inputs.train.image_ids, inputs.val.image_ids, tokens["train"].digest(), tokens["val"].digest()]
    return (
        ("config", hashlib.sha256(config.to_toml().encode()).hexdigest()),
        ("corpus", hashlib.sha256(json.dumps(corpus).encode()).hexdigest()),
        ("vocabulary", hashlib.sha256(vocabulary.to_json().encode()).hexdigest()),
        ("encoder", inputs.encoder_digest()),
        (f"content of the {'films' if config.end_to_end else 'features'}", inputs.content_digest()),
    )


def _record(folder: Path, kept: dict[str, Examples], left_out: int, damaged: int) -> TrainingCorpus:
    """`left_out`: images whose film is damaged, or that have no features."""
    return TrainingCorpus(
        folder=str(folder.resolve()),
        drawn=any(is_phantom(image) for image in kept["train"].image_ids),
        train=len(kept["train"]),
        val=len(kept["val"]),
        without_image=sum(examples.without_image for examples in kept.values()),
        without_findings=sum(examples.without_findings for examples in kept.values()),
        damaged=damaged,
        without_features=left_out - damaged,
    )

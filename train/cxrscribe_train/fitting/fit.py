"""Finding the weights: epochs of steps, each epoch followed by a validation.

The loop is our own, on Paddle's parts (DataLoader, BatchSampler, AdamW, learning-rate schedules,
ClipGradByGlobalNorm). `paddle.Model` would get in the way: what its `evaluate` and `EarlyStopping` see as
the loss is the last batch's alone, its checkpoints hold no place inside an epoch, and it has no room for an
exchange of gradients between `backward` and the optimizer's step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import paddle
from numpy.typing import NDArray

from cxrscribe.errors import CxrscribeError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.study import pooled
from cxrscribe_models import FilmEncoder, ReportDecoder
from cxrscribe_train.fitting.calibration import calibrate
from cxrscribe_train.fitting.checkpoint import (
    EpochRecord,
    SelfCriticalStart,
    TrainingState,
    load_checkpoint,
    save_checkpoint,
)
from cxrscribe_train.fitting.config import TrainingConfig
from cxrscribe_train.fitting.dataset import EpochSampler, ReportDataset
from cxrscribe_train.fitting.fine_tuning import fine_tune, frozen_parts
from cxrscribe_train.fitting.hints import FeatureHints, MemoryHints
from cxrscribe_train.fitting.job import TrainingJob
from cxrscribe_train.fitting.loss import TokenLoss, summed_token_loss
from cxrscribe_train.fitting.network import ReportNetwork, initialize, initialize_context
from cxrscribe_train.fitting.optimizer import adamw, forget_moments
from cxrscribe_train.fitting.parallel import Alone, Exchange
from cxrscribe_train.fitting.schedule import WarmUpCosine
from cxrscribe_train.fitting.self_critical import Seen, SelfCritical
from cxrscribe_train.fitting.step_vector import StepVector
from cxrscribe_train.fitting.validation import Validation
from cxrscribe_train.weights import WeightsSource, build_encoder, load_weights


class Trainer:
    """One process's part of a training; with `Alone` as the exchange it is the whole of it."""

    def __init__(self, job: TrainingJob, network: ReportNetwork, exchange: Exchange | None = None) -> None:
        """Sets up loader, optimizer and schedule around `network`."""
        fit = job.config.fit
        if job.batch_size < 1:
            raise CxrscribeError(
                f"{fit.processes} processes need at least as many training films; lower processes"
            )
        if network.encoder is not None:
            fine_tune(network.encoder, fit)
        self.network = network
        self.state = TrainingState()
        self._job = job
        self.exchange = exchange or Alone()
        self._sampler = self._make_sampler()
        self._schedule = WarmUpCosine.of(fit, steps=fit.epochs * len(self._sampler))
        self._scheduler = paddle.optimizer.lr.LambdaDecay(fit.learning_rate, self._share_of_rate)
        self.optimizer = adamw(fit, self._scheduler, network)
        self.vector = StepVector(network, numbers=3)
        augmentation = job.config.augmentation if job.config.end_to_end else None
        self._films = np.load(job.train_inputs, mmap_mode="r")
        films_of = None if job.train_views is None else self._drawn_films
        self._train = ReportDataset(self._films, job.train, augmentation, fit.seed, films_of)
        self._validation = Validation(job, network)
        if job.rewards is not None:
            samples = job.config.self_critical.samples
            self._self_critical = SelfCritical(job.rewards, samples, job.longest, fit.seed)

    def restore(self) -> None:
        """Go back to where the checkpoint was taken. Raises InputError when there is none, or another's."""
        job = self._job
        self.state = load_checkpoint(job.checkpoint, self.network, self.optimizer, dict(job.fingerprint))
        self._scheduler.step(self.state.step)
        if self.state.self_critical is not None:
            self.network.end_hints()

    def save(self) -> None:
        """Write the job's checkpoint."""
        job = self._job
        save_checkpoint(job.checkpoint, self.state, self.network, self.optimizer, dict(job.fingerprint))

    def join(self, exchange: Exchange) -> None:
        """Take part in a training of several processes from the next step on."""
        self.exchange = exchange
        self._sampler = self._make_sampler()

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        epochs, start = self._job.config.self_critical.self_critical_epochs, self.state.self_critical
        begun = self.state.epoch - start.epoch if start is not None else 0
        return self._cross_entropy_is_over and begun >= epochs

    @property
    def _cross_entropy_is_over(self) -> bool:
        """Whether its epochs are done, or validation has not improved for `patience` epochs."""
        fit, state = self._job.config.fit, self.state
        stale = 0 < fit.patience <= state.epochs_without_gain and state.since == self._last_phase
        return state.self_critical is not None or stale or state.epoch >= fit.epochs

    @property
    def _last_phase(self) -> int:
        """The epoch from which on sentences that state a finding weigh more; 0 where they never do."""
        fit = self._job.config.fit
        return max(0, fit.epochs - fit.finding_weight_epochs) if fit.finding_weight_epochs else 0

    @property
    def _finding_weight(self) -> float:
        """How often a word of such a sentence counts in the present epoch."""
        return self._job.config.fit.finding_weight if self.state.epoch >= self._last_phase else 1.0

    def run(
        self,
        stop: Callable[[], bool],
        on_epoch: Callable[[], None],
        on_self_critical: Callable[[], None] = lambda: None,
    ) -> bool:
        """Train until finished or until `stop` is true after a step.

        Args:
            stop: asked after each step.
            on_epoch: called when an epoch is done and `state` holds its record.
            on_self_critical: called before the first self-critical step, when `state` holds the start.

        Returns:
            True when finished, False when stopped.
        """
        while not self.finished:
            if self._cross_entropy_is_over and self.state.self_critical is None:
                self._begin_self_critical()
                on_self_critical()
            started = time.monotonic()
            stopped = self._train_epoch(stop)
            if self.state.batch < len(self._sampler):
                return False
            self._calibrate()
            self._close_epoch(*self._validate(), time.monotonic() - started)
            on_epoch()
            if stopped:
                return self.finished
        return True

    def _begin_self_critical(self) -> None:
        """Go back to the best weights, and forget the moments: they are of another loss."""
        if self.state.history and self._job.best_decoder is not None:
            self.exchange.sum(np.zeros(1, np.float32))  # until the first process has written them
            load_weights(self.network.decoder, self._job.best_decoder)
            if self.network.encoder is not None and self._job.best_encoder is not None:
                load_weights(self.network.encoder.backbone, self._job.best_encoder)
        forget_moments(self.optimizer)
        self.network.end_hints()
        self.network.eval()
        start = SelfCriticalStart(self.state.epoch, self.state.step, self._validation_reward())
        self.state = replace(self.state, self_critical=start)
        self._scheduler.step(self.state.step)

    def _share_of_rate(self, step: int) -> float:
        config = self._job.config
        if self.state.self_critical is not None:
            return config.self_critical.self_critical_rate / config.fit.learning_rate
        return self._schedule(step)

    def _make_sampler(self) -> EpochSampler:
        return EpochSampler(
            self._job.train.lengths,
            self._job.batch_size,
            self._job.config.fit.seed,
            self.exchange.rank,
            self.exchange.processes,
        )

    def _train_epoch(self, stop: Callable[[], bool]) -> bool:
        """The rest of the present epoch. Returns True when stopped, which may be after its last step."""
        self.network.train()
        self._sampler.begin(self.state.epoch, self.state.batch)
        self._train.epoch = self.state.epoch
        loader = paddle.io.DataLoader(
            self._train, batch_sampler=self._sampler, collate_fn=self._train.collate
        )
        return any(
            self._step(inputs, tokens, targets, hints, stop) for inputs, tokens, targets, hints in loader
        )

    def _step(
        self,
        inputs: paddle.Tensor,
        tokens: paddle.Tensor,
        targets: paddle.Tensor,
        hints: paddle.Tensor,
        stop: Callable[[], bool],
    ) -> bool:
        """One step; returns whether any process was asked to stop."""
        fit, state = self._job.config.fit, self.state
        _seed_step(fit.seed, state.step, self.exchange.rank)
        batch = self._sampler.whole_batch(state.batch)
        own = batch[self.exchange.rank :: self.exchange.processes]
        reports, weight = self._job.train, self._finding_weight
        count = reports.count(batch, weight)
        seen = Seen(self.network.features(inputs), *self._known(batch))
        states = self.network.decoder.states(seen.features, tokens, *seen.known())
        weights = reports.counted(own, weight, targets.shape[1])
        loss = summed_token_loss(self.network.decoder.logits(states), targets, fit.label_smoothing, weights)
        earned = 0.0
        if state.self_critical is None:
            taught = loss + self.network.hint_loss(seen.features, states, targets, hints)
        else:
            share = slice(self.exchange.rank, None, self.exchange.processes)
            policy, earned = self._self_critical.loss(self.network.decoder, seen, batch, share, state.step)
            taught = policy + self._job.config.self_critical.cross_entropy_share * loss
        (taught / count).backward()
        numbers = self.vector.exchange_step(self.exchange, float(loss), earned, float(stop()))
        total, reward, stops = numbers.tolist()
        self._check_finite(f"the training loss at step {state.step}", total)
        self.optimizer.step()
        self.optimizer.clear_grad()
        self._scheduler.step()
        train_loss = state.train_loss + TokenLoss(total, count)
        self.state = replace(state, batch=state.batch + 1, step=state.step + 1, train_loss=train_loss)
        if state.self_critical is not None:
            sampled = len(batch) * self._job.config.self_critical.samples
            self.state = replace(self.state, reward=state.reward + reward, sampled=state.sampled + sampled)
        return stops > 0

    def _known(self, batch: NDArray[np.int64]) -> tuple[paddle.Tensor, ...]:
        """Patients' numbers, and tags if any, of this process's share of a batch; nothing without context.

        Some texts are taken away, whole: so the decoder learns to do without. Which ones follows from the
        seed and the step, however many processes there are.
        """
        known, fit = self._job.known, self._job.config.fit
        if known is None:
            return ()
        random = np.random.default_rng((fit.seed, self.state.step))
        kept = random.random(len(batch)) >= self._job.config.context.text_dropout
        parts = [known.train[batch] * kept[:, np.newaxis].astype(np.float32)]
        if known.tags is not None:
            parts.append(self._tags(known.tags.out_of_fold, batch))
        share = slice(self.exchange.rank, None, self.exchange.processes)
        return tuple(paddle.to_tensor(part[share]) for part in parts)

    def _tags(self, of_films: NDArray[np.float32], batch: NDArray[np.int64]) -> NDArray[np.float32]:
        """The logits of a batch's tags, float32 [n, T].

        They are linear in the features: those of pooled features are the mean of the films'.
        """
        if self._job.train_views is None:
            return of_films[batch]
        return np.stack([pooled(of_films[self._drawn_films(study, self.state.epoch)]) for study in batch])

    def _drawn_films(self, study: int, epoch: int) -> NDArray[np.int64]:
        """The films that a training study is made of in this epoch."""
        assert self._job.train_views is not None
        return self._job.train_views.drawn(study, self._job.config.fit.seed, epoch)

    def _calibrate(self) -> None:
        """Measure the batch-norm statistics on training films as they are, without augmentation."""
        films, encoder = self._job.config.fit.calibration_films, self.network.encoder
        if encoder is None or films == 0:
            return
        size = self._job.batch_size
        order = np.random.default_rng(self._job.config.fit.seed).permutation(len(self._job.train.lengths))
        batches = max(1, min(films, len(order)) // size)

        def own_share() -> Iterator[paddle.Tensor]:
            for batch in range(batches):
                whole = order[batch * size : (batch + 1) * size]
                share = np.sort(whole[self.exchange.rank :: self.exchange.processes])
                yield paddle.to_tensor(np.asarray(self._films[share]))

        calibrate(encoder, own_share())
        self.vector.exchange_statistics(self.exchange)

    def _validate(self) -> tuple[float, float | None]:
        """The validation loss, and in a self-critical epoch the validation reward."""
        self.network.eval()
        loss = self._validation.loss(self.exchange, self._finding_weight)
        return loss, None if self.state.self_critical is None else self._validation_reward()

    def _validation_reward(self) -> float:
        return self._validation.reward(self.exchange, self._self_critical)

    def _close_epoch(self, val_loss: float, val_reward: float | None, seconds: float) -> None:
        state = self.state
        self._check_finite(f"the validation loss after epoch {state.epoch + 1}", val_loss)
        record = EpochRecord(
            epoch=state.epoch,
            step=state.step,
            train_loss=state.train_loss.mean,
            val_loss=val_loss,
            learning_rate=float(self._scheduler.get_lr()),
            seconds=round(seconds, 3),
            train_reward=None if val_reward is None else state.reward / state.sampled,
            val_reward=val_reward,
        )
        self.state = TrainingState(
            epoch=state.epoch + 1,
            step=state.step,
            history=(*state.history, record),
            since=self._last_phase if state.epoch >= self._last_phase else 0,
            self_critical=state.self_critical,
        )

    def _check_finite(self, what: str, loss: float) -> None:
        if not math.isfinite(loss):
            raise CxrscribeError(
                f"{what} is {loss}; train anew with a lower learning_rate or clip_norm, and with another "
                f"--out than {self._job.checkpoint.parent}, which keeps this run"
            )


def new_network(job: TrainingJob, encoder: FilmEncoder | None = None) -> ReportNetwork:
    """A decoder with weights from the config's seed, behind `encoder` in an end-to-end training."""
    fit, architecture = job.config.fit, job.architecture
    paddle.seed(fit.seed)
    decoder = ReportDecoder(architecture)
    memory = MemoryHints(architecture.hidden_size, fit.memory_loss) if fit.memory_loss else None
    features = None if job.config.end_to_end else np.load(job.train_inputs)
    initialize(decoder, features)
    if decoder.context is not None and job.known is not None:
        initialize_context(decoder.context, job.known, features)
    if not job.config.end_to_end:
        return ReportNetwork(decoder, memory_hints=memory)
    if fit.finding_loss == fit.word_loss == 0.0:
        return ReportNetwork(decoder, encoder, memory_hints=memory)
    sizes = architecture.feature_size, architecture.vocabulary_size
    hints = FeatureHints(*sizes, finding_weight=fit.finding_loss, word_weight=fit.word_loss)
    return ReportNetwork(decoder, encoder, hints, memory)


def starting_encoder(config: TrainingConfig, preprocessing: Preprocessing) -> FilmEncoder:
    """The encoder that an end-to-end training starts from. Raises InputError when there is none like that."""
    weights = f"random:{config.fit.seed}" if config.fit.weights == "random" else config.fit.weights
    network = config.network
    source = WeightsSource.parse(weights)
    encoder = build_encoder(network.backbone, network.backbone_options, preprocessing, source)
    frozen_parts(encoder.backbone.network, config.fit.frozen)
    return encoder


def help_train(exchange: Exchange, job: TrainingJob) -> None:
    """What a helper process does: load the checkpoint that the first process wrote, then train beside it."""
    architecture = job.architecture
    encoder = (
        build_encoder(architecture.backbone, architecture.backbone_options, job.preprocessing)
        if job.config.end_to_end
        else None
    )
    trainer = Trainer(job, new_network(job, encoder), exchange)
    trainer.restore()
    trainer.run(stop=lambda: False, on_epoch=lambda: None)


def _seed_step(seed: int, step: int, rank: int) -> None:
    """Make dropout a function of seed, step and process: a resumed training draws what it would have."""
    paddle.seed(int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0]))

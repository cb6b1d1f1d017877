"""A run folder: what one training leaves behind.

run.json              architecture, preprocessing, beam settings, weights' sha256, best epoch, corpus counts
config.toml           the training config that gives this run again
vocabulary.json       the words, in the order of their ids
studies.json          ids of the studies that it was trained on, and the run that it began from before it
init.json             what it took of that run, where it began from one
encoder.safetensors   the backbone
decoder.safetensors   the decoder of the best epoch
patient_text.json     how a model with a context reads what is known of a patient
log.jsonl             one line an epoch
curves.png            losses and learning rate
checkpoint/           what `--resume` needs
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.contract import PATIENT_TEXT
from cxrscribe.bundle.files import sha256_of
from cxrscribe.errors import CxrscribeError, InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.json_object import JsonObject, read_json_object
from cxrscribe.patient_text import PatientText
from cxrscribe.settings import BeamSettings
from cxrscribe.version import __version__
from cxrscribe.vocabulary import Vocabulary
from cxrscribe_models import FilmEncoder, ReportDecoder
from cxrscribe_train.atomic import write_atomically
from cxrscribe_train.fitting.checkpoint import EpochRecord, TrainingState
from cxrscribe_train.fitting.config import TrainingConfig, read_written
from cxrscribe_train.fitting.consensus import ConsensusTargets
from cxrscribe_train.fitting.network import ReportNetwork
from cxrscribe_train.weights import build_encoder, load_weights, save_weights

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMAT: Final = 1
RUN_FILE: Final = "run.json"
CONFIG_FILE: Final = "config.toml"
VOCABULARY_FILE: Final = "vocabulary.json"
ENCODER_FILE: Final = "encoder.safetensors"
DECODER_FILE: Final = "decoder.safetensors"
STUDIES_FILE: Final = "studies.json"
CHECKPOINT_FOLDER: Final = "checkpoint"


@dataclass(frozen=True)
class TrainingCorpus:
    """What a run was trained on.

    `folder` is where the corpus was, `drawn` whether its films are drawings. The numbers are images that the
    run was trained and validated on, and corpus rows that it left out; `without_features` are images that a
    training on features found none of.
    """

    folder: str
    drawn: bool
    train: int
    val: int
    without_image: int
    without_findings: int
    damaged: int
    without_features: int = 0

    @classmethod
    def from_json(cls, fields: JsonObject) -> TrainingCorpus:
        """Read the fields of `run.json`. Raises the document's error, which names the one that is wrong."""
        has_features = (
            "without_features" in fields.names()
        )  # runs of before it was counted have no such field
        return fields.make(
            cls,
            folder=fields.text("folder"),
            drawn=fields.boolean("drawn"),
            train=fields.integer("train"),
            val=fields.integer("val"),
            without_image=fields.integer("without_image"),
            without_findings=fields.integer("without_findings"),
            damaged=fields.integer("damaged"),
            without_features=fields.integer("without_features") if has_features else 0,
        )


@dataclass(frozen=True)
class Run:
    """A trained model, before its export.

    `weights` says where the backbone's weights began (`random:7`, `imagenet`, `file:<sha256>` or, taken of
    another run, `run:<sha256>`), and `weights_sha256` is that of `encoder.safetensors`. `best` is the epoch
    whose weights these are.
    """

    path: Path
    architecture: Architecture
    preprocessing: Preprocessing
    vocabulary: Vocabulary
    settings: BeamSettings
    config: TrainingConfig
    weights: str
    weights_sha256: str
    best: EpochRecord
    corpus: TrainingCorpus
    targets: ConsensusTargets | None = None
    """What was taught in place of the films' own reports, if anything was."""

    @classmethod
    def open(cls, path: Path) -> Run:
        """Read a run folder.

        Raises:
            InputError: it is no run folder, no epoch is finished, or a file in it is damaged.
        """
        path = Path(path)
        if not (path / RUN_FILE).is_file():
            raise InputError(
                f"{path} holds no {RUN_FILE}; "
                "give the --out folder of a `cxrscribe train` that finished an epoch"
            )
        record = read_json_object(path / RUN_FILE, place=str(path / RUN_FILE))
        if record.value("format") != FORMAT:
            raise InputError(
                f"{path / RUN_FILE} has format {record.value('format')!r}, this version reads {FORMAT}; "
                "use the version that wrote it"
            )
        try:
            record.skip("version", "seed", "cleaning", "settings_chosen")
            replaced = "targets" in record.names()
            return record.make(
                cls,
                path=path,
                architecture=Architecture.from_json(record.object("architecture")),
                preprocessing=Preprocessing.from_json(record.object("preprocessing")),
                vocabulary=Vocabulary.from_json((path / VOCABULARY_FILE).read_text(encoding="utf-8")),
                settings=BeamSettings.from_json(record.object("settings")),
                config=read_config(path),
                weights=record.text("weights"),
                weights_sha256=record.text("weights_sha256"),
                best=EpochRecord.from_json(record.object("best")),
                corpus=TrainingCorpus.from_json(record.object("corpus")),
                targets=ConsensusTargets.from_json(record.object("targets")) if replaced else None,
            )
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is damaged ({type(error).__name__}: {error}); train again") from error
        except CxrscribeError as error:
            raise InputError(f"{path} is damaged: {error}") from error

    def training_studies(self) -> frozenset[str]:
        """Ids of the studies that the run was trained on. Raises InputError when their list is damaged."""
        path = self.path / STUDIES_FILE
        try:
            return frozenset(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{path} can't be read ({error}); restore it or train again") from error

    def encoder(self) -> FilmEncoder:
        """The encoder with its weights, in eval mode. Raises InputError when the file isn't the run's."""
        file = self.path / ENCODER_FILE
        if sha256_of(file) != self.weights_sha256:
            raise InputError(f"{file} is not the encoder that this run recorded; restore it or train again")
        encoder = build_encoder(
            self.architecture.backbone, self.architecture.backbone_options, self.preprocessing
        )
        load_weights(encoder.backbone, file)
        encoder.eval()
        return encoder

    def decoder(self) -> ReportDecoder:
        """The decoder of the best epoch, in eval mode."""
        decoder = ReportDecoder(self.architecture)
        load_weights(decoder, self.path / DECODER_FILE)
        decoder.eval()
        return decoder

    def patient_text(self) -> PatientText | None:
        """How the model reads what is known of a patient; None for one that sees the film alone.

        Raises InputError when the file isn't of this model.
        """
        size = self.architecture.patient_size
        if not size:
            return None
        text = PatientText.read(self.path / PATIENT_TEXT, error=InputError)
        if text.size != size:
            raise InputError(f"{self.path / PATIENT_TEXT} is not of this run; restore it or train again")
        return text


def keep_settings(run: Path, settings: BeamSettings, chosen: Mapping[str, object]) -> None:
    """Make `settings` the run's defaults, which evaluation and export take until it is trained further.

    `chosen` says how they were chosen, for the record. Raises InputError when `run` is no run, or can't be
    written to.
    """
    Run.open(run)
    record = json.loads((run / RUN_FILE).read_text(encoding="utf-8"))
    record |= {"settings": settings.to_json(), "settings_chosen": dict(chosen)}
    write_atomically(run / RUN_FILE, json.dumps(record, indent=2).encode() + b"\n")


def read_config(run: Path) -> TrainingConfig:
    """The config that a run was begun with. Raises InputError when there is none or it is wrong."""
    return read_written(run / CONFIG_FILE)


@dataclass(frozen=True)
class RunWriter:
    """Writes a run folder while a training goes on."""

    path: Path
    architecture: Architecture
    preprocessing: Preprocessing
    vocabulary: Vocabulary
    settings: BeamSettings
    config: TrainingConfig
    weights: str
    corpus: TrainingCorpus
    studies: tuple[str, ...]
    targets: ConsensusTargets | None = None
    """What is taught in place of the films' own reports, if anything is."""

    @property
    def checkpoint(self) -> Path:
        """The folder that a resumed training reads."""
        return self.path / CHECKPOINT_FOLDER

    def begin(self, encoder_file: Path | None) -> None:
        """Write what is known before the first epoch; `encoder_file` is what made the features, if any."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / CONFIG_FILE, self.config.to_toml().encode())
        write_atomically(self.path / VOCABULARY_FILE, self.vocabulary.to_json().encode())
        write_atomically(self.path / STUDIES_FILE, json.dumps(self.studies, indent=0).encode() + b"\n")
        if encoder_file is not None:
            write_atomically(self.path / ENCODER_FILE, encoder_file.read_bytes())

    def keep_best(self, network: ReportNetwork, best: EpochRecord) -> None:
        """Write the weights of the best epoch so far, and the record that makes this folder a Run."""
        save_weights(network.decoder, self.path / DECODER_FILE)
        if network.encoder is not None:
            save_weights(network.encoder.backbone, self.path / ENCODER_FILE)
        record = {
            "format": FORMAT,
            "version": __version__,
            "architecture": self.architecture.to_json(),
            "preprocessing": self.preprocessing.to_json(),
            "settings": self.settings.to_json(),
            "weights": self.weights,
            "weights_sha256": sha256_of(self.path / ENCODER_FILE),
            "seed": self.config.fit.seed,
            "cleaning": {
                name: value for name, value in asdict(self.config.text).items() if name != "targets"
            },
            **({} if self.targets is None else {"targets": self.targets.to_json()}),
            "best": best.to_json(),
            "corpus": asdict(self.corpus),
        }
        write_atomically(self.path / RUN_FILE, json.dumps(record, indent=2).encode() + b"\n")

    def log(self, state: TrainingState) -> None:
        """Write the log of all epochs so far."""
        lines = [json.dumps(record.to_json()) + "\n" for record in state.history]
        write_atomically(self.path / "log.jsonl", "".join(lines).encode())

    def draw(self, state: TrainingState) -> None:
        """Draw the curves of all epochs so far. Done once, as a drawing takes a third of a second."""
        if state.best is not None:
            before = None if state.self_critical is None else state.self_critical.val_reward
            draw_curves(state.history, state.best, self.path / "curves.png", before)


def draw_curves(
    history: Sequence[EpochRecord], best: EpochRecord, path: Path, reward_before: float | None = None
) -> None:
    """Write a PNG with training and validation loss and the learning rate over the epochs.

    Beside them the rewards, where there are self-critical epochs; `reward_before` is that of what they began
    from.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    rewarded = [record for record in history if record.val_reward is not None]
    figure = Figure(figsize=(12 if rewarded else 8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    losses = figure.add_subplot(1, 2 if rewarded else 1, 1)
    epochs = [record.epoch + 1 for record in history]
    losses.plot(epochs, [record.train_loss for record in history], marker=".", label="training")
    losses.plot(epochs, [record.val_loss for record in history], marker=".", label="validation")
    losses.axvline(best.epoch + 1, color="grey", linestyle=":", label=f"best: {best.val_loss:.3f}")
    losses.set(xlabel="epoch", ylabel="cross-entropy a token (nat)")
    losses.xaxis.set_major_locator(MaxNLocator(integer=True))
    losses.legend()
    rates = losses.twinx()
    rates.plot(epochs, [record.learning_rate for record in history], color="grey", alpha=0.4)
    rates.set_ylabel("learning rate (grey)")
    if rewarded:
        _draw_rewards(figure.add_subplot(1, 2, 2), rewarded, best, reward_before)
    figure.savefig(path, dpi=100)


def _draw_rewards(
    rewards: Axes, rewarded: Sequence[EpochRecord], best: EpochRecord, before: float | None
) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = [record.epoch + 1 for record in rewarded]
    sampled, greedy = (
        [getattr(record, name) for record in rewarded] for name in ("train_reward", "val_reward")
    )
    rewards.plot(epochs, sampled, marker=".", label="training, sampled")
    rewards.plot(epochs, greedy, marker=".", label="validation, greedy")
    if before is not None:
        rewards.axhline(before, color="grey", linestyle="--", label=f"validation before: {before:.3f}")
    if best.val_reward is not None:
        rewards.axvline(best.epoch + 1, color="grey", linestyle=":", label=f"best: {best.val_reward:.3f}")
    rewards.set(xlabel="self-critical epoch", ylabel="reward a report")
    rewards.xaxis.set_major_locator(MaxNLocator(integer=True))
    rewards.legend()

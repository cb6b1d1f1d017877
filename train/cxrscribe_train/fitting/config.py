"""All choices of one training, as a frozen value and as a TOML file."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cxrscribe.cleaning import CLEANING
from cxrscribe.errors import InputError
from cxrscribe.films.rules import PngRange
from cxrscribe_train.fitting.augmentation import Augmentation
from cxrscribe_train.fitting.context_config import ContextConfig
from cxrscribe_train.fitting.self_critical_config import SelfCriticalConfig

OptionValue = int | float | str


class Views(StrEnum):
    """What an example of a training is."""

    ONE = "one"
    """One film with its study's report."""
    ALL = "all"
    """One study: in training random ones of its films, in validation all of them."""


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


def _require(holds: bool, section: str, name: str, value: object, remedy: str) -> None:
    if not holds:
        raise InputError(f"training config: {section}.{name} is {value!r}; {remedy}")


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of encoder and decoder."""

    backbone: str = _option("resnet101", "The network of paddle.vision that encodes films.")
    backbone_options: Mapping[str, OptionValue] = field(default_factory=dict)
    size: int = _option(224, "Height and width of the film that the backbone sees, in pixels.")
    png_range: str = _option(
        PngRange.USED.value,
        "Black and white of 16-bit grey PNG: full (0 to 65535) or used (the film's least and largest value).",
    )
    embedding_size: int = _option(256, "Length of a word vector.")
    hidden_size: int = _option(512, "Units of each LSTM layer.")
    layers: int = _option(2, "Number of LSTM layers.")
    dropout: float = _option(0.3, "Share of decoder units left out in training.")

    def __post_init__(self) -> None:
        _require(16 <= self.size <= 4096, "network", "size", self.size, "give 16 to 4096 pixels")
        given = self.png_range
        _require(given in tuple(PngRange), "network", "png_range", given, f"give {' or '.join(PngRange)}")
        for name in ("embedding_size", "hidden_size", "layers"):
            value = getattr(self, name)
            _require(value >= 1, "network", name, value, "give at least 1")
        _require(0 <= self.dropout < 1, "network", "dropout", self.dropout, "give 0 to less than 1")


class Targets(StrEnum):
    """What a training teaches to write of each film."""

    OWN = "own"
    """The report of the film's study."""
    CONSENSUS = "consensus"
    """Of the training reports with the same findings the one that agrees best with the others."""


@dataclass(frozen=True)
class TextConfig:
    """What becomes of a report's words."""

    min_count: int = _option(2, "Words seen less often in the training split become <unk>.")
    max_tokens: int = _option(100, "Longer reports are cut to this many words; a cut report has no <end>.")
    cleaning: int = _option(
        CLEANING, "Rules that make words of a text: 2, or 1, the older ones without commas and accents."
    )
    targets: str = _option(
        Targets.OWN.value,
        "What a film teaches: own (its report) or consensus (one for all reports with the same findings).",
    )

    def __post_init__(self) -> None:
        _require(self.min_count >= 1, "text", "min_count", self.min_count, "give at least 1")
        _require(self.max_tokens >= 1, "text", "max_tokens", self.max_tokens, "give at least 1")
        _require(self.cleaning in (1, CLEANING), "text", "cleaning", self.cleaning, f"give 1 or {CLEANING}")
        given = self.targets
        _require(given in tuple(Targets), "text", "targets", given, f"give {' or '.join(Targets)}")


@dataclass(frozen=True)
class FitConfig:
    """How the weights are found."""

    weights: str = _option(
        "random", "Where an end-to-end run's backbone starts: FILE, imagenet or random (from the seed)."
    )
    init: str = _option("", "Run folder that the training begins from: what fits is taken, by name.")
    backbone_rate: float = _option(
        1.0, "End to end: learning rate of the backbone's last layer, as a share of learning_rate."
    )
    layer_decay: float = _option(
        1.0, "End to end: learning rate of each layer of the backbone, as a share of the layer's above it."
    )
    frozen: str = _option(
        "", "End to end: parts of the backbone that don't learn, such as conv1,bn1,layer1; or all."
    )
    epochs: int = _option(30, "Passes over the training split, at most.")
    batch_size: int = _option(32, "Films a step, over all processes.")
    learning_rate: float = _option(1e-3, "Learning rate after the warm-up.")
    final_learning_rate: float = _option(1e-5, "Learning rate at the last step, reached along a cosine.")
    warmup_steps: int = _option(100, "Steps in which the learning rate rises from 0.")
    weight_decay: float = _option(1e-4, "AdamW's weight decay, on matrices and kernels only.")
    label_smoothing: float = _option(0.0, "Share of each target's probability spread over all words.")
    memory_loss: float = _option(
        0.3, "Weight of telling the positive findings from the decoder's state after every word."
    )
    finding_loss: float = _option(
        4.0, "End to end: weight of telling the report's positive findings from the features alone."
    )
    word_loss: float = _option(
        1.0, "End to end: weight of telling the report's words from the features alone."
    )
    finding_weight: float = _option(
        1.0, "In the last epochs: how many times a word of a sentence that states a finding counts."
    )
    finding_weight_epochs: int = _option(0, "How many epochs, the last ones, finding_weight holds in.")
    clip_norm: float = _option(5.0, "Largest global norm of the gradients.")
    patience: int = _option(5, "Stop after this many epochs without a better validation loss; 0: never.")
    calibration_films: int = _option(
        512, "Training films that set the batch-norm statistics before each validation; 0: running averages."
    )
    views: str = _option(
        "one", "What an example is: one, a film; or all, a study of which films are drawn (on features)."
    )
    seed: int = _option(0, "Seed of weights, order, dropout, augmentation and views.")
    processes: int = _option(1, "Processes that share each batch (CPU).")

    def __post_init__(self) -> None:
        for name in ("batch_size", "processes"):
            _require(getattr(self, name) >= 1, "fit", name, getattr(self, name), "give at least 1")
        for name in ("learning_rate", "clip_norm", "finding_weight", "backbone_rate", "layer_decay"):
            _require(getattr(self, name) > 0, "fit", name, getattr(self, name), "give a number above 0")
        for name in (
            "final_learning_rate",
            "memory_loss",
            "epochs",
            "finding_weight_epochs",
            "finding_loss",
            "word_loss",
            "warmup_steps",
            "weight_decay",
            "patience",
            "calibration_films",
            "seed",
        ):
            _require(getattr(self, name) >= 0, "fit", name, getattr(self, name), "give 0 or more")
        _require(self.views in tuple(Views), "fit", "views", self.views, f"give {' or '.join(Views)}")
        _require(
            0 <= self.label_smoothing < 1,
            "fit",
            "label_smoothing",
            self.label_smoothing,
            "give 0 to less than 1",
        )
        _require(self.layer_decay <= 1, "fit", "layer_decay", self.layer_decay, "give a number up to 1")
        trained = self.weights != "random" or self.init
        remedy = "but the backbone's weights begin at random: give weights or init, or let them learn"
        _require(bool(trained or not self.frozen), "fit", "frozen", self.frozen, remedy)
        _require(
            (self.finding_weight == 1.0) == (self.finding_weight_epochs == 0),
            "fit",
            "finding_weight_epochs",
            self.finding_weight_epochs,
            f"finding_weight is {self.finding_weight}: give both, such as 3 and 10, or neither",
        )
        _require(
            # Without epochs of its own a training begins where all that of another run is over.
            self.finding_weight_epochs <= self.epochs or self.epochs == 0,
            "fit",
            "finding_weight_epochs",
            self.finding_weight_epochs,
            f"give no more than epochs, {self.epochs}",
        )
        _require(
            self.batch_size % self.processes == 0,
            "fit",
            "batch_size",
            self.batch_size,
            f"give a multiple of processes, which is {self.processes}",
        )


# What a config file that doesn't speak of a setting was written with, where that isn't today's default:
# settings that came later. Files of runs with these values don't name them, so that older checkpoints still
# fit.
_BEFORE_IT_CAME: Final = {
    ("text", "cleaning"): 1,
    ("text", "targets"): Targets.OWN.value,
    ("fit", "finding_weight"): 1.0,
    ("fit", "finding_weight_epochs"): 0,
    ("context", "context"): "none",
    ("context", "patient_size"): 48,
    ("context", "context_size"): 128,
    ("context", "text_dropout"): 0.2,
    ("fit", "init"): "",
    ("fit", "backbone_rate"): 1.0,
    ("fit", "layer_decay"): 1.0,
    ("fit", "frozen"): "",
    ("fit", "views"): "one",
    **{
        ("self_critical", setting.name): setting.default for setting in dataclasses.fields(SelfCriticalConfig)
    },
}

# What only an end-to-end training asks for, with its defaults.
_END_TO_END_ONLY: Final = {
    (section, setting.name): setting.default
    for section, kind, names in (
        (
            "fit",
            FitConfig,
            {
                "weights",
                "backbone_rate",
                "layer_decay",
                "frozen",
                "finding_loss",
                "word_loss",
                "calibration_films",
            },
        ),
        ("augmentation", Augmentation, {setting.name for setting in dataclasses.fields(Augmentation)}),
    )
    for setting in dataclasses.fields(kind)
    if setting.name in names
}


@dataclass(frozen=True)
class TrainingConfig:
    """One training, with everything that a second run needs to come out the same.

    Raises InputError when a training on features is given a setting of end-to-end trainings.
    """

    end_to_end: bool = False
    network: NetworkConfig = field(default_factory=NetworkConfig)
    text: TextConfig = field(default_factory=TextConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    context: ContextConfig = field(default_factory=ContextConfig)
    self_critical: SelfCriticalConfig = field(default_factory=SelfCriticalConfig)

    def __post_init__(self) -> None:
        alone = bool(self.self_critical.is_on and self.fit.init)
        remedy = "give at least 1; or 0 with init and self_critical_epochs, to go on with a run's weights"
        _require(self.fit.epochs >= 1 or alone, "fit", "epochs", self.fit.epochs, remedy)
        if self.end_to_end:
            remedy = "tags are told from features: train on features, or with --context patient"
            _require(not self.context.has_tags, "context", "context", self.context.context, remedy)
            remedy = "the films of a study are pooled by their features: train on features, or on one view"
            _require(self.fit.views == Views.ONE, "fit", "views", self.fit.views, remedy)
            return
        for (section, name), default in _END_TO_END_ONLY.items():
            value = getattr(getattr(self, section), name)
            remedy = "that changes nothing in a training on features: leave it out, or train --end-to-end"
            _require(value == default, section, name, value, remedy)

    @property
    def all_epochs(self) -> int:
        """Passes over the training split, at most: those of cross-entropy and the self-critical ones."""
        return self.fit.epochs + self.self_critical.self_critical_epochs

    @classmethod
    def sections(cls) -> dict[str, type]:
        """The TOML tables and the dataclass that each one fills."""
        return {
            name: kind
            for name, kind in typing.get_type_hints(cls).items()
            if isinstance(kind, type) and dataclasses.is_dataclass(kind)
        }

    def to_toml(self) -> str:
        """The text of a run's config file, from which `read_written` makes this config again.

        Settings that the training doesn't use are left out.
        """
        import tomli_w

        document: dict[str, Any] = {"end_to_end": self.end_to_end}
        for section in self.sections():
            table = {
                f.name: getattr(getattr(self, section), f.name)
                for f in dataclasses.fields(getattr(self, section))
                if self.end_to_end or (section, f.name) not in _END_TO_END_ONLY
                if getattr(getattr(self, section), f.name) != _BEFORE_IT_CAME.get((section, f.name))
            }
            document[section] = {
                name: dict(value) if isinstance(value, Mapping) else value for name, value in table.items()
            }
        return tomli_w.dumps({name: table for name, table in document.items() if table != {}})


def read_written(path: Path) -> TrainingConfig:
    """The config that `to_toml` wrote, in this version or an earlier one. Raises InputError as those do."""
    end_to_end, overrides = read_overrides(path)
    before = [Override(section, name, value) for (section, name), value in _BEFORE_IT_CAME.items()]
    return build_config([*before, *overrides], end_to_end=bool(end_to_end))


@dataclass(frozen=True)
class Override:
    """One setting that a config file or the command line gives: `section.name = value`."""

    section: str
    name: str
    value: Any

    def __str__(self) -> str:
        return f"{self.section}.{self.name} = {self.value!r}"


def options() -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """Every setting that has a plain value, as (section, field); names are unique over all sections."""
    for section, kind in TrainingConfig.sections().items():
        for setting in dataclasses.fields(kind):
            if "help" in setting.metadata:
                yield section, setting


def read_overrides(path: Path) -> tuple[bool | None, list[Override]]:
    """Read a TOML file.

    Returns:
        `end_to_end`, or None where the file doesn't say, and every setting that it gives.

    Raises:
        InputError: the file is missing or no TOML, or it holds a key that doesn't exist.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no config file at {path}; give a TOML file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} can't be read as TOML: {error}; correct that place") from None
    end_to_end = document.pop("end_to_end", None)
    if end_to_end is not None and not isinstance(end_to_end, bool):
        raise InputError(f"{path}: end_to_end is {end_to_end!r}; write true or false")
    overrides = []
    for section, table in document.items():
        if section not in TrainingConfig.sections() or not isinstance(table, dict):
            known = ", ".join(["end_to_end", *(f"[{name}]" for name in TrainingConfig.sections())])
            raise InputError(f"{path}: {section!r} is unknown; a config holds {known}")
        overrides += [Override(section, name, value) for name, value in table.items()]
    return end_to_end, overrides


def build_config(overrides: list[Override], *, end_to_end: bool) -> TrainingConfig:
    """The defaults, changed by `overrides`; of two for one setting the later wins.

    Raises:
        InputError: a setting doesn't exist, has another type, or is out of range.
    """
    changes: dict[str, dict[str, Any]] = {section: {} for section in TrainingConfig.sections()}
    for override in overrides:
        changes[override.section][override.name] = _checked(override)
    parts = {section: kind(**changes[section]) for section, kind in TrainingConfig.sections().items()}
    return TrainingConfig(end_to_end=end_to_end, **parts)


def _checked(override: Override) -> Any:
    kind = TrainingConfig.sections()[override.section]
    known = {setting.name: setting for setting in dataclasses.fields(kind)}
    if override.name not in known:
        raise InputError(
            f"training config: [{override.section}] has no setting {override.name!r}; "
            f"it has {', '.join(sorted(known))}"
        )
    if override.name == "backbone_options":
        if not isinstance(override.value, Mapping):
            raise InputError(f"training config: {override}; write a table such as {{scale = 0.25}}")
        return dict(override.value)
    wanted = type(known[override.name].default)
    if wanted is float and type(override.value) is int:
        return float(override.value)
    if type(override.value) is not wanted:
        raise InputError(f"training config: {override} is no {wanted.__name__}; give one")
    return override.value

"""What a bundle says of itself, beside its graphs: whence its weights are, how good its reports are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxrscribe.bundle.evidence import Evaluation, Provenance
from cxrscribe.bundle.files import sha256_of
from cxrscribe.errors import InputError
from cxrscribe.json_object import JsonObject, read_json_object
from cxrscribe.printable import unprintable
from cxrscribe.settings import BeamSettings
from cxrscribe_train.fitting.config import Views
from cxrscribe_train.run import DECODER_FILE, ENCODER_FILE, Run

LICENCE_NOT_STATED: Final = "not stated: ask whoever trained the model before you pass it on"


_BY_STUDY: Final = " Trained on several views: an example was a study, of which random films were pooled."
_MODEL: Final = "model"
# What the run's weight files are called in the record of the model that was evaluated.
_WEIGHTS: Final = {ENCODER_FILE: "encoder_sha256", DECODER_FILE: "decoder_sha256"}
_BASELINES: Final = ("constant", "most_frequent", "shuffled")
_ABLATIONS: Final = ("without_film", "without_text")
# A baseline is there to compare with. Its figures for each single finding stay in the file.
_COMPARED: Final = (
    "bleu_1",
    "bleu_2",
    "bleu_3",
    "bleu_4",
    "rouge_l",
    "cider",
    "meteor",
    "label_precision_micro",
    "label_recall_micro",
    "label_f1_micro",
    "label_f1_macro",
    "place_f1_micro",
    "severity_f1_micro",
    "distinct_share",
)


@dataclass(frozen=True)
class Label:
    """What the bundle says of itself, beside what follows from the model."""

    settings: BeamSettings
    """Default settings, of beam search; parity is tried with them."""
    provenance: Provenance
    evaluation: Evaluation | None
    licence: str
    disclaimer: str

    def __post_init__(self) -> None:
        """Raise InputError for what no manifest may hold: before an export has taken an hour."""
        if self.settings.draws:
            raise InputError(
                f"decoding is {self.settings.decoding!r}, but a bundle's defaults are those of beam search, "
                "by which its parity is proven; export with decoding 'beam', and ask for samples where "
                "reports are written"
            )
        for name, text in (("licence", self.licence), ("disclaimer", self.disclaimer)):
            found = unprintable(text, "\n")
            if found is not None:
                raise InputError(f"--{name} has the control character {found} in it; remove it")


def provenance_of(run: Run) -> Provenance:
    """What the run knows of its weights, in words, and their checksums."""
    architecture, corpus = run.architecture, run.corpus
    options = ", ".join(f"{name} {value}" for name, value in architecture.backbone_options.items())
    films = "drawings of chest films (phantoms)" if corpus.drawn else "chest films"
    rewarded = (
        "" if run.best.val_reward is None else f", self-critical, with a reward of {run.best.val_reward:.4f}"
    )
    description = (
        f"Trained by `cxrscribe train` on {corpus.train} {films}, validated on {corpus.val}; epoch "
        f"{run.best.epoch + 1}{rewarded} with a validation loss of {run.best.val_loss:.4f} a token. Backbone "
        f"{architecture.backbone}{f' ({options})' if options else ''}, "
        f"{'trained too' if run.config.end_to_end else 'not trained'}, its weights from {run.weights}. "
        f"Seed {run.config.fit.seed}."
        f"{_BY_STUDY if run.config.fit.views == Views.ALL else ''}"
        # The last one: so it is found again in a bundle.
        f"{'' if run.targets is None else f' {run.targets}'}"
    )
    return Provenance(
        description, {name: sha256_of(run.path / name) for name in (ENCODER_FILE, DECODER_FILE)}
    )


def read_evaluation(path: Path, weights: Mapping[str, str]) -> Evaluation:
    """Read the figures of this model and of the baselines beside it.

    The model's figures keep their names, a baseline's overall ones become `<baseline>.<name>`. Intervals
    stay in the file.

    Args:
        path: the JSON file.
        weights: sha256 of the run's weight files, by name.

    Raises:
        InputError: the file is missing, isn't an evaluation, or is one of another model.
    """
    try:
        record = read_json_object(path)
        evaluated = record.object("evaluated")
        sums = {name: str(evaluated.value(field)) for name, field in _WEIGHTS.items()}
        figures = _figures(record.object(_MODEL))
        ablations = [name for name in _ABLATIONS if name in record.names()]  # files of before have none
        for baseline in (*_BASELINES, *ablations):
            found = _figures(record.object(baseline))
            figures |= {f"{baseline}.{name}": found[name] for name in _COMPARED if name in found}
        by_study = "by" in record.names() and record.text("by") == "study"
        evaluation = Evaluation(
            corpus=record.text("corpus"),
            split=record.text("split"),
            reports=record.object("counts").integer("studies" if by_study else "films"),
            figures=figures,
        )
    except InputError as error:
        raise InputError(
            f"--evaluation: {error}. Make it with `cxrscribe evaluate RUN --out FOLDER`"
        ) from None
    _check_model(sums, weights, path)
    return evaluation


def _check_model(found: Mapping[str, str], weights: Mapping[str, str], path: Path) -> None:
    """Run or bundle, a model is known by the two weight files that it was made from."""
    for name, digest in found.items():
        if digest != weights[name]:
            raise InputError(
                f"--evaluation: {path} holds the figures of another model ({name} has sha256 "
                f"{digest[:12]}, this run's {weights[name][:12]}): evaluate this run"
            )


def _figures(column: JsonObject) -> dict[str, float]:
    """The figures of one column; one that isn't defined, for want of films, is left out."""
    names = [name for name in column.names() if not name.endswith("_interval") and not column.is_null(name)]
    return {name: column.number(name) for name in names}

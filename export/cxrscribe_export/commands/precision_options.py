"""Options that say which lower precisions a bundle gets, and what they may lose."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from cxrscribe.bundle.precision_cost import LossLimits
from cxrscribe.bundle.precision_pair import BF16
from cxrscribe.cli.options import Command
from cxrscribe.errors import InputError

if TYPE_CHECKING:
    from cxrscribe.bundle.manifest import Manifest
    from cxrscribe.films.preprocess import Preprocessing
    from cxrscribe_export.precision.precisions import PrecisionOrder
    from cxrscribe_train.corpus.table import Corpus

NAMES: Final = ("int8", "fp16", "bf16")
_LIMITS: Final = LossLimits()


@dataclass(frozen=True)
class PrecisionChoice:
    """The lower precisions asked for on the command line."""

    names: tuple[str, ...]
    calibration_films: int
    trial_films: int
    max_bleu_loss: float
    max_f1_loss: float
    accept_loss: bool

    def check(self) -> None:
        """Find out before any work that a limit is out of range (InputError), or bf16 can't be measured here
        (DeviceError).
        """
        self.limits()
        if BF16 in self.names:
            from cxrscribe_export.precision.combinations import check_bf16

            check_bf16()

    def limits(self) -> LossLimits:
        """What they may lose. Raises InputError when a limit is out of range."""
        for value, option in (
            (self.max_bleu_loss, "--max-bleu-loss"),
            (self.max_f1_loss, "--max-f1-loss"),
        ):
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{option} is {value}; give a number of 0 or more, or --accept-loss")
        return LossLimits(self.max_bleu_loss, self.max_f1_loss)

    def order(
        self,
        training_corpus: Corpus,
        corpus: Corpus,
        preprocessing: Preprocessing,
        trained_on: Set[str] | None,
    ) -> PrecisionOrder:
        """Read the films that precisions are calibrated and compared on; training films only for int8.

        Args:
            training_corpus: the one that the model was trained on.
            corpus: the one whose test split the reports are compared on.
            preprocessing: the model's.
            trained_on: ids of the studies that the model was trained on; None where they aren't known.

        Raises:
            InputError: a corpus has no such film, or the model was trained on one of the test split.
        """
        from cxrscribe_export.precision.calibration_films import calibration_films
        from cxrscribe_export.precision.kinds import KINDS
        from cxrscribe_export.precision.precisions import PrecisionOrder
        from cxrscribe_export.precision.trial import Trial

        trial = Trial.of(corpus, preprocessing, self.trial_films, trained_on or frozenset())
        films = trial.films[:0]
        indications: tuple[str, ...] = ()
        if any(KINDS[name].is_calibrated for name in self.names if name in KINDS):
            training = calibration_films(training_corpus, preprocessing, self.calibration_films, trained_on)
            films, indications = training.pixels, training.indications
        return PrecisionOrder(self.names, films, trial, self.limits(), indications, self.accept_loss)


def precision_options(command: Command) -> Command:
    """Add the options; the command gets `precision: PrecisionChoice`."""

    @functools.wraps(command)
    def packed(
        *,
        precisions: tuple[str, ...],
        calibration_films: int,
        trial_films: int,
        max_bleu_loss: float,
        max_f1_loss: float,
        accept_loss: bool,
        **others: Any,
    ) -> Any:
        choice = PrecisionChoice(
            precisions, calibration_films, trial_films, max_bleu_loss, max_f1_loss, accept_loss
        )
        return command(precision=choice, **others)

    options = (
        click.option(
            "--precision",
            "precisions",
            type=click.Choice(NAMES),
            multiple=True,
            help="Also write the graphs at this precision, and measure it; may be repeated. fp32 is always "
            "there, and bf16 has no graphs of its own.",
        ),
        click.option(
            "--calibration-films",
            type=click.IntRange(min=1),
            default=64,
            show_default=True,
            help="Training films that int8 is calibrated on.",
        ),
        click.option(
            "--trial-films",
            type=click.IntRange(min=1),
            default=500,
            show_default=True,
            help="Films of the test split, at most, whose reports are compared with those of fp32.",
        ),
        click.option(
            "--max-bleu-loss",
            type=float,
            default=_LIMITS.bleu_4,
            show_default=True,
            help="Largest loss of BLEU-4 that a precision may have.",
        ),
        click.option(
            "--max-f1-loss",
            type=float,
            default=_LIMITS.label_f1,
            show_default=True,
            help="Largest loss of label F1 that a precision may have.",
        ),
        click.option(
            "--accept-loss", is_flag=True, help="Write a precision however much it loses; it is recorded."
        ),
    )
    for option in reversed(options):
        packed = option(packed)
    return packed


def precision_lines(manifest: Manifest) -> Iterator[str]:
    """What each precision costs and gains on each engine, a line each."""
    for precision in manifest.precisions:
        fp32, own, speedups = precision.fp32, precision.own, precision.speedups
        size = sum(entry.bytes for entry in manifest.files if entry.precision == precision.name)
        line = (
            f"{precision.name} for {', '.join(precision.devices)}: "
            + (f"{size / 1e6:.1f} MB, " if size else "")
            + f"{precision.identical_share:.1%} of {precision.reports} reports identical, "
            f"BLEU-4 {own.bleu_4:.4f} (fp32 {fp32.bleu_4:.4f})"
        )
        if own.label_f1_micro is not None and fp32.label_f1_micro is not None:
            line += f", label F1 {own.label_f1_micro:.4f} (fp32 {fp32.label_f1_micro:.4f})"
        if speedups is not None:
            line += f", encoder {speedups.encoder:.2f} x, step {speedups.step:.2f} x"
        yield line + ("" if precision.within() else "; beyond the limits")

"""What a precision of a bundle costs in reports and gains in time, against the same bundle's fp32."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx

import cxrscribe
from cxrscribe.bundle.contract import BEAM_STEP, ENCODER
from cxrscribe.bundle.evidence import Precision, Speedups
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.errors import CxrscribeError, InputError
from cxrscribe.sessions.device import processor_name, usable_threads
from cxrscribe_export.graphs.runner import Array
from cxrscribe_export.precision.kinds import Films, PrecisionKind
from cxrscribe_export.precision.speed import speedup, step_inputs
from cxrscribe_export.precision.trial import Trial
from cxrscribe_train.evaluation.metrics.bleu import Words

ENCODER_FILMS: Final = 8
"""Films in the batch that the encoder is timed on."""
ENCODER_ROUNDS: Final = 9
STEP_IMAGES: Final = 32
STEP_PLACES: Final = 5
"""Images and hypotheses of each that the step is timed on."""
STEP_ROUNDS: Final = 60


class LossError(CxrscribeError, RuntimeError):
    """The reports of a lower precision are worse than allowed; no bundle was written."""


@dataclass(frozen=True)
class LossLimits:
    """What a precision may lose. Raises InputError when a limit is negative or not a number."""

    bleu_4: float = 0.005
    label_f1: float = 0.01

    def __post_init__(self) -> None:
        for name, option in (("bleu_4", "--max-bleu-loss"), ("label_f1", "--max-f1-loss")):
            value = getattr(self, name)
            if math.isnan(value) or value < 0:
                raise InputError(f"{option} is {value}; give 0 or more")

    def check(self, precision: Precision) -> None:
        """Raise LossError, with the figures, when `precision` loses more."""
        beyond = list(self._beyond(precision))
        if beyond:
            raise LossError(
                f"{precision.name} loses more than allowed on {precision.reports} films of "
                f"{precision.split}: {'; '.join(beyond)}; {precision.identical_share:.1%} of the reports are "
                "identical. No bundle was written. Calibrate with more films (--calibration-films), leave "
                "the precision out, or take it as it is with --accept-loss"
            )

    def _beyond(self, precision: Precision) -> Iterator[str]:
        fp32, own = precision.fp32, precision.own
        for name, before, after, allowed in (
            ("BLEU-4", fp32.bleu_4, own.bleu_4, self.bleu_4),
            ("label F1", fp32.label_f1_micro, own.label_f1_micro, self.label_f1),
        ):
            if before is not None and after is not None and not before - after <= allowed:
                yield f"{name} {after:.4f}, fp32 {before:.4f}, loss {before - after:.4f}, allowed {allowed:g}"


def measure_cost(
    bundle: Path,
    manifest: Manifest,
    kind: PrecisionKind,
    calibration_films: int,
    trial: Trial,
    expected: Sequence[Words],
) -> Precision:
    """Report on the trial's films at this precision, and time it and fp32 if it is for the CPU.

    Args:
        bundle: a bundle's folder, with the graphs of both.
        manifest: what is in it.
        kind: the precision.
        calibration_films: how many films it was calibrated on.
        trial: the films to report on.
        expected: the reports of fp32 on them.
    """
    found = words_of_reports(bundle, kind.name, trial)
    return Precision(
        name=kind.name,
        devices=kind.devices,
        calibration=kind.calibration(calibration_films),
        calibration_films=calibration_films if kind.is_calibrated else 0,
        split=trial.split,
        reports=len(found),
        identical=sum(mine == theirs for mine, theirs in zip(expected, found, strict=True)),
        fp32=trial.figures(expected),
        own=trial.figures(found),
        speedups=_speedups(bundle, manifest, kind, trial.films) if "cpu" in kind.devices else None,
    )


def words_of_reports(bundle: Path, precision: str, trial: Trial) -> list[Words]:
    """The words of each film's report, by the runtime that users run."""
    with cxrscribe.load(bundle, device="cpu", precision=precision, cache=False) as reporter:
        features = reporter.encode(list(trial.films))
        told = trial.indications if reporter.reads_indications else None
        reports = reporter.decode_features(features, indications=told)
        return [tuple(reporter.vocabulary.decode(report.tokens)) for report in reports]


def _speedups(bundle: Path, manifest: Manifest, kind: PrecisionKind, films: Films) -> Speedups:
    def gain(graph: str, inputs: Sequence[Array], rounds: int) -> float:
        slower, faster = (onnx.load(str(path / graph)) for path in (bundle, bundle / kind.name))
        return speedup(slower, faster, inputs, rounds)

    batch = films.take(range(ENCODER_FILMS), axis=0, mode="wrap")
    inputs = step_inputs(manifest.architecture, STEP_IMAGES, STEP_PLACES)
    encoder, step = gain(ENCODER, [batch], ENCODER_ROUNDS), gain(BEAM_STEP, inputs, STEP_ROUNDS)
    return Speedups(encoder, step, processor_name(), usable_threads())

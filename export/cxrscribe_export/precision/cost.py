"""What a precision of a bundle costs in reports, against the same bundle's fp32 on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

import cxrscribe
from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.precision_cost import LossLimits, Precision
from cxrscribe.bundle.precision_pair import PrecisionPair
from cxrscribe.errors import CxrscribeError
from cxrscribe.reporter import Reporter
from cxrscribe.sessions.device import CPU
from cxrscribe_export.precision.trial import Trial
from cxrscribe_train.evaluation.metrics.bleu import Words

_REFERENCE: Final = PrecisionPair(FP32, FP32)


class LossError(CxrscribeError, RuntimeError):
    """The reports of a lower precision are worse than allowed; no bundle was written."""


@dataclass(frozen=True)
class Calibration:
    """How the scales of a precision's numbers were found."""

    words: str = "none needed"
    films: int = 0
    """Training films that were used for it."""

    @classmethod
    def recorded(cls, pair: PrecisionPair, records: Sequence[Precision]) -> Calibration:
        """Of the graphs that `pair` has beside those of fp32, as a bundle's records say."""
        lower = pair.graphs - {FP32}
        if not lower:
            return cls()
        of_graphs = (record for record in records if record.pair.graphs & lower)
        return next(
            (cls(each.calibration, each.calibration_films) for each in of_graphs), cls("not recorded")
        )


class TrialReports:
    """Reports on a trial's films by the runtime that users run, on any device and at any precisions.

    The films go through an encoder once for each device and precision, whatever decoders follow.
    """

    def __init__(
        self,
        bundle: Path,
        trial: Trial,
        *,
        threads: int | None = None,
        stage: Callable[[str], None] = lambda name: None,
    ) -> None:
        """`bundle`: its folder, which must not change. `stage`: called with the name of what begins."""
        self._bundle = bundle
        self.trial = trial
        self._threads = threads
        self._stage = stage
        self._features: dict[tuple[str, str], NDArray[np.float32]] = {}

    @cached_property
    def expected(self) -> tuple[Words, ...]:
        """The words of each film's report in fp32 on the CPU, which all others are compared with."""
        return self.words(CPU.name, _REFERENCE)

    def words(self, device: str, pair: PrecisionPair) -> tuple[Words, ...]:
        """The words of each film's report.

        Raises DeviceError where the device is not there or can't compute so, BundleError where the bundle
        lacks the graphs.
        """
        with cxrscribe.load(
            self._bundle, device=device, precision=str(pair), threads=self._threads, cache=False
        ) as reporter:
            features = self._encoded(reporter, device, pair.encoder)
            self._stage(f"writing {len(features)} reports with {pair} on {device}")
            told = self.trial.indications if reporter.reads_indications else None
            reports = reporter.decode_features(features, indications=told)
            return tuple(tuple(reporter.vocabulary.decode(report.tokens)) for report in reports)

    def _encoded(self, reporter: Reporter, device: str, encoder: str) -> NDArray[np.float32]:
        """Features [N, F] of the trial's films."""
        if (device, encoder) not in self._features:
            films = self.trial.films
            self._stage(f"encoding {len(films)} films with {encoder} on {device}")
            self._features[device, encoder] = reporter.encode(list(films))
        return self._features[device, encoder]


def cost_of(
    reports: TrialReports,
    device: str,
    pair: PrecisionPair,
    *,
    devices: tuple[str, ...] = (),
    calibration: Calibration,
    limits: LossLimits,
) -> Precision:
    """Report on the trial's films with these precisions on `device`, and compare with fp32 on the CPU.

    `devices`: what it is measured for; none for `device` itself. It isn't timed. Raises what
    `TrialReports.words` does.
    """
    trial, expected = reports.trial, reports.expected
    found = reports.words(device, pair)
    return Precision(
        name=str(pair),
        devices=devices or (device,),
        calibration=calibration.words,
        calibration_films=calibration.films,
        split=trial.split,
        reports=len(found),
        identical=sum(mine == theirs for mine, theirs in zip(expected, found, strict=True)),
        fp32=trial.figures(expected),
        own=trial.figures(found),
        speedups=None,
        limits=limits,
    )


def check_loss(precision: Precision) -> None:
    """Raise LossError, with the figures, when `precision` loses more than its limits allow."""
    beyond = precision.beyond_limits
    if beyond:
        raise LossError(
            f"{precision.name} loses more than allowed on {precision.reports} films of "
            f"{precision.split}: {'; '.join(beyond)}; {precision.identical_share:.1%} of the reports are "
            "identical. No bundle was written. Calibrate with more films (--calibration-films), leave "
            "the precision out, or take it as it is with --accept-loss"
        )

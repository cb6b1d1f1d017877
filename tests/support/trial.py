"""A trial of precisions on random films, in which fp32 is right about every word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from cxrscribe.settings import BeamSettings
from cxrscribe_export.precision.cost import TrialReports
from cxrscribe_export.precision.trial import Trial
from cxrscribe_train.evaluation.metrics.labels import LABELS
from support.small_bundle import SmallBundle

FILMS = 16
SMALL = SmallBundle(
    seed=2,
    features=24,
    embedding=16,
    hidden=32,
    words=24,
    fused=True,
    settings=BeamSettings(beam_width=3, min_length=7, max_length=12),
)


def films(count: int, seed: int) -> np.ndarray:
    """Random pixels for SMALL, uint8 [count, H, W]."""
    shape = (count, SMALL.height, SMALL.width)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def trial_against(bundle: Path) -> Trial:
    """FILMS films with what `bundle`, of SMALL, says of them in fp32."""
    pixels = films(FILMS, seed=1)
    trial = Trial("test", pixels, (), np.zeros((FILMS, len(LABELS.columns)), np.bool_))
    return replace(trial, references=TrialReports(bundle, trial).expected)

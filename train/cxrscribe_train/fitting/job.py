"""All that a process of a training has to know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_train.context.known import Known
from cxrscribe_train.fitting.config import TrainingConfig
from cxrscribe_train.fitting.dataset import ReportTokens
from cxrscribe_train.fitting.reward import Rewards
from cxrscribe_train.fitting.views import StudyViews


@dataclass(frozen=True)
class TrainingJob:
    """What a training is made of: choices, inputs, reports, and where things are kept.

    `train_inputs` and `val_inputs` are `.npy` files, films uint8 [N, H, W] or features float32 [N, F], in
    the order of `train` and `val`. `known` is what a context is told of them. `fingerprint` holds digests of
    what a resumed training must find unchanged, by name.

    `train_views` and `val_views`: where a report is a study's and not a film's, which rows of the inputs are
    that study's. `rewards` is what sampled reports are worth, and `best_decoder` and `best_encoder` are where
    the weights of the best epoch are kept, from which self-critical epochs begin.
    """

    config: TrainingConfig
    architecture: Architecture
    preprocessing: Preprocessing
    train_inputs: Path
    val_inputs: Path
    train: ReportTokens
    val: ReportTokens
    checkpoint: Path
    fingerprint: tuple[tuple[str, str], ...]
    known: Known | None = None
    train_views: StudyViews | None = None
    val_views: StudyViews | None = None
    rewards: Rewards | None = None
    best_decoder: Path | None = None
    best_encoder: Path | None = None

    @property
    def longest(self) -> int:
        """Tokens of the longest training report, after which a sampled one is cut."""
        return int(self.train.lengths.max())

    @property
    def batch_size(self) -> int:
        """Films a step over all processes: the config's, or fewer in a smaller corpus."""
        processes = self.config.fit.processes
        return min(self.config.fit.batch_size, len(self.train.lengths) // processes * processes)

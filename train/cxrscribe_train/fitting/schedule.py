"""The learning rate as a function of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cxrscribe_train.fitting.config import FitConfig


@dataclass(frozen=True)
class WarmUpCosine:
    """A linear rise over `warmup` steps, then a cosine from 1 down to `final` at step `steps`.

    As a share of the highest learning rate. Being a function of the step alone, it needs no state in a
    checkpoint. The cosine is that of Loshchilov and Hutter, SGDR, 2017 (arXiv:1608.03983), without
    restarts.
    """

    steps: int
    warmup: int
    final: float

    @classmethod
    def of(cls, fit: FitConfig, steps: int) -> WarmUpCosine:
        """The schedule of a training of `steps` steps."""
        final = min(fit.final_learning_rate / fit.learning_rate, 1.0)
        return cls(steps, min(fit.warmup_steps, max(0, steps - 1)), final)

    def __call__(self, step: int) -> float:
        """The share at `step`, counted from 0."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        progress = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.final + (1.0 - self.final) * 0.5 * (1.0 + math.cos(math.pi * progress))

"""Choices of a training about the epochs in which reports that it samples are rewarded."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from cxrscribe.errors import InputError

USUAL_EPOCHS = 3
"""What `cxrscribe train --self-critical` asks for."""


@dataclass(frozen=True)
class SelfCriticalConfig:
    """How sampled reports teach. Raises InputError for a value out of range, or one that changes nothing."""

    self_critical_epochs: int = field(
        default=0,
        metadata={"help": "Epochs after the others in which sampled reports are rewarded."},
    )
    self_critical_rate: float = field(
        default=5e-4, metadata={"help": "Learning rate of these epochs, the same at every step."}
    )
    samples: int = field(default=4, metadata={"help": "Reports sampled a film in these epochs, at least 2."})
    label_reward: float = field(
        default=0.25, metadata={"help": "What findings weigh in the reward, beside BLEU-4 of the report."}
    )
    cross_entropy_share: float = field(
        default=0.1, metadata={"help": "Weight of the cross-entropy in these epochs."}
    )

    def __post_init__(self) -> None:
        least = {
            "self_critical_epochs": 0,
            "samples": 2,
            "label_reward": 0.0,
            "cross_entropy_share": 0.0,
        }
        for name, value in least.items():
            if getattr(self, name) < value:
                raise InputError(_wrong(self, name, f"give at least {value}"))
        if not self.self_critical_rate > 0:
            raise InputError(_wrong(self, "self_critical_rate", "give a number above 0"))
        if self.is_on:
            return
        for setting in dataclasses.fields(self):
            if getattr(self, setting.name) != setting.default:
                remedy = (
                    "that changes nothing in a training without self-critical epochs; leave it out, or train "
                    "with --self-critical"
                )
                raise InputError(_wrong(self, setting.name, remedy))

    @property
    def is_on(self) -> bool:
        """Whether there are such epochs."""
        return self.self_critical_epochs > 0


def _wrong(config: SelfCriticalConfig, name: str, remedy: str) -> str:
    return f"training config: self_critical.{name} is {getattr(config, name)}: {remedy}"

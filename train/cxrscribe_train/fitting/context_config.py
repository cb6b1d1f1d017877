"""Choices of a training about the context that acts at every step."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cxrscribe.errors import InputError


class Context(StrEnum):
    """What a model reads beside the film."""

    NONE = "none"
    PATIENT = "patient"
    """The patient's text: INDICATION."""
    PATIENT_AND_TAGS = "patient+tags"
    """And tags: findings and their places, told from the features by a map that training leaves alone."""


@dataclass(frozen=True)
class ContextConfig:
    """What acts at every step. Raises InputError for a value out of range, or one that changes nothing."""

    context: str = field(
        default=Context.NONE.value,
        metadata={"help": "What acts at every step: none, patient (INDICATION) or patient+tags."},
    )
    patient_size: int = field(
        default=48, metadata={"help": "Numbers that the patient's text becomes, at most."}
    )
    context_size: int = field(
        default=128, metadata={"help": "Numbers that patient, film and tags are brought to."}
    )
    text_dropout: float = field(
        default=0.2, metadata={"help": "Share of training films whose patient's text is taken away."}
    )

    def __post_init__(self) -> None:
        if self.context not in tuple(Context):
            raise InputError(
                f"training config: context.context is {self.context!r}; give {', '.join(Context)}"
            )
        for name in ("patient_size", "context_size"):
            if not 1 <= getattr(self, name) <= 4096:
                raise InputError(f"training config: context.{name} is {getattr(self, name)}; give 1 to 4096")
        if not 0 <= self.text_dropout < 1:
            raise InputError(
                f"training config: context.text_dropout is {self.text_dropout}; give 0 to less than 1"
            )
        if not self.is_on:
            for name, default in _DEFAULTS.items():
                if getattr(self, name) != default:
                    raise InputError(
                        f"training config: context.{name} is {getattr(self, name)}, which changes nothing in "
                        "a training without context: leave it out, or train with --context patient"
                    )

    @property
    def is_on(self) -> bool:
        """Whether there is a context."""
        return self.context != Context.NONE

    @property
    def has_tags(self) -> bool:
        """Whether tags are in it."""
        return self.context == Context.PATIENT_AND_TAGS


_DEFAULTS: Final = {"patient_size": 48, "context_size": 128, "text_dropout": 0.2}

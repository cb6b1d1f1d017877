"""The sizes that fix a report model: what the weights and the graphs of a bundle have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cxrscribe.errors import BundleError
from cxrscribe.json_object import JsonObject

# Memory is reserved by these before a graph has shown that it is as large as it says.
_LARGEST_SIZE: Final = 1 << 20
_MOST_LAYERS: Final = 64


@dataclass(frozen=True)
class ContextSizes:
    """Sizes of what acts at every step of a decoder: what is known of the patient, and tags of the film.

    Raises BundleError where a value is out of range.
    """

    patient_size: int
    """P: the numbers that the patient's text becomes; all zero where there is none."""
    context_size: int
    """C: the numbers that patient and film are brought to together."""
    tags: int = 0
    """The kinds and places of findings that are told from the features before the first word."""

    def __post_init__(self) -> None:
        for name in ("patient_size", "context_size", "tags"):
            least = 0 if name == "tags" else 1
            if not least <= getattr(self, name) <= _LARGEST_SIZE:
                raise BundleError(
                    f"{name} is {getattr(self, name)}; it has to be from {least} to {_LARGEST_SIZE}"
                )

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {"patient_size": self.patient_size, "context_size": self.context_size, "tags": self.tags}

    @classmethod
    def from_json(cls, fields: JsonObject) -> ContextSizes:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        return fields.make(
            cls,
            patient_size=fields.integer("patient_size", 1),
            context_size=fields.integer("context_size", 1),
            tags=fields.integer("tags"),
        )


@dataclass(frozen=True)
class Architecture:
    """A Show-and-Tell network: backbone, image projection, embedding, stacked LSTM, output layer.

    Vinyals et al., "Show and Tell: A Neural Image Caption Generator", 2015. Raises BundleError where a value
    is out of range.
    """

    backbone: str
    """Name of the image network, say `resnet101`."""
    backbone_options: Mapping[str, int | float | str]
    """What its builder takes besides, say `{"scale": 0.5}`."""
    feature_size: int
    """F: the numbers the backbone gives for one film."""
    embedding_size: int
    """E: size of a word's vector and of the projected features."""
    hidden_size: int
    """D: size of h and of c in each LSTM layer."""
    layers: int
    """L: number of LSTM layers."""
    vocabulary_size: int
    """V: number of words, the four special tokens included."""
    dropout: float = 0.0
    """Share of activations dropped between layers, in training only."""
    context: ContextSizes | None = None
    """Of the context that acts at every step; None for a model that sees the film alone."""

    def __post_init__(self) -> None:
        if not self.backbone:
            raise BundleError("backbone is empty; name an image network, say 'resnet101'")
        for name in ("feature_size", "embedding_size", "hidden_size", "layers", "vocabulary_size"):
            least = 5 if name == "vocabulary_size" else 1
            most = _MOST_LAYERS if name == "layers" else _LARGEST_SIZE
            if not least <= getattr(self, name) <= most:
                raise BundleError(f"{name} is {getattr(self, name)}; it has to be from {least} to {most}")
        if not (math.isfinite(self.dropout) and 0.0 <= self.dropout < 1.0):
            raise BundleError(f"dropout is {self.dropout}; it has to be from 0 to below 1")

    @property
    def patient_size(self) -> int:
        """P: the numbers that stand for the patient's text; 0 where the model reads none."""
        return 0 if self.context is None else self.context.patient_size

    @property
    def gates_size(self) -> int:
        """The numbers that a context adds to the first layer's gates, 4 * D; 0 where there is none."""
        return 0 if self.context is None else 4 * self.hidden_size

    @property
    def state_size(self) -> int:
        """The numbers in a row of the fused step's state: h and c of every layer, and the context's gates."""
        return 2 * self.layers * self.hidden_size + self.gates_size

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values; without `context` where there is none, as earlier versions have it."""
        return {
            "backbone": self.backbone,
            "backbone_options": dict(self.backbone_options),
            "feature_size": self.feature_size,
            "embedding_size": self.embedding_size,
            "hidden_size": self.hidden_size,
            "layers": self.layers,
            "vocabulary_size": self.vocabulary_size,
            "dropout": self.dropout,
            **({} if self.context is None else {"context": self.context.to_json()}),
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> Architecture:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        options = fields.object("backbone_options")
        return fields.make(
            cls,
            backbone=fields.text("backbone"),
            backbone_options={name: _option(options, name) for name in options.names()},
            feature_size=fields.integer("feature_size", 1),
            embedding_size=fields.integer("embedding_size", 1),
            hidden_size=fields.integer("hidden_size", 1),
            layers=fields.integer("layers", 1),
            vocabulary_size=fields.integer("vocabulary_size", 5),
            dropout=fields.number("dropout"),
            context=ContextSizes.from_json(fields.object("context")) if "context" in fields.names() else None,
        )


def _option(options: JsonObject, name: str) -> int | float | str:
    value = options.value(name)
    if isinstance(value, int | float | str):
        return value
    return options.refuse(name, "a number or a string")

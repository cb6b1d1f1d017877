"""What the address of a request may say: settings of the search by name, and what gets a report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from cxrscribe.errors import SettingsError
from cxrscribe.server.limits import MOST_HYPOTHESES, MOST_STEPS
from cxrscribe.server.problems import RequestError
from cxrscribe.settings import (
    DECODINGS,
    LEAST_TEMPERATURE,
    MAX_LENGTH_PENALTY,
    MAX_SEED,
    MAX_TEMPERATURE,
    MAX_TOP_K,
    BeamSettings,
)

FILM: Final = "film"
STUDY: Final = "study"

_MOST_FIELDS: Final = 64
_MOST_QUERY: Final = 8192
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_DECIMAL: Final = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,19})?([eE][+-]?[0-9]{1,3})?", re.ASCII)


@dataclass(frozen=True)
class Parameter:
    """One parameter of the query."""

    name: str
    kind: str
    """`integer`, `number` or `string`, as JSON Schema has them."""
    about: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    repeated: bool = False
    """Whether it may be there several times."""

    def value(self, text: str) -> int | float | str:
        """What `text` says. Raises RequestError 400."""
        if self.kind == "integer" and _WHOLE.fullmatch(text):
            value: int | float | str = int(text)
        elif self.kind == "number" and _DECIMAL.fullmatch(text):
            value = float(text)
        elif self.kind == "string":
            value = text
        else:
            what = "whole number" if self.kind == "integer" else "decimal number"
            raise _wrong(f"{self.name} has to be a {what}")
        if self.choices and value not in self.choices:
            raise _wrong(f"{self.name} has to be one of {', '.join(self.choices)}")
        if not isinstance(value, str) and not self._allows(value):
            raise _wrong(f"{self.name} has to be from {self.least} to {self.most} here")
        return value

    def _allows(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def schema(self) -> dict[str, object]:
        """JSON Schema of a value."""
        schema: dict[str, object] = {"type": self.kind}
        if self.least is not None:
            schema["minimum"] = self.least
        if self.most is not None:
            schema["maximum"] = self.most
        if self.choices:
            schema["enum"] = list(self.choices)
        return {"type": "array", "items": schema} if self.repeated else schema


BY: Final = Parameter(
    "by", "string", "What gets one report: every film, or all films of the request.", choices=(FILM, STUDY)
)

_SETTINGS: Final = (
    Parameter("beam_width", "integer", "Hypotheses kept at each step.", 1, MOST_HYPOTHESES),
    Parameter("max_length", "integer", "Most words, the end token included.", 1, MOST_STEPS),
    Parameter("min_length", "integer", "Fewest words.", 0, MOST_STEPS),
    Parameter(
        "length_penalty",
        "number",
        "Score is log-probability / length ** penalty.",
        -MAX_LENGTH_PENALTY,
        MAX_LENGTH_PENALTY,
    ),
    Parameter(
        "n_best", "integer", "Results a film; those after the first are alternatives.", 1, MOST_HYPOTHESES
    ),
    Parameter(
        "no_repeat_ngram", "integer", "Never repeat so many words in a row; 0 allows it.", 0, MOST_STEPS
    ),
    Parameter("banned_words", "string", "Word never to produce; may be repeated.", repeated=True),
    Parameter("decoding", "string", "Search for a report, or draw some.", choices=DECODINGS),
    Parameter(
        "temperature",
        "number",
        "Of samples: below 1 keeps to what is probable.",
        LEAST_TEMPERATURE,
        MAX_TEMPERATURE,
    ),
    Parameter("top_k", "integer", "Of samples: draw from so many words; 0 from all.", 0, MAX_TOP_K),
    Parameter("samples", "integer", "Reports drawn a film.", 1, MOST_HYPOTHESES),
    Parameter("seed", "integer", "Of the samples.", 0, MAX_SEED),
)

PARAMETERS: Final = (BY, *_SETTINGS)
"""Of `POST /v1/report`, in the order of the description."""

_BY_NAME: Final = {each.name: each for each in PARAMETERS}


@dataclass(frozen=True)
class Asked:
    """What a query asks for."""

    settings: BeamSettings
    by_study: bool = False


def asked(query: bytes, defaults: BeamSettings) -> Asked:
    """What the query of an address asks for. Raises RequestError 400, which repeats no name of it."""
    chosen = _chosen(query)
    by_study = chosen.pop(BY.name, FILM) == STUDY
    try:
        return Asked(defaults.with_chosen(chosen), by_study)
    except SettingsError as error:
        raise RequestError(400, "wrong_settings", str(error)) from None


def _chosen(query: bytes) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for name, text in _pairs(query):
        parameter = _BY_NAME.get(name)
        if parameter is None:
            raise _unknown(name)
        value = parameter.value(text)
        if parameter.repeated:
            chosen[name] = (*chosen.get(name, ()), value)
        elif name in chosen:
            raise _wrong(f"{name} is there twice; give it once")
        else:
            chosen[name] = value
    return chosen


def _pairs(query: bytes) -> list[tuple[str, str]]:
    if not query:
        return []
    if len(query) > _MOST_QUERY:
        raise _wrong(f"the query has {len(query)} bytes; give at most {_MOST_QUERY}")
    try:
        return parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise _wrong("the query isn't name=value&name=value in UTF-8; see /openapi.json") from None


def _wrong(message: str) -> RequestError:
    return RequestError(400, "wrong_parameter", message)


def _unknown(name: str) -> RequestError:
    if name in ("indication", "indications"):
        return _wrong(
            "an indication is in the address, where others can read it; send it as a part of a "
            "multipart/form-data body"
        )
    return _wrong(f"the query has an unknown name; there are {', '.join(_BY_NAME)}")


def openapi_parameters(defaults: Mapping[str, object]) -> list[dict[str, object]]:
    """The parameters as OpenAPI has them; `defaults` are those of the bundle."""
    return [
        {
            "name": each.name,
            "in": "query",
            "required": False,
            "description": each.about,
            "schema": each.schema() | ({"default": defaults[each.name]} if each.name in defaults else {}),
        }
        for each in PARAMETERS
    ]

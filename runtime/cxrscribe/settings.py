"""How a report is searched for."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Final, SupportsIndex

from cxrscribe.arguments import is_flag, several, shown
from cxrscribe.errors import SettingsError
from cxrscribe.json_object import JsonObject, finite_number
from cxrscribe.vocabulary import END, SPECIAL_TOKENS

MAX_BEAM_WIDTH: Final = 1024
MAX_LENGTH: Final = 4096
# Keeps length ** length_penalty far inside the range of float64.
MAX_LENGTH_PENALTY: Final = 10.0


@dataclass(frozen=True)
class BeamSettings:
    """What one image's beam search may produce. Raises SettingsError when a value is out of range.

    A changed copy is made with `dataclasses.replace(settings, beam_width=5)`.
    """

    beam_width: int = 3
    """K: hypotheses kept alive at each step, and the most results there can be. 1 is greedy search."""
    max_length: int = 60
    """Steps of the search; a finished report has at most `max_length - 1` words and `<end>`."""
    min_length: int = 0
    """Words before which a report may not end."""
    length_penalty: float = 0.0
    """Exponent in `score = log_prob / length ** length_penalty`: 0 ranks by the sum, 1 by the mean."""
    n_best: int = 1
    """Results asked for; those after the first become a report's `alternatives`."""
    no_repeat_ngram: int = 0
    """n: no run of n words occurs twice in a report; 0 allows all."""
    banned_words: tuple[str, ...] = ()
    """Words that no report may contain; each has to be in the model's vocabulary."""

    def __post_init__(self) -> None:
        for name in ("beam_width", "max_length", "min_length", "n_best", "no_repeat_ngram"):
            object.__setattr__(self, name, _whole(name, getattr(self, name)))
        object.__setattr__(self, "length_penalty", _finite("length_penalty", self.length_penalty))
        object.__setattr__(self, "banned_words", _words("banned_words", self.banned_words))
        _within("beam_width", self.beam_width, 1, MAX_BEAM_WIDTH)
        _within("max_length", self.max_length, 1, MAX_LENGTH)
        _within("min_length", self.min_length, 0, MAX_LENGTH)
        _within("no_repeat_ngram", self.no_repeat_ngram, 0, MAX_LENGTH)
        _within("n_best", self.n_best, 1, MAX_BEAM_WIDTH)
        _within("length_penalty", self.length_penalty, -MAX_LENGTH_PENALTY, MAX_LENGTH_PENALTY)
        if self.n_best > self.beam_width:
            raise SettingsError(
                f"n_best is {self.n_best}, but a search of beam_width {self.beam_width} keeps no more than "
                f"{self.beam_width} results; raise beam_width or ask for fewer"
            )
        if self.min_length > self.max_length:
            raise SettingsError(
                f"min_length is {self.min_length}, above max_length {self.max_length}; lower it"
            )
        if SPECIAL_TOKENS[END] in self.banned_words:
            raise SettingsError(
                f"banned_words has {SPECIAL_TOKENS[END]!r}, without which no report ends; "
                "use min_length to get longer ones"
            )

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {
            "beam_width": self.beam_width,
            "max_length": self.max_length,
            "min_length": self.min_length,
            "length_penalty": self.length_penalty,
            "n_best": self.n_best,
            "no_repeat_ngram": self.no_repeat_ngram,
            "banned_words": list(self.banned_words),
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> BeamSettings:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        return fields.make(
            cls,
            beam_width=fields.integer("beam_width"),
            max_length=fields.integer("max_length"),
            min_length=fields.integer("min_length"),
            length_penalty=fields.number("length_penalty"),
            n_best=fields.integer("n_best"),
            no_repeat_ngram=fields.integer("no_repeat_ngram"),
            banned_words=fields.texts("banned_words"),
        )


def _whole(name: str, value: object) -> int:
    if isinstance(value, SupportsIndex) and not is_flag(value):
        try:
            return operator.index(value)
        except TypeError:  # an array
            pass
    raise SettingsError(f"{name} is {shown(value)}; it has to be a whole number")


def _finite(name: str, value: object) -> float:
    number = finite_number(value)
    if number is None:
        raise SettingsError(f"{name} is {shown(value)}; it has to be a finite number")
    return number


def _words(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise SettingsError(f"{name} is {shown(value)}; it has to be a tuple of words, even for a single one")
    words = tuple(value)
    for word in words:
        if not isinstance(word, str):
            raise SettingsError(f"{name} has {shown(word)}; each entry has to be a word of the vocabulary")
    return words


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise SettingsError(f"{name} is {shown(value)}; it has to be from {least} to {most}")


def settings_of_each(settings: BeamSettings | Sequence[BeamSettings], images: int) -> Sequence[BeamSettings]:
    """One BeamSettings for each of `images`. Raises SettingsError when a sequence has another length."""
    if isinstance(settings, BeamSettings):
        return [settings] * images
    several("settings", settings, "BeamSettings, one an image", SettingsError)
    each = list(islice(settings, images + 1))  # they may be endless
    if len(each) != images:
        number = len(settings) if isinstance(settings, Sized) else "more or fewer"
        raise SettingsError(f"{number} settings for {images} images; give one, or one an image")
    for one in each:
        _check(one)
    return each


def settings_of_stream(settings: BeamSettings | Iterable[BeamSettings]) -> Iterator[BeamSettings]:
    """A BeamSettings for each image of a stream.

    Raises SettingsError when they are none, and later when one is none, or they run out before the images.
    """
    if isinstance(settings, BeamSettings):
        return repeat(settings)
    several("settings", settings, "BeamSettings, one an image", SettingsError)
    return _each_checked(settings)


def _each_checked(settings: Iterable[BeamSettings]) -> Iterator[BeamSettings]:
    for each in settings:
        _check(each)
        yield each
    raise SettingsError("there are fewer settings than images; give one, or one an image")


def _check(settings: object) -> None:
    if not isinstance(settings, BeamSettings):
        raise SettingsError(f"settings are {shown(settings)}; give a BeamSettings, or one an image")

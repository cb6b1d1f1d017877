"""How a report is searched for."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, fields, replace
from itertools import islice, repeat
from typing import Any, Final, SupportsIndex

from cxrscribe.arguments import is_flag, several, shown
from cxrscribe.errors import SettingsError
from cxrscribe.json_object import JsonObject, finite_number
from cxrscribe.vocabulary import END, SPECIAL_TOKENS

MAX_BEAM_WIDTH: Final = 1024
MAX_LENGTH: Final = 4096
# Keeps length ** length_penalty far inside the range of float64.
MAX_LENGTH_PENALTY: Final = 10.0
# Keeps log_prob / temperature far inside the range of float64, and a temperature from passing for 0.
LEAST_TEMPERATURE: Final = 0.01
MAX_TEMPERATURE: Final = 100.0
MAX_TOP_K: Final = 1 << 20
MAX_SAMPLES: Final = 256
MAX_SEED: Final = (1 << 63) - 1

BEAM: Final = "beam"
SAMPLE: Final = "sample"
CONSENSUS: Final = "consensus"
DECODINGS: Final = (BEAM, SAMPLE, CONSENSUS)
LEAST_CONSENSUS: Final = 3
"""Of two samples, each agrees as well with the other."""


@dataclass(frozen=True)
class BeamSettings:
    """How one image's report is searched for or drawn, and what it may be. Raises SettingsError when a value
    is out of range.

    A changed copy is made with `dataclasses.replace(settings, beam_width=5)`.
    """

    beam_width: int = 3
    """K: hypotheses kept alive at each step, and the most results there can be. 1 is greedy search. Samples
    have no use for it."""
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
    decoding: str = BEAM
    """`beam` searches for the most probable reports; `sample` draws reports by their probability, and gives
    the most probable of them; `consensus` draws them too, and gives those that agree best with the others.
    The next four are for samples only."""
    temperature: float = 1.0
    """T: words are drawn by their probability to the power of 1 / T. 1 is the model's own distribution; near
    0, the most probable word is all but certain."""
    top_k: int = 0
    """Only the so many most probable words that are allowed can be drawn; 0 for all of them."""
    samples: int = 1
    """Reports drawn of an image, of which the `n_best` best by score are given. A consensus needs 3 or more;
    16 serve well."""
    seed: int = 0
    """Of the random numbers, which depend on it and on the image alone."""

    def __post_init__(self) -> None:
        for name in (*_SIZES, "top_k", "samples", "seed"):
            object.__setattr__(self, name, _whole(name, getattr(self, name)))
        for name in ("length_penalty", "temperature"):
            object.__setattr__(self, name, _finite(name, getattr(self, name)))
        object.__setattr__(self, "banned_words", _words("banned_words", self.banned_words))
        _within("beam_width", self.beam_width, 1, MAX_BEAM_WIDTH)
        _within("max_length", self.max_length, 1, MAX_LENGTH)
        _within("min_length", self.min_length, 0, MAX_LENGTH)
        _within("no_repeat_ngram", self.no_repeat_ngram, 0, MAX_LENGTH)
        _within("n_best", self.n_best, 1, MAX_BEAM_WIDTH)
        _within("length_penalty", self.length_penalty, -MAX_LENGTH_PENALTY, MAX_LENGTH_PENALTY)
        _within("temperature", self.temperature, LEAST_TEMPERATURE, MAX_TEMPERATURE)
        _within("top_k", self.top_k, 0, MAX_TOP_K)
        _within("samples", self.samples, 1, MAX_SAMPLES)
        _within("seed", self.seed, 0, MAX_SEED)
        if not isinstance(self.decoding, str) or self.decoding not in DECODINGS:
            raise SettingsError(
                f"decoding is {shown(self.decoding)}; it has to be one of {', '.join(map(repr, DECODINGS))}"
            )
        if self.decoding == CONSENSUS:
            self._refuse_what_is_no_consensus()
        if not self.draws:
            self._refuse_what_is_for_samples()
        elif self.n_best > self.samples:
            raise SettingsError(
                f"n_best is {self.n_best}, but of {self.samples} samples there are no more than "
                f"{self.samples} results; raise samples or ask for fewer"
            )
        if not self.draws and self.n_best > self.beam_width:
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

    @property
    def draws(self) -> bool:
        """Whether reports are drawn, and not searched for."""
        return self.decoding != BEAM

    def of_any_decoding(self) -> dict[str, Any]:
        """The fields that hold for any decoding, by name; the others are those of new settings."""
        own = {"decoding", "beam_width", "n_best", "length_penalty", *_FOR_SAMPLES}
        return {
            each.name: each.default if each.name in own else getattr(self, each.name) for each in fields(self)
        }

    def with_chosen(self, chosen: Mapping[str, Any]) -> BeamSettings:
        """These settings with what a caller has chosen in place of their own. Raises SettingsError.

        Where another decoding was chosen, what only these settings' own has a use for isn't taken over.
        """
        if not chosen:
            return self
        given = dict(chosen)
        if given.get("decoding", self.decoding) != self.decoding:
            given = self.of_any_decoding() | given
        settings = replace(self, **given)
        if settings.draws and "beam_width" in chosen:
            raise SettingsError(
                f"beam_width is {settings.beam_width}, but decoding is {settings.decoding!r}, which has no "
                "beam; leave one of them out"
            )
        return settings

    def _refuse_what_is_for_samples(self) -> None:
        for name, unused in _FOR_SAMPLES.items():
            if getattr(self, name) != unused:
                raise SettingsError(
                    f"{name} is {shown(getattr(self, name))}, but decoding is {self.decoding!r}, which draws "
                    f"nothing; give decoding {SAMPLE!r} too, or leave {name} at {unused}"
                )

    def _refuse_what_is_no_consensus(self) -> None:
        if self.samples < LEAST_CONSENSUS:
            raise SettingsError(
                f"samples is {self.samples}, but a consensus needs {LEAST_CONSENSUS} or more; 16 serve well"
            )
        if self.length_penalty:
            raise SettingsError(
                f"length_penalty is {self.length_penalty}, but decoding is {self.decoding!r}, which ranks by "
                "agreement; leave it at 0"
            )

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values; of beam search without those that are for samples."""
        drawing = {"decoding": self.decoding} | {name: getattr(self, name) for name in _FOR_SAMPLES}
        return {
            "beam_width": self.beam_width,
            "max_length": self.max_length,
            "min_length": self.min_length,
            "length_penalty": self.length_penalty,
            "n_best": self.n_best,
            "no_repeat_ngram": self.no_repeat_ngram,
            "banned_words": list(self.banned_words),
            **(drawing if self.draws else {}),
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> BeamSettings:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        drawn = "decoding" in fields.names()
        return fields.make(
            cls,
            beam_width=fields.integer("beam_width"),
            max_length=fields.integer("max_length"),
            min_length=fields.integer("min_length"),
            length_penalty=fields.number("length_penalty"),
            n_best=fields.integer("n_best"),
            no_repeat_ngram=fields.integer("no_repeat_ngram"),
            banned_words=fields.texts("banned_words"),
            decoding=fields.text("decoding") if drawn else BEAM,
            temperature=fields.number("temperature") if drawn else cls.temperature,
            top_k=fields.integer("top_k") if drawn else cls.top_k,
            samples=fields.integer("samples") if drawn else cls.samples,
            seed=fields.integer("seed") if drawn else cls.seed,
        )


_SIZES: Final = ("beam_width", "max_length", "min_length", "n_best", "no_repeat_ngram")
_FOR_SAMPLES: Final = {"temperature": 1.0, "top_k": 0, "samples": 1, "seed": 0}
"""What only samples have a use for, and its value where there are none."""


def _whole(name: str, value: object) -> int:
    if isinstance(value, SupportsIndex) and not is_flag(value):
        try:
            return operator.index(value)
        except TypeError:  # an array
            pass
    raise SettingsError(f"{name} is {shown(value)}; it has to be a whole number")


def _finite(name: str, value: object) -> float:
    number = finite_number(_as_written(value))
    if number is None:
        raise SettingsError(f"{name} is {shown(value)}; it has to be a finite number")
    return number


def _as_written(value: object) -> object:
    """A number of numpy's, also as an array without axes, as the decimals that were written; None for none.

    As a float, `np.float32(0.7)` would be 0.699999988079071, and rank otherwise than 0.7. What isn't numpy's
    is given back.
    """
    if type(value).__module__ != "numpy":
        return value
    import numpy as np  # somebody has imported it

    number = value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if isinstance(number, np.float32 | np.float16):
        return float(np.format_float_scientific(number))
    return number if isinstance(number, np.floating | np.integer) else None


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

"""Tries candidates on this machine: their encoders and their decoders apart, at the sizes that are used."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.bundle import Bundle
from cxrscribe.freed_memory import return_freed_memory
from cxrscribe.json_object import JsonObject
from cxrscribe.networks.encoder import FILMS_AT_ONCE
from cxrscribe.networks.opening import open_decoder, open_encoder
from cxrscribe.noise import noise, uniform
from cxrscribe.search.scheduler import IMAGES_AT_ONCE, Schedulers
from cxrscribe.sessions.cache import GraphCache
from cxrscribe.sessions.factory import SessionFactory
from cxrscribe.settings import BeamSettings
from cxrscribe.stats import DecodingStats
from cxrscribe.tuning.candidates import Candidate
from cxrscribe.tuning.race import Clock, Contender, Lap, Runs, race

TRIAL_SECONDS: Final = 15.0
_ENCODER_SHARE: Final = 0.75
"""Of the time: encoders are larger, and there are more of them."""
STEPS: Final = 8
"""Of a search that is timed."""
WORDS: Final = 36
"""Of a report: the mean of the Indiana collection."""
ALONE, TOGETHER = "1", "many"
_TIE: Final = 1.02
_ENCODER: Final = attrgetter("encoder")
_DECODER: Final = attrgetter("decoder")


@dataclass(frozen=True)
class Conditions:
    """Under which everything is opened."""

    threads: int
    spinning: bool
    strict: bool
    cache: GraphCache | None

    def factory(self, device: str) -> SessionFactory:
        """Opens graphs on a device under these conditions. Raises DeviceError."""
        return SessionFactory(device, self.threads, spinning=self.spinning, cache=self.cache)


@dataclass(frozen=True)
class Cost:
    """What a report of one candidate takes, in milliseconds."""

    candidate: Candidate
    alone_ms: float
    """Of one film by itself."""
    together_ms: float
    """Of one film among many: an encoder's full batch, a full search."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {
            "candidate": self.candidate.to_json(),
            "alone_ms": self.alone_ms,
            "together_ms": self.together_ms,
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> Cost:
        """Read what `to_json` gave. Raises the document's error."""
        return fields.make(
            cls,
            candidate=Candidate.from_json(fields.object("candidate")),
            alone_ms=fields.number("alone_ms"),
            together_ms=fields.number("together_ms"),
        )


@dataclass(frozen=True)
class Trial:
    """What was found."""

    encoders: tuple[Lap, ...]
    """Of a call on `1` film and on `many`, FILMS_AT_ONCE of them."""
    decoders: tuple[Lap, ...]
    """Of STEPS steps of the search for `1` film and for `many`, IMAGES_AT_ONCE of them."""
    costs: tuple[Cost, ...]
    """Of each candidate whose encoder and decoder were timed."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {
            "encoders": [lap.to_json() for lap in self.encoders],
            "decoders": [lap.to_json() for lap in self.decoders],
            "costs": [cost.to_json() for cost in self.costs],
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> Trial:
        """Read what `to_json` gave. Raises the document's error."""
        return fields.make(
            cls,
            encoders=tuple(map(Lap.from_json, fields.objects("encoders"))),
            decoders=tuple(map(Lap.from_json, fields.objects("decoders"))),
            costs=tuple(map(Cost.from_json, fields.objects("costs"))),
        )


def cheapest(costs: Sequence[Cost]) -> Candidate | None:
    """The one whose reports cost least, alone and together alike; None where there is none.

    By the geometric mean of how many times the least of all each costs. Of those within 2 % of the best the
    one that comes first is taken.
    """
    if not costs:
        return None
    alone, together = min(cost.alone_ms for cost in costs), min(cost.together_ms for cost in costs)
    scores = [math.sqrt(cost.alone_ms / alone * cost.together_ms / together) for cost in costs]
    limit = _TIE * min(scores)
    return next(cost.candidate for cost, score in zip(costs, scores, strict=True) if score <= limit)


def try_out(
    bundle: Bundle,
    candidates: Sequence[Candidate],
    conditions: Conditions,
    *,
    seconds: float = TRIAL_SECONDS,
    told: Callable[[str], None] = lambda what: None,
) -> Trial:
    """Time the candidates, the likeliest one given first. `told`: called with what is opened next.

    Films and features are random numbers: how long a network takes doesn't depend on them.
    """
    clock = Clock(seconds)
    encoders = _unique(candidates, _ENCODER, partial(_encoder_runs, bundle, conditions))
    decoders = _unique(candidates, _DECODER, partial(_decoder_runs, bundle, conditions))
    share = _ENCODER_SHARE if len(decoders) > 1 else 1.0
    first = race(encoders, replace(clock, seconds=share * seconds), lambda name: told(f"encoder, {name}"))
    return_freed_memory()
    left = max(0.0, seconds - (clock.now() - clock.begun))
    second = race(decoders, Clock(left), lambda name: told(f"decoder, {name}"))
    return_freed_memory()
    costs = _costs(candidates, first, second, bundle.manifest.settings)
    return Trial(tuple(first), tuple(second), tuple(costs))


def _unique(
    candidates: Sequence[Candidate], name: Callable[[Candidate], str], runs: Callable[[Candidate], Runs]
) -> list[Contender]:
    found = {name(candidate): candidate for candidate in reversed(candidates)}
    order = dict.fromkeys(map(name, candidates))
    return [Contender(each, partial(runs, found[each])) for each in order]


def _encoder_runs(bundle: Bundle, conditions: Conditions, candidate: Candidate) -> Runs:
    factory = conditions.factory(candidate.device)
    encoder = open_encoder(bundle, factory, candidate.precision, strict=conditions.strict)
    preprocessing = bundle.manifest.preprocessing
    size = (FILMS_AT_ONCE, preprocessing.height, preprocessing.width)
    films = noise(size)
    return {ALONE: partial(encoder.encode, films[:1]), TOGETHER: partial(encoder.encode, films)}


def _decoder_runs(bundle: Bundle, conditions: Conditions, candidate: Candidate) -> Runs:
    decoder = open_decoder(bundle, conditions.factory(candidate.device), candidate.precision)
    manifest = bundle.manifest
    schedulers = Schedulers(decoder, manifest.vocabulary, strict=conditions.strict)
    architecture = manifest.architecture
    features = uniform((IMAGES_AT_ONCE, architecture.feature_size))
    starts = np.hstack((features, np.zeros((IMAGES_AT_ONCE, architecture.patient_size), np.float32)))
    settings = replace(manifest.settings, max_length=STEPS, min_length=STEPS - 1)
    return {
        size: partial(_search, schedulers, starts[:images], [settings] * images)
        for size, images in ((ALONE, 1), (TOGETHER, IMAGES_AT_ONCE))
    }


def _search(schedulers: Schedulers, starts: NDArray[np.float32], settings: Sequence[BeamSettings]) -> None:
    """Search for images, however that ends."""
    scheduler, stats = schedulers.take(IMAGES_AT_ONCE), DecodingStats()
    try:
        scheduler.enqueue(starts, settings, stats)
        while scheduler.busy:
            scheduler.step(stats)
    finally:
        schedulers.give_back(scheduler)


def _costs(
    candidates: Sequence[Candidate], encoders: Sequence[Lap], decoders: Sequence[Lap], settings: BeamSettings
) -> Iterator[Cost]:
    searches = min(WORDS, settings.max_length) / STEPS
    of_encoder = {lap.name: lap.milliseconds for lap in encoders if lap.milliseconds}
    of_decoder = {lap.name: lap.milliseconds for lap in decoders if lap.milliseconds}
    for candidate in candidates:
        encoder = of_encoder.get(candidate.encoder)
        decoder = of_decoder.get(candidate.decoder)
        if encoder is not None and decoder is not None:
            yield Cost(
                candidate,
                encoder[ALONE] + searches * decoder[ALONE],
                encoder[TOGETHER] / FILMS_AT_ONCE + searches * decoder[TOGETHER] / IMAGES_AT_ONCE,
            )

"""Films that arrive at a search: read ahead, then through the encoder, a few at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import FilmError
from cxrscribe.films.film import Pixels
from cxrscribe.films.read_ahead import FilmFeed
from cxrscribe.networks.encoder import FILMS_AT_ONCE
from cxrscribe.search.requests import Requests
from cxrscribe.settings import BeamSettings
from cxrscribe.stats import DecodingStats

Encode: TypeAlias = Callable[[list[Pixels], DecodingStats], NDArray[np.float32]]

NamedSettings: TypeAlias = tuple[str, BeamSettings]
"""What errors call a film, and how its report is searched for."""


class FilmRequests:
    """The RequestSource of films."""

    def __init__(
        self, feed: FilmFeed[NamedSettings], encode: Encode, all_there: bool, most: int, stats: DecodingStats
    ) -> None:
        """At most `most` films at a time; `all_there`: so many, for nobody waits for what becomes of one."""
        self._feed = feed
        self._encode = encode
        self._most = min(FILMS_AT_ONCE, most)
        self._all_there = all_there
        self._stats = stats
        self.names: deque[str] = deque()
        """Of the films that have arrived; whoever hands a film's item out takes its name away."""

    def fetch(self, idle: bool) -> Requests | None:
        """See RequestSource."""
        with self._stats.timed("read"):
            batch = self._feed.take(self._most if self._all_there else int(idle), self._most)
        if not batch and self._feed.ended:
            return None
        films = [(film, settings) for film, (_, settings) in batch if not isinstance(film, FilmError)]
        errors = [film if isinstance(film, FilmError) else None for film, _ in batch]
        self._stats.films += len(batch)
        self._stats.film_errors += len(batch) - len(films)
        features = self._encode([film for film, _ in films], self._stats)
        self.names.extend(name for _, (name, _) in batch)
        return Requests(features, [settings for _, settings in films], errors)

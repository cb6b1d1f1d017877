"""From films to what a search starts from: read ahead, encoded a few at a time, pooled to studies."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import DecodingError, FilmError
from cxrscribe.films.levels import Picture
from cxrscribe.films.read_ahead import FilmFeed
from cxrscribe.indications import Indications
from cxrscribe.networks.encoder import FILMS_AT_ONCE
from cxrscribe.report import Report
from cxrscribe.search.requests import Requests
from cxrscribe.settings import BeamSettings
from cxrscribe.stats import DecodingStats
from cxrscribe.wanted import Gathered, Wanted

if TYPE_CHECKING:
    from cxrscribe.films.film import Pixels

Encode: TypeAlias = Callable[["list[Pixels]", DecodingStats], NDArray[np.float32]]
"""Features float32 [n, F] of pictures, each uint8 [H, W]."""


class FilmRequests:
    """The RequestSource of films and studies.

    Films of several studies share a call of the encoder. Their features wait until the last one of their
    study is there: as films come in order, that is never more than one study's.
    """

    def __init__(
        self,
        feed: FilmFeed[Picture, tuple[Wanted, bool]],
        encode: Encode,
        indications: Indications,
        all_there: bool,
        most: int,
        stats: DecodingStats,
    ) -> None:
        """`feed` gives `films_of` images. At most `most` films are taken at a time.

        `all_there`: whether all images are known from the start. Then a fetch may wait until it has as many
        as it may give. Otherwise whoever gives the images may wait for the report of one before giving the
        next, so that a fetch waits for one film at most, and only if idle.
        """
        self._feed = feed
        self._encode = encode
        self._indications = indications
        self._most = min(FILMS_AT_ONCE, most)
        self._all_there = all_there
        self._stats = stats
        self._gathered = Gathered()
        self._fetched: deque[tuple[Wanted, Gathered]] = deque()
        """Of images whose items haven't been handed out."""

    def fetch(self, idle: bool) -> Requests | None:
        """The next images whose films are all there; maybe none, where the first one's are not."""
        with self._stats.timed("read"):
            batch = self._feed.take(self._most if self._all_there else int(idle), self._most)
        if not batch and self._feed.ended:
            return None
        pictures = [picture.pixels for picture, _ in batch if not isinstance(picture, FilmError)]
        self._stats.films += len(batch)
        self._stats.film_errors += len(batch) - len(pictures)
        features = iter(self._encode(pictures, self._stats))
        starts: list[NDArray[np.float32]] = []
        settings: list[BeamSettings] = []
        errors: list[FilmError | None] = []
        for picture, (wanted, is_last) in batch:
            self._gathered.add(picture, features)
            if not is_last:
                continue
            whole, self._gathered = self._gathered, Gathered()
            self._fetched.append((wanted, whole))
            error = whole.error()
            errors.append(error)
            if error is None:
                starts.append(whole.start(wanted, self._indications))
                settings.append(wanted.settings)
        return Requests(np.stack(starts) if starts else np.empty((0, 0), np.float32), settings, errors)

    def item(self, outcome: Report | DecodingError | FilmError) -> Report | FilmError:
        """What is handed out for the next image, given what became of its search."""
        wanted, films = self._fetched.popleft()
        return films.item(wanted, outcome)

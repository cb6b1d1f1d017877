"""From films to what a search starts from: read ahead, encoded a few at a time, pooled to studies."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import DecodingError, FilmError, Reason
from cxrscribe.films.levels import Picture
from cxrscribe.films.read_ahead import FilmFeed
from cxrscribe.indications import Indication, Indications
from cxrscribe.networks.encoder import FILMS_AT_ONCE
from cxrscribe.report import LeftOut, Report
from cxrscribe.search.requests import Requests
from cxrscribe.settings import BeamSettings
from cxrscribe.stats import DecodingStats
from cxrscribe.study import pooled

if TYPE_CHECKING:
    from cxrscribe.films.film import Pixels

Encode: TypeAlias = Callable[["list[Pixels]", DecodingStats], NDArray[np.float32]]
"""Features float32 [n, F] of pictures, each uint8 [H, W]."""


@dataclass(frozen=True)
class Wanted:
    """A report that is asked for, of a film or of a study."""

    name: str
    """What errors call the film or study."""
    settings: BeamSettings
    indication: Indication
    """What the call says of the patient."""


@dataclass
class _Gathered:
    """What is there of the films of one image, until all of them are."""

    rows: list[NDArray[np.float32]] = field(default_factory=list)
    """Features of those that could be read, each float32 [F]."""
    displays: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    text: Indication = None
    """What the first film says of the patient that says anything."""
    indication_from: str | None = None
    """Where what the search is told of the patient is from."""

    def add(self, picture: Picture | FilmError, features: Iterator[NDArray[np.float32]]) -> None:
        """Add the next film; one that could be read takes the next of `features`."""
        if isinstance(picture, FilmError):
            self.left_out.append(LeftOut(len(self.rows) + len(self.left_out), picture))
        else:
            self.rows.append(next(features))
            self.displays.append(picture.display)
            self.text = picture.text if self.text is None else self.text

    def error(self) -> FilmError | None:
        """Why there is nothing to make a report of; None where there is.

        What this machine was short of may be there at the next try: no film is left out for that.
        """
        errors = [film.error for film in self.left_out]
        films = len(self.rows) + len(errors)
        for error in errors:
            if error.reason == Reason.OUT_OF_RESOURCES and films > 1:
                return FilmError(f"study of {films} films: {error}", error.reason)
        if self.rows:
            return None
        if films == 1:
            return errors[0]
        reasons = {error.reason for error in errors}
        why = "; ".join(map(str, errors))
        reason = reasons.pop() if len(reasons) == 1 else Reason.UNREADABLE
        return FilmError(f"study of {films} films, none of which can be read: {why}", reason)


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
        self._gathered = _Gathered()
        self._fetched: deque[tuple[Wanted, _Gathered]] = deque()
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
            whole, self._gathered = self._gathered, _Gathered()
            self._fetched.append((wanted, whole))
            error = whole.error()
            errors.append(error)
            if error is None:
                patient, whole.indication_from = self._indications.tell(wanted.indication, whole.text)
                starts.append(np.concatenate((pooled(whole.rows), patient)))
                settings.append(wanted.settings)
            whole.rows.clear()
        return Requests(np.stack(starts) if starts else np.empty((0, 0), np.float32), settings, errors)

    def item(self, outcome: Report | DecodingError | FilmError) -> Report | FilmError:
        """What is handed out for the next image, given what became of its search."""
        wanted, films = self._fetched.popleft()
        if isinstance(outcome, Report):
            return replace(
                outcome,
                display="; ".join(films.displays),
                indication_from=films.indication_from,
                left_out=tuple(films.left_out),
            )
        if isinstance(outcome, FilmError):
            return outcome
        error = FilmError(f"{wanted.name}: {outcome}", Reason.SEARCH_FAILED)
        error.__cause__ = outcome
        return error

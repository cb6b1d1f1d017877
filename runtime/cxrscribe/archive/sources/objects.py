"""Films in a bucket: one object each."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import takewhile
from typing import Any, Final

from cxrscribe.archive.places.bucket import open_store, require_obstore
from cxrscribe.archive.places.place import is_url
from cxrscribe.archive.plan import Listed, PlannedFilm, film_id
from cxrscribe.archive.quarantine import QuarantinedError
from cxrscribe.archive.sources.listing import source_names
from cxrscribe.archive.sources.members import is_archive
from cxrscribe.errors import InputError, Reason
from cxrscribe.films.film import looks_like_film

PACKED: Final = "packed"
"""The stamp of an archive in a bucket, which isn't opened."""

_OBJECTS_AT_ONCE: Final = 1000
_SNIFFERS: Final = 32
_FETCHERS: Final = 8
_SNIFFED_BYTES: Final = 132


class ObjectSources:
    """SOURCE arguments that are URLs of one bucket: prefixes, or single objects. As `Sources` otherwise.

    Objects come in the order in which the store lists them, which is that of their names. An object without a
    film's suffix costs a request for its first bytes. Archives aren't opened; each gets a row that says so.

    Raises InputError when they are of several buckets, or on a disk; MissingExtraError.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.names = source_names(arguments)
        buckets = {"/".join(name.split("/")[:3]) for name in self.names}
        if len(buckets) > 1 or not all(map(is_url, self.names)):
            raise InputError(
                f"{', '.join(arguments)}: are in several places; make a run for each bucket or disk"
            )
        levels = zip(*(name.split("/") for name in self.names), strict=False)
        shared = takewhile(lambda level: len(set(level)) == 1, levels)
        self.root = "/".join(level[0] for level in shared)
        self._obstore = require_obstore()
        self._store = open_store(self.root)

    def films(self) -> Iterator[Listed]:
        """The films, one by one."""
        seen: set[bytes] | None = set() if len(self.names) > 1 else None
        for name in self.names:
            for film in self._below(name[len(self.root) :].strip("/")):
                if seen is not None:
                    if film_id(film.film) in seen:
                        continue
                    seen.add(film_id(film.film))
                yield film

    def _below(self, prefix: str) -> Iterator[Listed]:
        with ThreadPoolExecutor(_SNIFFERS) as pool:
            for objects in self._pages(prefix):
                films = pool.map(self._is_film, (each["path"] for each in objects))
                for each, is_film in zip(objects, films, strict=True):
                    path, size = each["path"], each["size"]
                    if is_archive(path):
                        yield Listed(path, size, PACKED)
                    elif is_film:
                        yield Listed(path, size, _stamp(each))

    def _pages(self, prefix: str) -> Iterator[list[dict[str, Any]]]:
        """The objects below a prefix, some at a time; or the one object of that name. Raises InputError."""
        try:
            found = False
            for page in self._obstore.list(self._store, prefix or None, chunk_size=_OBJECTS_AT_ONCE):
                found = True
                yield list(page)
            if not found and prefix:
                yield [self._obstore.head(self._store, prefix)]
        except FileNotFoundError:
            raise InputError(
                f"{self.root}/{prefix}: there is no such object or prefix; check the URL"
            ) from None
        except self._obstore.exceptions.BaseError as error:
            raise InputError(
                f"{self.root} can't be listed ({type(error).__name__}); check bucket, credentials and network"
            ) from None

    def _is_film(self, path: str) -> bool:
        return is_archive(path) or looks_like_film(path, partial(self._head, path))

    def _head(self, path: str) -> bytes:
        try:
            return bytes(self._obstore.get_range(self._store, path, start=0, end=_SNIFFED_BYTES))
        except FileNotFoundError:
            return b""


class ObjectFilms:
    """A FilmStore in a bucket."""

    def __init__(self, root: str) -> None:
        """`root`: the URL that the films' names are relative to. Raises InputError, MissingExtraError."""
        self._obstore = require_obstore()
        self._store = open_store(root)
        self._pool = ThreadPoolExecutor(_FETCHERS, thread_name_prefix="cxrscribe-object")
        self._coming: dict[int, Future[bytes]] = {}
        """Films that are being fetched, by row."""

    def expect(self, films: Sequence[PlannedFilm]) -> None:
        wanted = {film.row: film for film in films}
        for row in self._coming.keys() - wanted.keys():
            self._coming.pop(row).cancel()
        for row, film in wanted.items():
            if row not in self._coming:
                self._coming[row] = self._pool.submit(self._fetch, film)

    def read(self, film: PlannedFilm) -> bytes:
        coming = self._coming.pop(film.row, None)
        return coming.result() if coming is not None else self._fetch(film)

    def _fetch(self, film: PlannedFilm) -> bytes:
        if film.stamp == PACKED:
            raise QuarantinedError(
                Reason.UNSUPPORTED,
                "is an archive in a bucket, which isn't opened; unpack it, or copy it to a disk, for a new "
                "run",
            )
        try:
            found = self._obstore.get(self._store, film.film)
            if (found.meta["size"], _stamp(found.meta)) != (film.size, film.stamp):
                raise QuarantinedError(
                    Reason.CHANGED, "is another object than when the run was planned; start a new run for it"
                )
            return bytes(found.bytes())
        except self._obstore.exceptions.BaseError as error:
            raise OSError(errno.EIO, f"the store says {type(error).__name__}") from None

    def is_there(self, film: PlannedFilm) -> bool:
        try:
            return any(self._obstore.list(self._store, chunk_size=1))
        except (self._obstore.exceptions.BaseError, OSError):
            return False

    def forget(self, film: PlannedFilm) -> None:
        return

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _stamp(meta: Any) -> str:
    """What tells an object's content from a later one's: the store's tag, or when it was written."""
    return str(meta["e_tag"] or meta["last_modified"].isoformat())

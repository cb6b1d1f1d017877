"""What rows call a film: its path, or a keyed hash of it, for rows that shall name nobody."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxrscribe.archive.plan import PlannedFilm
from cxrscribe.errors import InputError

PATH: Final = "path"
HASH: Final = "hash"

_SHORTEST_KEY: Final = 16
_LONGEST_KEY: Final = 64  # of blake2b
_ID_BYTES: Final = 16
_CHECK_BYTES: Final = 8


@dataclass(frozen=True, repr=False)
class FilmNames:
    """Names of films for rows. Without a key they are paths; with one, hashes that only its owner can make.

    A hash without a key would hide nothing: whoever can guess a path can hash it.
    """

    key: bytes | None = None
    """16 to 64 bytes."""

    def text(self, film: PlannedFilm) -> str:
        """What a row calls the film: its path, with \\xNN for what isn't UTF-8; or its id in digits."""
        if self.key is None:
            return film.film.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        return self.film_id(film).hex()

    def film_id(self, film: PlannedFilm) -> bytes:
        """16 bytes that stand for the film: blake2b of its path, as the file system spells it."""
        if self.key is None:
            return film.film_id
        path = film.film.encode("utf-8", "surrogateescape")
        return hashlib.blake2b(path, digest_size=_ID_BYTES, key=self.key).digest()

    @property
    def check(self) -> str:
        """What tells keys apart and gives none away; empty without a key."""
        if self.key is None:
            return ""
        return hashlib.blake2b(b"", digest_size=_CHECK_BYTES, key=self.key, person=b"check").hexdigest()


def read_film_names(key_file: Path | None) -> FilmNames:
    """Names by the key in a file; by path without one.

    Raises InputError when it can't be read or is no key.
    """
    if key_file is None:
        return FilmNames()
    try:
        key = key_file.read_bytes().strip()
    except OSError as error:
        raise InputError(f"{key_file} can't be read ({error.strerror}); give a file with a key") from None
    if not _SHORTEST_KEY <= len(key) <= _LONGEST_KEY:
        raise InputError(
            f"{key_file} holds {len(key)} bytes, not a key of {_SHORTEST_KEY} to {_LONGEST_KEY}; make one "
            "with `openssl rand -hex 32`"
        )
    return FilmNames(key)

"""A prefix in a bucket: S3 and what speaks like it, Google's and Azure's stores.

A file is put in one request that the store refuses where the name is taken (S3: If-None-Match; Google:
generation match 0), so it appears whole, and once. A store that ignores the condition is found by the probe,
and refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

from cxrscribe.archive.places.place import UNFINISHED
from cxrscribe.errors import InputError, MissingExtraError

_RETRIES: Final = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
"""By the store's client, of requests that may be repeated."""


class Bucket:
    """A Place in an object store.

    Credentials and endpoint are those of the environment (AWS_*, GOOGLE_*, AZURE_*).
    """

    def __init__(self, url: str, store: Any) -> None:
        """`store`: one of obstore's, of which all names are the run's."""
        self.url = url.rstrip("/")
        self._obstore = require_obstore()
        self._store = store
        self._appended: dict[str, bytes] = {}
        """What this process has written to files that grow: an object can't."""

    @classmethod
    def open(cls, url: str) -> Self:
        """The place of this URL. Raises InputError when it is none, MissingExtraError."""
        return cls(url, open_store(url))

    def locate(self, name: str) -> str:
        return f"{self.url}/{name}"

    def holds(self, folder: Path) -> bool:
        return False

    def create(self, name: str, content: bytes) -> bool:
        with self._asking(name):
            try:
                self._obstore.put(self._store, name, content, mode="create")
            except self._obstore.exceptions.AlreadyExistsError:
                return False
            return True

    def probe(self) -> None:
        name = f"{UNFINISHED}probe-{secrets.token_hex(8)}"
        try:
            first, second = self.create(name, b"1"), self.create(name, b"2")
            kept = self.read(name)
        finally:
            self.remove(name)
        if not first or second or kept != b"1":
            raise InputError(
                f"{self.url} lets two writers make the same object, so that a run can't be kept there; "
                "choose another place"
            )

    def read(self, name: str) -> bytes:
        with self._asking(name):
            return bytes(self._obstore.get(self._store, name).bytes())

    def head(self, name: str, size: int) -> bytes:
        with self._asking(name):
            return bytes(self._obstore.get_range(self._store, name, start=0, end=size))

    def has(self, name: str) -> bool:
        with self._asking(name):
            try:
                self._obstore.head(self._store, name)
            except FileNotFoundError:
                return False
            return True

    def modified(self, name: str) -> float:
        with self._asking(name):
            return float(self._obstore.head(self._store, name)["last_modified"].timestamp())

    def names(self, folder: str) -> list[str]:
        prefix = None if folder == "." else folder
        with self._asking(folder):
            return sorted(each["path"] for some in self._obstore.list(self._store, prefix) for each in some)

    def replace(self, name: str, content: bytes) -> None:
        with self._asking(name):
            self._obstore.put(self._store, name, content, mode="overwrite")

    def append(self, name: str, line: bytes) -> None:
        self._appended[name] = self._appended.get(name, b"") + line
        self.replace(name, self._appended[name])

    def remove(self, name: str) -> None:
        with self._asking(name):
            try:
                self._obstore.delete(self._store, name)
            except FileNotFoundError:
                return

    def set_aside(self, name: str, new_name: str) -> None:
        self.replace(new_name, self.read(name))
        self.remove(name)

    def sweep(self, folders: Sequence[str]) -> int:
        return 0  # nothing is ever unfinished there

    @contextmanager
    def _asking(self, name: str) -> Iterator[None]:
        """Say of which file it is that the store refuses something, or that it doesn't answer."""
        try:
            yield
        except FileNotFoundError:
            raise InputError(f"{self.locate(name)} is not there; check the run") from None
        except (self._obstore.exceptions.BaseError, OSError) as error:
            raise InputError(
                f"{self.locate(name)} can't be read or written ({_reason(error)}); check bucket, "
                "credentials and network, and give the same command again: what is committed stays"
            ) from None


def open_store(url: str) -> Any:
    """obstore's store for a bucket and prefix. Raises InputError when the URL is none, MissingExtraError."""
    obstore = require_obstore()
    try:
        return obstore.store.from_url(url, retry_config=_RETRIES)
    except (obstore.exceptions.BaseError, ValueError) as error:
        raise InputError(f"{url} can't be opened ({_reason(error)}); give scheme://bucket/prefix") from None


def require_obstore() -> Any:
    """The module that speaks to object stores. Raises MissingExtraError where it isn't installed."""
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise MissingExtraError("An object store", "store") from error
    return obstore


def _reason(error: Exception) -> str:
    """What a store says, on one short line."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."

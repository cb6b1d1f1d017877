"""A reporter's networks, which its calls use in turn, and what those calls give."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from threading import RLock
from typing import TypeVar

from cxrscribe.errors import InputError
from cxrscribe.forks import Owner, keep_from_forks
from cxrscribe.networks.encoder import Encoder
from cxrscribe.search.scheduler import Schedulers

Item = TypeVar("Item")


class _Turn:
    """With one of the networks of a model that is open."""

    def __init__(self, model: SharedModel) -> None:
        self._model = model
        self.lock = RLock()

    def __enter__(self) -> None:
        self._model.require_here()  # the lock may be a thread's that isn't here
        self.lock.acquire()
        try:
            self._model.require_open()
        except InputError:
            self.lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        self.lock.release()


class SharedModel:
    """A reporter's networks, which calls take turns with; they are gone once it is closed.

    Who enters it has the turn with the decoder, who enters `encoding` with the encoder; who needs both takes
    them in this order. Raises InputError wherever they are used after it was closed, or in a process that was
    forked off since it was loaded.
    """

    def __init__(self, encoder: Encoder, schedulers: Schedulers) -> None:
        self._searching, self.encoding = _Turn(self), _Turn(self)
        self._parts: tuple[Encoder, Schedulers] | None = (encoder, schedulers)
        self._owner = Owner()

    @property
    def is_here(self) -> bool:
        """Whether it was loaded in this process."""
        return self._owner.is_here

    def require_here(self) -> None:
        """Raise InputError in a process that was forked off since it was loaded."""
        self._owner.require("this reporter")

    @property
    def encoder(self) -> Encoder:
        """From pictures to features."""
        return self.require_open()[0]

    @property
    def schedulers(self) -> Schedulers:
        """What searches are made with."""
        return self.require_open()[1]

    def require_open(self) -> tuple[Encoder, Schedulers]:
        """Both. Raises InputError once it is closed."""
        self.require_here()
        if self._parts is None:
            raise InputError("this reporter is closed; load the bundle again")
        return self._parts

    def close(self) -> None:
        """Free the networks, once who has a turn is done."""
        self.require_here()
        with self._searching.lock, self.encoding.lock:
            self._parts = None

    def __enter__(self) -> None:
        self._searching.__enter__()

    def __exit__(self, *_: object) -> None:
        self._searching.lock.release()


class Stream(Iterator[Item]):
    """What a call gives, item by item; for the process that made the call only."""

    def __init__(self, model: SharedModel, items: Generator[Item, None, None]) -> None:
        self._model = model
        self._items = items
        # In another process, closing it would wait for threads and locks that nobody there lets go.
        keep_from_forks(items)

    def __next__(self) -> Item:
        self._model.require_here()
        return next(self._items)

    def close(self) -> None:
        """End it, whatever is left."""
        if self._model.is_here:
            self._items.close()

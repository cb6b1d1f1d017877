"""Where the images of a batch and their live hypotheses stand: slots, and arrays that are laid out by them.

A is the number of images that are searched for, K the number of places of each, V the number of words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.search.expander import Frontier
from cxrscribe.search.hypotheses import Path, Pool
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import END, START

_MOST_VIEWS: Final = 256


@dataclass(slots=True, eq=False)
class Searched:
    """An image that is searched for."""

    image: int
    """The number that it was admitted under."""
    settings: BeamSettings
    begun: int
    """Its first step, as `History.steps` counts them."""
    first_entry: int
    """Of its settings, the first entry in the flat tables of Constraints."""
    pool: Pool
    path: Path
    """The slots that it has had."""


class Slots:
    """Where images are while they are searched for: each has the same slot in every array.

    The first slots are those in use; an image that is done leaves its own vacant until `close_ranks`.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.images: list[Searched] = []
        """By slot, those of vacant slots included."""
        self.vacant: list[int] = []
        self.full: set[int] = set()
        """Slots whose pools have no room left."""

    def __len__(self) -> int:
        return len(self.images) - len(self.vacant)

    def take(self, image: int, settings: BeamSettings, first_entry: int, step: int) -> int:
        """Let an image have a slot, to begin with this step; which one."""
        slot = self.vacant.pop() if self.vacant else len(self.images)
        entering = Searched(image, settings, step, first_entry, Pool(settings.n_best), [(step, slot)])
        self.images[slot : slot + 1] = [entering]
        return slot

    def leave(self, slots: list[int]) -> None:
        """Let the images in these slots go, none of which is vacant yet."""
        self.vacant = [*self.vacant, *slots]
        self.full.difference_update(slots)

    def stand(self, first_entries: list[int]) -> None:
        """Stand behind other first entries, one a slot: the tables have been made anew."""
        for searched, first_entry in zip(self.images, first_entries, strict=True):
            searched.first_entry = first_entry

    def close_ranks(self, step: int) -> list[tuple[int, int]]:
        """Let images from the end take the vacant slots, from this step on. Gives (slot left, slot taken)."""
        images = len(self)
        vacant = set(self.vacant)
        targets = [slot for slot in self.vacant if slot < images]
        sources = [slot for slot in range(images, len(self.images)) if slot not in vacant]
        moves = list(zip(sources, targets, strict=True))
        for source, target in moves:
            self.images[target] = moving = self.images[source]
            moving.path.append((step, target))
            if source in self.full:
                self.full.remove(source)
                self.full.add(target)
        del self.images[images:]
        self.vacant = []
        return moves

    def clear(self) -> None:
        """Let all images go."""
        self.images.clear()
        self.vacant.clear()
        self.full.clear()


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """The arrays of the first A slots, made once for each A: slicing costs as much as some of the work."""

    images: int
    """A"""
    frontier: Frontier
    """The rows to expand: these very arrays."""
    token: NDArray[np.int64]
    """[A, K]"""
    parent: NDArray[np.int64]
    """[A, K]"""
    score: NDArray[np.float32]
    """[A, K]"""
    first_row: NDArray[np.int64]
    """[A, 1]: of each image in the frontier."""
    live: NDArray[np.int64]
    """[A, K]: of the live hypotheses in flat candidates."""
    first_live: NDArray[np.int64]
    """[A, K]: the same, where nothing ends."""
    ends: NDArray[np.bool_]
    """[A, 2K]: room for which candidates are `<end>`: the first of `Places.ends`."""


class Places:
    """The arrays of a frontier, `count` places a slot, and where these places stand in flat arrays."""

    def __init__(self, slots: int, count: int, vocabulary_size: int, before: Places | None = None) -> None:
        """`before`: places that are laid out anew; what fits is kept."""
        self.count = count
        self.token = np.full((slots, count), START, np.int64)
        self.parent = np.zeros((slots, count), np.int64)
        self.score = np.full((slots, count), -np.inf, np.float32)
        if before is not None:
            kept = min(count, before.count)
            self.parent[:] = before.parent[:, :1]  # what isn't live has to name some row too
            for array, old in (
                (self.token, before.token),
                (self.parent, before.parent),
                (self.score, before.score),
            ):
                array[:, :kept] = old[:, :kept]
        slot = np.arange(slots)[:, None]
        self._first_row = slot * count
        self._first_live = slot * 2 * count + np.arange(count)
        self._live = self._first_live.copy()
        self.ends = bytearray(slots * 2 * count)
        """By flat candidate: whether it is `<end>`."""
        self._ends = np.frombuffer(self.ends, np.bool_).reshape(slots, 2 * count)
        # A look-up is half the work of a remainder and a comparison.
        self.is_end = np.arange(count * vocabulary_size) % vocabulary_size == END
        """[K * V]: which candidates are `<end>`, by index."""
        self.continuations = count * vocabulary_size
        self._views: dict[int, View] = {}

    def begin(self, slot: int, row: int) -> None:
        """Rule 4: one live hypothesis, whose state is in this row."""
        self.token[slot] = START
        self.parent[slot] = row
        self.score[slot] = -np.inf
        self.score[slot, 0] = 0.0

    def view(self, images: int, bias: NDArray[np.float32]) -> View:
        """The first `images` slots: the same object as long as the bias is."""
        view = self._views.get(images)
        if view is None:
            if len(self._views) >= _MOST_VIEWS:
                self._views.clear()
            view = self._views[images] = self._new_view(images, bias)
        elif view.frontier.bias is not bias:
            view = self._views[images] = replace(view, frontier=replace(view.frontier, bias=bias))
        return view

    def _new_view(self, images: int, bias: NDArray[np.float32]) -> View:
        token, parent, score = self.token[:images], self.parent[:images], self.score[:images]
        return View(
            images,
            Frontier(token.reshape(-1), parent.reshape(-1), score, bias),
            token,
            parent,
            score,
            self._first_row[:images],
            self._live[:images],
            self._first_live[:images],
            self._ends[:images],
        )

    def move(self, moves: list[tuple[int, int]]) -> None:
        """Let images go from one slot to another."""
        for source, target in moves:
            for array in (self.token, self.parent, self.score):
                array[target] = array[source]

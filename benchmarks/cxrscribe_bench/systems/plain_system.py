"""A System made of parts: something that encodes films, and something that searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.errors import InputError
from cxrscribe_bench.systems.plain_search import require_plain
from cxrscribe_bench.systems.system import Words
from cxrscribe_bench.systems.trial import least_seconds
from cxrscribe_bench.workload import Workload

Encode = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Pictures uint8 [N, H, W] -> features float32 [N, F]."""

FILMS_A_CALL: Final = (1, 8)
"""How many films an engine is given at a time: the faster of these.

Larger ones are not tried: an engine may keep the memory that it takes for them, which would count as its own.
"""


class Search(Protocol):
    """What finds reports."""

    def decode(self, features: NDArray[np.float32]) -> list[Words]:
        """Word ids of the best report of each row of `features` [N, F]."""
        ...


class PlainSystem:
    """A System that works batch by batch: read films side by side, encode them, search for their reports.

    `films_a_call`: the numbers of films that may be given to the encoder at a time; where there are several
    they are tried on films of the workload, and the fastest is taken.
    """

    def __init__(
        self,
        workload: Workload,
        manifest: Manifest,
        encode: Encode,
        search: Search,
        *,
        batch_size: int,
        readers: int,
        details: Mapping[str, str],
        films_a_call: Sequence[int] = FILMS_A_CALL,
    ) -> None:
        self._encode = encode
        self._search = search
        self._preprocessing = manifest.preprocessing
        self._batch_size = batch_size
        self._films = workload.film_files()
        self._features = workload.feature_rows()
        self._readers = ThreadPoolExecutor(readers)
        self._pictures = self._read(self._films)
        self._films_a_call = _fastest(encode, self._pictures, films_a_call)
        self._details = {**details, "films a call of the encoder": str(self._films_a_call)}

    def details(self) -> Mapping[str, str]:
        return self._details

    def from_films(self, first: int, count: int) -> list[Words]:
        films = self._films[first : first + count]
        return [
            words
            for start in range(0, len(films), self._batch_size)
            for words in self._search.decode(
                self._features_of(self._read(films[start : start + self._batch_size]))
            )
        ]

    def from_features(self, first: int, count: int) -> list[Words]:
        return self._search.decode(self._features[first : first + count])

    def encode(self, first: int, count: int) -> None:
        self._features_of(self._pictures[first : first + count])

    def _read(self, films: Sequence[bytes]) -> NDArray[np.uint8]:
        """Pictures uint8 [N, H, W]."""
        return np.stack(list(self._readers.map(self._preprocessing.read, films)))

    def _features_of(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        size = self._films_a_call
        return np.concatenate(
            [self._encode(pictures[start : start + size]) for start in range(0, len(pictures), size)]
        )


def require_peer(
    workload: Workload,
    precision: str,
    precisions: Sequence[str] = (FP32,),
    devices: Sequence[str] = ("cpu",),
) -> None:
    """Raise InputError where a peer can't run this workload, or not at this precision."""
    if precision not in precisions:
        raise InputError(f"this peer runs {' and '.join(precisions)}, not {precision!r}; take one of those")
    if workload.device not in devices:
        known = " or ".join(map(repr, devices))
        raise InputError(f"this peer runs on the device {known}, not {workload.device!r}; ask for {known}")
    require_plain(workload.settings)


def _fastest(encode: Encode, pictures: NDArray[np.uint8], sizes: Sequence[int]) -> int:
    """The size at which a film takes the least time, among those that there are films for."""
    possible = [size for size in sizes if size <= len(pictures)] or [1]
    if len(possible) == 1:
        return possible[0]
    seconds = least_seconds({str(size): partial(encode, pictures[:size]) for size in possible})
    return min(possible, key=lambda size: seconds[str(size)] / size)

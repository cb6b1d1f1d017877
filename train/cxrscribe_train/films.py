"""Many films, read and preprocessed ahead on a few threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import FilmError
from cxrscribe.preprocess import Preprocessing
from cxrscribe.threads import usable_threads

# Pillow releases the interpreter lock while it decodes and resizes; more threads than this only hold memory.
_MOST_THREADS: Final = 8
_AHEAD_PER_THREAD: Final = 4


@dataclass(frozen=True)
class DamagedFilm:
    """A film that can't be read, and why."""

    image_id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.image_id}: {self.reason}"


def read_films(
    films: Iterable[tuple[str, Path]], preprocessing: Preprocessing
) -> Iterator[tuple[str, NDArray[np.uint8] | DamagedFilm]]:
    """Read films in their order, a bounded number ahead.

    Args:
        films: pairs of image id and file.
        preprocessing: brings each film to uint8 [height, width].

    Yields:
        the image id with the film, or with the reason why it can't be read.
    """

    def read(image_id: str, path: Path) -> NDArray[np.uint8] | DamagedFilm:
        try:
            return preprocessing.read(path)
        except FilmError as error:
            return DamagedFilm(image_id, str(error))

    threads = min(usable_threads(), _MOST_THREADS)
    waiting: deque[tuple[str, Future[NDArray[np.uint8] | DamagedFilm]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for image_id, path in films:
                waiting.append((image_id, pool.submit(read, image_id, path)))
                if len(waiting) >= threads * _AHEAD_PER_THREAD:
                    first, film = waiting.popleft()
                    yield first, film.result()
            while waiting:
                first, film = waiting.popleft()
                yield first, film.result()
        finally:
            for _, film in waiting:
                film.cancel()

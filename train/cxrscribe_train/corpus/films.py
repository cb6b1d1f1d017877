"""Many films, read and preprocessed ahead on a few threads."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import FilmError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.films.read_ahead import read_ahead
from cxrscribe.sessions.device import usable_threads

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
) -> Generator[tuple[str, NDArray[np.uint8] | DamagedFilm], None, None]:
    """Read films in their order, a bounded number ahead.

    What a corpus lists is a film, whatever modality and part of the body its DICOM header says.

    Args:
        films: pairs of image id and file.
        preprocessing: brings each film to uint8 [height, width].

    Yields:
        the image id with the film, or with the reason why it can't be read.
    """

    threads = usable_threads()
    named = ((path, image_id) for image_id, path in films)
    read_any = partial(preprocessing.read, modalities=())
    with closing(read_ahead(named, read_any, threads, threads * _AHEAD_PER_THREAD)) as read:
        for film, image_id in read:
            yield image_id, DamagedFilm(image_id, str(film)) if isinstance(film, FilmError) else film

"""Films that are drawn for a benchmark: phantoms, so that nobody's picture is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_train.phantom.drawing.film import draw_film
from cxrscribe_train.phantom.sampling import sample_findings
from cxrscribe_train.phantom.stream import IntegerStream

SIDE: Final = 512
"""Pixels of a drawn film."""


def drawn_film(number: int, seed: int = 0) -> NDArray[np.uint8]:
    """A phantom's film, uint8 [512, 512], the same for the same numbers."""
    return draw_film(sample_findings(IntegerStream.named("bench", seed, number)), seed + number)


def drawn_films(count: int, side: int, seed: int = 0) -> NDArray[np.uint8]:
    """Phantoms, as a network takes them: uint8 [count, side, side]."""
    apply = Preprocessing(side, side).apply
    return np.stack([apply(drawn_film(number, seed)) for number in range(count)])


def write_drawn_films(count: int, folder: Path) -> tuple[Path, ...]:
    """Files of so many films, PNG of 512 x 512 pixels; those that are there already are kept."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"phantom-{number:04}.png" for number in range(count))
    for number, path in enumerate(paths):
        if not path.exists():
            unfinished = path.with_suffix(".part")
            Image.fromarray(drawn_film(number)).save(unfinished, format="PNG")
            unfinished.replace(path)
    return paths

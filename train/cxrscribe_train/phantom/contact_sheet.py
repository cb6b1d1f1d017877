"""Many films on one picture, each above its caption."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.atomic import write_atomically
from cxrscribe_train.phantom.corpus import PhantomCorpus, film_file
from cxrscribe_train.phantom.recipe import Recipe

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_FILMS: Final = 24

_GAP: Final = 6  # px around a film
_LINE: Final = 13  # px, of the caption's font
_LETTER: Final = 6  # px, about
_PAPER: Final = 24  # grey
_INK: Final = 225


def write_contact_sheet(corpus: PhantomCorpus, directory: Path, file: Path, columns: int) -> None:
    """Write the first 24 films of a corpus in `directory` on one PNG, with the names of their findings."""
    from PIL import Image

    films = []
    recipes = corpus.recipes[:MOST_FILMS]
    for recipe in recipes:
        with Image.open(film_file(recipe, directory)) as film:
            films.append(np.asarray(film))
    buffer = io.BytesIO()
    contact_sheet(films, [_names(recipe) for recipe in recipes], columns).save(buffer, "PNG", optimize=True)
    write_atomically(file, buffer.getvalue())


def _names(recipe: Recipe) -> str:
    return ", ".join(finding.kind.replace("_", " ") for finding in recipe.findings) or "normal"


def contact_sheet(
    films: Sequence[NDArray[np.uint8]], captions: Sequence[str], columns: int, film_size: int = 256
) -> Image:
    """A grey picture of all films, row by row, with their captions.

    Args:
        films: uint8 [h, w] each; they are brought to `film_size` x `film_size` px.
        captions: one a film; long ones are broken into lines.
        columns: films a row.
        film_size: side of a film on the sheet, in px.

    Raises:
        ValueError: no films, not one caption a film, or a column or size below 1.
    """
    from PIL import Image, ImageDraw

    if not films:
        raise ValueError("a contact sheet needs at least one film, got none")
    if len(films) != len(captions):
        raise ValueError(f"{len(films)} films have {len(captions)} captions; give one caption a film")
    if columns < 1 or film_size < 1:
        raise ValueError(f"columns and film_size must be at least 1, not {columns} and {film_size}")
    wrapped = [textwrap.wrap(caption, max(film_size // _LETTER, 1)) for caption in captions]
    cell_width = film_size + 2 * _GAP
    cell_height = film_size + 3 * _GAP + max(1, *(len(lines) for lines in wrapped)) * _LINE
    rows = -(-len(films) // columns)
    sheet = Image.new("L", (columns * cell_width, rows * cell_height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, (film, lines) in enumerate(zip(films, wrapped, strict=True)):
        x = index % columns * cell_width + _GAP
        y = index // columns * cell_height + _GAP
        small = Image.fromarray(film).resize((film_size, film_size), Image.Resampling.BOX)
        sheet.paste(small, (x, y))
        for row, line in enumerate(lines):
            draw.text((x, y + film_size + _GAP + row * _LINE), line, fill=_INK)
    return sheet

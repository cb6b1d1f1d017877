"""The contact sheet holds every film at its place, with a caption."""

from __future__ import annotations

import numpy as np
import pytest

from cxrscribe_train.phantom.contact_sheet import contact_sheet


def even_film(grey: int) -> np.ndarray:
    return np.full((512, 512), grey, dtype=np.uint8)


def test_films_stand_row_by_row() -> None:
    sheet = np.asarray(
        contact_sheet([even_film(g) for g in (50, 100, 150)], ["a", "b", "c"], 2, film_size=64)
    )
    height, width = sheet.shape
    assert width == 2 * 76
    cell = height // 2
    assert [int(sheet[40, 40]), int(sheet[40, 116]), int(sheet[cell + 40, 40])] == [50, 100, 150]


def test_captions_are_written_under_their_films() -> None:
    films = [even_film(0)]
    captioned = np.asarray(contact_sheet(films, ["nodule, left upper"], 1, film_size=128))
    silent = np.asarray(contact_sheet(films, [""], 1, film_size=128))
    assert captioned.shape == silent.shape
    changed = np.argwhere(captioned != silent)
    assert len(changed) > 50
    assert changed[:, 0].min() >= 128


def test_long_captions_get_more_lines() -> None:
    short = contact_sheet([even_film(0)], ["normal"], 1, film_size=96)
    long = contact_sheet(
        [even_film(0)], ["moderate right pleural effusion and a large heart"], 1, film_size=96
    )
    assert long.height > short.height


@pytest.mark.parametrize(
    ("films", "captions", "columns", "message"),
    [
        (0, 0, 1, "at least one film"),
        (2, 1, 1, "2 films have 1 captions"),
        (1, 1, 0, "columns and film_size must be at least 1, not 0"),
    ],
)
def test_wrong_numbers_are_named(films: int, captions: int, columns: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contact_sheet([even_film(0)] * films, ["x"] * captions, columns)

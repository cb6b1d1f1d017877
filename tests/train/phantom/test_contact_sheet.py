"""The contact sheet holds every film at its place, with a caption."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cxrscribe_train.commands.phantom import phantom
from cxrscribe_train.phantom.contact_sheet import contact_sheet
from cxrscribe_train.phantom.drawing.film import draw_film
from cxrscribe_train.phantom.recipe import sampled_recipe

FILM_ROW = 262  # px: a gap and a film


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


def drawn(sheet: Path, studies: int, seed: int, *options: object) -> np.ndarray:
    """What the command writes."""
    arguments = ["--studies", studies, "--seed", seed, "--out", sheet.parent / "corpus", "--workers", 1]
    arguments += ["--contact-sheet", sheet, *options]
    result = CliRunner().invoke(phantom, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    with Image.open(sheet) as picture:
        return np.asarray(picture)


def test_the_command_puts_the_films_of_a_corpus_on_a_sheet(tmp_path: Path) -> None:
    sheet = drawn(tmp_path / "sheet.png", 3, 2026, "--columns", 2)
    films, captions = [], ["pneumothorax", "mass, granuloma", "mass, emphysema, pacemaker"]
    for index in (1, 2, 3):
        recipe = sampled_recipe(2026, index)
        films.append(draw_film(recipe.findings, recipe.drawing_seed))
    np.testing.assert_array_equal(sheet, np.asarray(contact_sheet(films, captions, columns=2)))


@pytest.mark.slow
def test_the_command_makes_the_picture_of_the_docs_of_no_more_than_24_films(tmp_path: Path) -> None:
    sheet = drawn(tmp_path / "sheet.png", 25, 2026)
    with Image.open(Path(__file__).parents[3] / "docs" / "phantoms.png") as picture:
        kept = np.asarray(picture)
    assert sheet.shape == kept.shape
    # Captions may look different with another Pillow; films may not.
    for row in range(4):
        top = row * kept.shape[0] // 4
        np.testing.assert_array_equal(sheet[top : top + FILM_ROW], kept[top : top + FILM_ROW])

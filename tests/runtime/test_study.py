from __future__ import annotations

from dataclasses import FrozenInstanceError
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as from_numpy
from numpy.typing import NDArray

from cxrscribe import Study
from cxrscribe.errors import InputError
from cxrscribe.study import MOST_FILMS, films_of, image_name, pooled

Rows = NDArray[np.float32]
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
rows = from_numpy.array_shapes(min_dims=2, max_dims=2, max_side=6).flatmap(
    lambda shape: from_numpy.arrays(np.float32, shape, elements=numbers)
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=rows, data=st.data())
def test_the_order_of_films_changes_no_bit(rows: Rows, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(rows))))
    assert pooled(rows[order]).tobytes() == pooled(rows).tobytes()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(row=rows, times=st.integers(1, 5))
def test_a_film_by_itself_and_a_film_repeated_keep_their_features(row: Rows, times: int) -> None:
    assert pooled(row[:1]).tobytes() == row[0].tobytes()
    assert pooled(np.repeat(row[:1], times, axis=0)).tobytes() == row[0].tobytes()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=rows)
def test_it_is_the_mean(rows: Rows) -> None:
    found = pooled(list(rows))
    assert found.dtype == np.float32
    largest = np.abs(rows).max(initial=0)
    np.testing.assert_allclose(found, rows.mean(axis=0, dtype=np.float64), rtol=1e-6, atol=1e-7 * largest)


def test_nothing_has_no_mean() -> None:
    with pytest.raises(InputError, match="no features to pool"):
        pooled([])


def test_a_study_keeps_its_films_and_shows_nobody_the_indication() -> None:
    study = Study(["a.png", Path("b.png")], "Mr. Miller coughs")
    assert study.films == ("a.png", Path("b.png"))
    assert repr(study) == "Study(a.png, b.png)"
    assert repr(Study([b"DICM Miller"])) == "Study(film of 11 bytes)"
    with pytest.raises(FrozenInstanceError):
        study.indication = None  # type: ignore[misc]


@pytest.mark.parametrize(
    ("films", "said"),
    [
        ("a.png", "is one film"),
        (b"film", "is one film"),
        (Path("a.png"), "is one film"),
        (np.zeros((9, 9), np.uint8), "is one array"),
        (3, "films of a study is 3"),
        ([], "has no films"),
        (repeat("a.png"), f"more than {MOST_FILMS} films"),
        ([Study(["a.png"])], "a study among them"),
    ],
)
def test_what_is_no_list_of_films_is_refused(films: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Study(films)  # type: ignore[arg-type]


def test_an_indication_is_a_text_and_no_error_shows_it() -> None:
    with pytest.raises(InputError, match="of type bytes") as refused:
        Study(["a.png"], b"Miller")  # type: ignore[arg-type]
    assert "Miller" not in str(refused.value)


def test_films_come_in_order_and_the_last_of_each_image_is_marked() -> None:
    images = [("a", 1), (Study(["b", "c"]), 2), (Study(["d"]), 3)]
    assert list(films_of(images)) == [
        ("a", (1, True)),
        ("b", (2, False)),
        ("c", (2, True)),
        ("d", (3, True)),
    ]


def test_a_study_is_named_by_its_films() -> None:
    assert image_name("a.png") == image_name(Study(["a.png"])) == "a.png"
    assert image_name(Study(["a.png", "b.png"])) == "study of 2 films, a.png first"

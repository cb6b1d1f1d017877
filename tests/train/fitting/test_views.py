from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxrscribe.errors import InputError
from cxrscribe.study import pooled
from cxrscribe_train.fitting.dataset import Examples
from cxrscribe_train.fitting.views import StudyViews, examples_by_study

names = st.lists(st.sampled_from("abcd"), min_size=1, max_size=12)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(studies=names)
def test_every_film_is_one_studys(studies: list[str]) -> None:
    views = StudyViews.of(studies)
    assert sorted(np.concatenate(views.films).tolist()) == list(range(len(studies)))
    assert [studies[films[0]] for films in views.films] == list(dict.fromkeys(studies))
    assert all(len({studies[film] for film in films}) == 1 for films in views.films)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(studies=names, seed=st.integers(0, 99), epoch=st.integers(0, 99))
def test_some_films_of_the_study_are_drawn_and_always_the_same(
    studies: list[str], seed: int, epoch: int
) -> None:
    for study, films in enumerate(StudyViews.of(studies).films):
        drawn = StudyViews.of(studies).drawn(study, seed, epoch)
        assert 0 < len(drawn) <= len(films)
        assert set(drawn.tolist()) <= set(films.tolist())
        assert drawn.tolist() == StudyViews.of(studies).drawn(study, seed, epoch).tolist()


def test_each_choice_comes_as_often_in_other_epochs_and_studies() -> None:
    views = StudyViews.of([name for name in map(str, range(300)) for _ in range(2)])
    counts = Counter(
        tuple((views.drawn(study, 3, epoch) - 2 * study).tolist())
        for epoch in range(5)
        for study in range(300)
    )
    assert set(counts) == {(0,), (1,), (0, 1)}
    assert all(400 < count < 600 for count in counts.values())


def test_pooled_rows_are_those_of_the_runtime() -> None:
    features = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    found = StudyViews.of("abaab").pooled(features)
    expected = [pooled(features[[3, 0, 2]]), pooled(features[[4, 1]])]
    assert found.tobytes() == np.stack(expected).tobytes()


def test_examples_of_studies_take_what_is_the_studys() -> None:
    examples = Examples(
        ("a1", "b1", "a2"),
        (("heart",), ("mass",), ("heart",)),
        2,
        3,
        ("cough", "", "cough"),
        ("a", "b", "a"),
    )
    assert examples_by_study(examples) == Examples(
        ("a1", "b1"), (("heart",), ("mass",)), 2, 3, ("cough", ""), ("a", "b")
    )
    other = replace(examples, words=(("heart",), ("mass",), ("lung",)))
    with pytest.raises(InputError, match="study 'a' has images with different FINDINGS"):
        examples_by_study(other)

"""The bookkeeping alone: candidates are written by hand, no network runs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cxrscribe.errors import SettingsError
from cxrscribe.search.beam import BeamSearch, Outcome
from cxrscribe.search.expander import Candidates
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import END, PAD, START, UNK
from support.small_models import letters

V = 6
A, B = 4, 5  # the two words of this vocabulary


def search_for(*settings: BeamSettings, slots: int = 8) -> BeamSearch:
    search = BeamSearch(letters(V), slots)
    search.admit(list(enumerate(settings)))
    return search


def advance(search: BeamSearch, *images: list[tuple[float, int, int]]) -> list[Outcome]:
    """One step with candidates written by hand."""
    places = search.frontier().score.shape[1]
    return search.advance(candidates(*images, count=2 * places))


def candidates(*images: list[tuple[float, int, int]], count: int) -> Candidates:
    """Of each image: (log_prob, rank of the parent, word), best first; filled up with none."""
    score = np.full((len(images), count), -np.inf, np.float32)
    index = np.zeros((len(images), count), np.int64)
    for row, image in enumerate(images):
        for rank, (log_prob, parent, word) in enumerate(image):
            score[row, rank], index[row, rank] = log_prob, parent * V + word
    return Candidates(score, index, score)


def forbidden(bias: NDArray[np.float32]) -> list[set[int]]:
    assert set(np.unique(bias)) <= {0.0, -np.inf}
    return [set(np.flatnonzero(row == -np.inf).tolist()) for row in bias]


def test_first_frontier_is_one_row_an_image() -> None:
    frontier = search_for(BeamSettings(beam_width=2), BeamSettings(beam_width=3)).frontier()
    assert frontier.token.tolist() == [START] * 6
    assert frontier.parent.reshape(2, 3)[:, 0].tolist() == [0, 1]
    assert (frontier.score > -np.inf).tolist() == [[True, False, False]] * 2
    assert frontier.score[:, 0].tolist() == [0.0, 0.0]
    assert forbidden(frontier.bias) == [{PAD, START, UNK}]


def test_frontier_names_parents_by_their_rows_in_the_frontier_before() -> None:
    search = search_for(BeamSettings(beam_width=2), BeamSettings(beam_width=2))
    advance(search, [(-1, 0, A), (-2, 0, B)], [(-1, 0, B), (-2, 0, A)])
    assert search.frontier().parent.tolist() == [0, 0, 2, 2]
    advance(search, [(-2, 1, A), (-3, 0, A)], [(-2, 1, B), (-3, 1, A)])
    frontier = search.frontier()
    assert frontier.parent.tolist() == [1, 0, 3, 3]
    assert frontier.token.tolist() == [A, A, B, A]
    assert frontier.score.tolist() == [[-2, -3], [-2, -3]]


def test_image_that_ends_leaves_the_rows_of_the_others_named_as_before() -> None:
    search = search_for(BeamSettings(beam_width=2, max_length=1), BeamSettings(beam_width=2))
    (outcome,) = advance(search, [(-1, 0, END), (-2, 0, B)], [(-1, 0, B), (-2, 0, A)])
    assert (outcome.image, outcome.steps) == (0, 1)
    assert len(search) == 1
    assert search.frontier().parent.tolist() == [2, 2]


def test_new_image_takes_the_place_of_one_that_ended_and_its_row_stands_behind_the_others() -> None:
    search = search_for(BeamSettings(beam_width=2, max_length=1), BeamSettings(beam_width=2), slots=2)
    assert search.room == 0
    advance(search, [(-1, 0, END)], [(-1, 0, B), (-2, 0, A)])
    assert search.room == 1
    search.admit([(7, BeamSettings(beam_width=2, max_length=2))])
    frontier = search.frontier()
    assert frontier.parent.tolist() == [4, 4, 2, 2]
    assert frontier.token.tolist() == [START, START, B, A]
    assert frontier.score.tolist() == [[0.0, -np.inf], [-1.0, -2.0]]
    assert advance(search, [(-1, 0, A)], [(-2, 0, A)]) == []
    (outcome,) = advance(search, [(-3, 0, END)], [(-4, 0, A)])
    assert (outcome.image, outcome.steps) == (7, 2)
    assert outcome.hypotheses[0].words == [A]


def test_beam_grows_and_shrinks_with_the_widest_image() -> None:
    narrow, wide = BeamSettings(beam_width=1), BeamSettings(beam_width=3, max_length=1)
    search = search_for(narrow)
    advance(search, [(-1, 0, A)])
    assert search.frontier().score.shape == (1, 1)
    search.admit([(1, wide)])
    frontier = search.frontier()
    assert frontier.score.tolist() == [[-1, -np.inf, -np.inf], [0, -np.inf, -np.inf]]
    assert frontier.parent.tolist() == [0, 0, 0, 1, 1, 1]
    advance(search, [(-2, 0, B), (-3, 0, A)], [(-1, 0, A), (-2, 0, B), (-3, 0, END)])
    frontier = search.frontier()
    assert frontier.score.tolist() == [[-2.0]]
    assert frontier.parent.tolist() == [0]


def test_unfinished_stand_behind_finished_whatever_their_score() -> None:
    search = search_for(BeamSettings(beam_width=2, max_length=1, n_best=2))
    (outcome,) = advance(search, [(-1, 0, A), (-5, 0, END), (-6, 0, B)])
    assert [(each.words, each.finished, each.score) for each in outcome.hypotheses] == [
        ([], True, -5.0),
        ([A], False, -1.0),
    ]


def test_image_with_a_narrower_beam_gets_no_more_results_than_its_own() -> None:
    search = search_for(
        BeamSettings(beam_width=1, max_length=1), BeamSettings(beam_width=3, max_length=1, n_best=3)
    )
    image = [(-1.0, 0, END), (-2.0, 0, A), (-3.0, 0, B)]
    first, second = advance(search, image, image)
    assert (len(first.hypotheses), len(second.hypotheses)) == (1, 3)


def test_end_token_below_the_beam_width_is_dropped() -> None:
    search = search_for(BeamSettings(beam_width=1, max_length=1))
    (outcome,) = advance(search, [(-1, 0, A), (-2, 0, END)])
    assert [each.finished for each in outcome.hypotheses] == [False]


def test_bias_follows_each_images_own_limits() -> None:
    special = {PAD, START, UNK}
    search = search_for(
        BeamSettings(beam_width=2, min_length=2, no_repeat_ngram=1),
        BeamSettings(beam_width=2, banned_words=("b",)),
        BeamSettings(beam_width=2, no_repeat_ngram=2),
    )
    assert forbidden(search.frontier().bias)[::2] == [special | {END}, special | {B}, special]
    first = [(-1.0, 0, A), (-2.0, 0, B)]
    advance(search, first, first, first)
    assert forbidden(search.frontier().bias) == [
        special | {END, A},
        special | {END, B},
        special | {B},
        special | {B},
        special,
        special,
    ]
    second = [(-2.0, 0, A), (-3.0, 1, A)]
    advance(search, [(-2.0, 0, B), (-3.0, 1, A)], second, second)
    assert forbidden(search.frontier().bias) == [
        special | {A, B},
        special | {A, B},
        special | {B},
        special | {B},
        special | {A},  # a a: another a would repeat it
        special,  # b a: only b a itself is there
    ]


def test_image_without_any_candidate_ends_with_nothing() -> None:
    (outcome,) = advance(search_for(BeamSettings(beam_width=2)), [(-np.inf, 0, A), (-np.inf, 0, B)])
    assert (outcome.image, outcome.hypotheses, outcome.has_nan) == (0, [], False)


def test_image_with_nan_ends_with_nothing_even_if_it_had_a_result() -> None:
    search = search_for(*[BeamSettings(beam_width=2, length_penalty=1.0)] * 2)
    advance(search, *[[(-1, 0, END), (-1.5, 0, A), (-2, 0, B)]] * 2)
    nan = [(np.nan, 0, PAD)] * 4
    (outcome,) = advance(search, [(-2, 0, A), (-3, 1, A)], nan)
    assert (outcome.image, outcome.hypotheses, outcome.has_nan) == (1, [], True)
    assert len(search) == 1


def test_image_under_an_unknown_word_does_not_enter_and_harms_nobody() -> None:
    search = search_for(BeamSettings(beam_width=2))
    with pytest.raises(SettingsError, match="zebra"):
        search.admit([(1, BeamSettings(beam_width=2)), (2, BeamSettings(banned_words=("zebra",)))])
    assert len(search) == 1
    assert advance(search, [(-1, 0, A), (-2, 0, B)]) == []


def test_settings_that_nobody_uses_any_more_are_forgotten() -> None:
    search = BeamSearch(letters(V), 2)
    search.admit([(0, BeamSettings(beam_width=1, max_length=50))])
    for image in range(1, 40):
        search.admit([(image, BeamSettings(beam_width=1, max_length=1, length_penalty=image / 10))])
        (outcome,) = advance(search, [(-1.0, 0, A)], [(-3.0, 0, END)])
        assert outcome.image == image
        assert outcome.hypotheses[0].score == -3.0
        assert len(search._constraints) <= 5

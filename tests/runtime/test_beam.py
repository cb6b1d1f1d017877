"""The bookkeeping alone: candidates are written by hand, no network runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cxrscribe.beam import BeamSearch, Candidates
from cxrscribe.constraints import Constraints
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import END, PAD, START, UNK
from support.small_models import letters

V = 6
A, B = 4, 5  # the two words of this vocabulary


def search_for(*settings: BeamSettings) -> BeamSearch:
    return BeamSearch(Constraints.of(settings, letters(V)), V)


def candidates(*images: list[tuple[float, int, int]]) -> Candidates:
    """Of each image: (log_prob, rank of the parent, word), best first; filled up with none."""
    count = max(len(image) for image in images)
    score = np.full((len(images), count), -np.inf, np.float32)
    index = np.zeros((len(images), count), np.int64)
    for row, image in enumerate(images):
        for rank, (log_prob, parent, word) in enumerate(image):
            score[row, rank], index[row, rank] = log_prob, parent * V + word
    return Candidates(score, index, score, np.zeros(len(images), np.bool_))


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
    search.advance(candidates([(-1, 0, A), (-2, 0, B)], [(-1, 0, B), (-2, 0, A)]))
    assert search.frontier().parent.tolist() == [0, 0, 2, 2]
    search.advance(candidates([(-2, 1, A), (-3, 0, A)], [(-2, 1, B), (-3, 1, A)]))
    frontier = search.frontier()
    assert frontier.parent.tolist() == [1, 0, 3, 3]
    assert frontier.token.tolist() == [A, A, B, A]
    assert frontier.score.tolist() == [[-2, -3], [-2, -3]]


def test_image_that_ends_leaves_the_rows_of_the_others_named_as_before() -> None:
    search = search_for(BeamSettings(beam_width=2, max_length=1), BeamSettings(beam_width=2))
    results = search.advance(candidates([(-1, 0, END), (-2, 0, B)], [(-1, 0, B), (-2, 0, A)]))
    assert results.image.tolist() == [0]
    assert search.images == 1
    assert search.frontier().parent.tolist() == [2, 2]


def test_unfinished_stand_behind_finished_whatever_their_score() -> None:
    search = search_for(BeamSettings(beam_width=2, max_length=1))
    results = search.advance(candidates([(-1, 0, A), (-5, 0, END), (-6, 0, B)]))
    assert results.hypotheses.tokens[0, :, 0].tolist() == [END, A]
    assert results.hypotheses.finished.tolist() == [[True, False]]
    assert results.score.tolist() == [[-5.0, -1.0]]


def test_image_with_a_narrower_beam_gets_no_more_results_than_its_own() -> None:
    search = search_for(BeamSettings(beam_width=1, max_length=1), BeamSettings(beam_width=3, max_length=1))
    image = [(-1.0, 0, END), (-2.0, 0, A), (-3.0, 0, B)]
    results = search.advance(candidates(image, image))
    assert results.hypotheses.exists.tolist() == [[True, False, False], [True, True, True]]


def test_end_token_below_the_beam_width_is_dropped() -> None:
    search = search_for(BeamSettings(beam_width=1, max_length=1))
    results = search.advance(candidates([(-1, 0, A), (-2, 0, END)]))
    assert results.hypotheses.finished.tolist() == [[False]]


def test_bias_follows_each_images_own_limits() -> None:
    special = {PAD, START, UNK}
    search = search_for(
        BeamSettings(beam_width=2, min_length=2, no_repeat_ngram=1),
        BeamSettings(beam_width=2, banned_words=("b",)),
        BeamSettings(beam_width=2, no_repeat_ngram=2),
    )
    assert forbidden(search.frontier().bias)[::2] == [special | {END}, special | {B}, special]
    first = [(-1.0, 0, A), (-2.0, 0, B)]
    search.advance(candidates(first, first, first))
    assert forbidden(search.frontier().bias) == [
        special | {END, A},
        special | {END, B},
        special | {B},
        special | {B},
        special,
        special,
    ]
    second = [(-2.0, 0, A), (-3.0, 1, A)]
    search.advance(candidates([(-2.0, 0, B), (-3.0, 1, A)], second, second))
    assert forbidden(search.frontier().bias) == [
        special | {A, B},
        special | {A, B},
        special | {B},
        special | {B},
        special | {A},  # a a: another a would repeat it
        special,  # b a: only b a itself is there
    ]


def test_image_without_any_candidate_ends_with_nothing() -> None:
    none = [(-np.inf, 0, word) for word in (A, B)]
    results = search_for(BeamSettings(beam_width=2)).advance(candidates(none))
    assert results.image.tolist() == [0]
    assert not results.hypotheses.exists.any()


def test_image_with_nan_ends_with_nothing_even_if_it_had_a_result() -> None:
    search = search_for(*[BeamSettings(beam_width=2, length_penalty=1.0)] * 2)
    search.advance(candidates(*[[(-1, 0, END), (-1.5, 0, A), (-2, 0, B)]] * 2))
    both = candidates(*[[(-2, 0, A), (-3, 1, A)]] * 2)
    results = search.advance(replace(both, has_nan=np.array([False, True])))
    assert (results.image.tolist(), results.has_nan.tolist()) == ([1], [True])
    assert not results.hypotheses.exists.any()
    assert search.images == 1

"""How long the search itself takes, without any network: candidates are made before anything is timed."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from cxrscribe import BeamSettings
from cxrscribe.search.beam import BeamSearch, Outcome
from cxrscribe.search.expander import Candidates
from cxrscribe.vocabulary import END, SPECIAL_TOKENS, Vocabulary

WORDS = 1000
LENGTH = 40
"""Steps of each search, about those of a report."""


def canned(images: int, width: int) -> list[Candidates]:
    """Candidates of LENGTH steps: words at random, at the last step `<end>` for the best of each image."""
    random = np.random.default_rng(0)
    steps = []
    for step in range(LENGTH):
        shape = (images, 2 * width)
        word = random.integers(len(SPECIAL_TOKENS), WORDS, shape)
        parent = random.integers(0, width if step else 1, shape)
        token_log_prob = -np.sort(random.random(shape, np.float32), axis=1)
        if step == LENGTH - 1:
            word[:, 0] = END
        steps.append(Candidates(token_log_prob - np.float32(step), parent * WORDS + word, token_log_prob))
    return steps


def search(searcher: BeamSearch, settings: list[BeamSettings], steps: list[Candidates]) -> list[Outcome]:
    """All steps of all images; `clear` leaves the search as new."""
    searcher.admit(list(enumerate(settings)))
    finished: list[Outcome] = []
    for candidates in steps:
        searcher.frontier()
        finished += searcher.advance(candidates)
    searcher.clear()
    return finished


@pytest.mark.benchmark(group="bookkeeping")
@pytest.mark.parametrize(
    ("images", "width", "no_repeat"),
    [(1, 5, 0), (32, 1, 0), (32, 5, 0), (32, 10, 0), (32, 5, 3)],
    ids=["1-image", "32-beam-1", "32-beam-5", "32-beam-10", "32-no-repeat"],
)
def test_whole_search(benchmark: BenchmarkFixture, images: int, width: int, no_repeat: int) -> None:
    words = Vocabulary((*SPECIAL_TOKENS, *(f"w{n}" for n in range(WORDS - len(SPECIAL_TOKENS)))))
    settings = BeamSettings(
        beam_width=width, max_length=LENGTH, length_penalty=0.0, no_repeat_ngram=no_repeat
    )
    steps = canned(images, width)
    run = partial(search, BeamSearch(words, images), [settings] * images, steps)
    outcomes = benchmark(run)
    assert sorted(outcome.image for outcome in outcomes) == list(range(images))
    for outcome in outcomes:
        best = outcome.hypotheses[0]
        assert best.finished
        assert len(best.words) == LENGTH - 1
        assert best.log_prob == steps[-1].score[outcome.image, 0]

"""The file of the embedded demo bundle, on drawn films: the words of the runtime, in all results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import cxrscribe
from cxrscribe import BeamSettings
from cxrscribe.bundle.bundle import Bundle
from cxrscribe_export.onefile.file import one_file
from support.one_file import Films, OneFile, results_of

FILMS = 96  # `python -m cxrscribe_bench.scripts.onefile BUNDLE --films 500` compares more


@pytest.fixture(scope="module")
def films() -> Films:
    from cxrscribe_train.phantom.drawing.film import draw_film
    from cxrscribe_train.phantom.recipe import sampled_recipe

    apply = Bundle.open(cxrscribe.demo_bundle()).manifest.preprocessing.apply
    recipes = [sampled_recipe(31, number) for number in range(1, FILMS + 1)]
    return np.stack([apply(draw_film(recipe.findings, recipe.drawing_seed)) for recipe in recipes])


@pytest.fixture(scope="module")
def file() -> OneFile:
    return OneFile(one_file(Bundle.open(cxrscribe.demo_bundle())))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{}, {"beam_width": 1}, {"beam_width": 5, "length_penalty": 0.7}, {"max_length": 12, "min_length": 3}],
    ids=str,
)
def test_words_are_those_of_the_runtime(file: OneFile, films: Films, changes: dict[str, float]) -> None:
    with cxrscribe.load(cxrscribe.demo_bundle(), device="cpu") as reporter:
        chosen: BeamSettings = replace(reporter.settings, **changes)
        outcomes = reporter.report_batch(list(films), replace(chosen, n_best=chosen.beam_width))
    found = file.results(films, chosen)
    for own, wanted in zip(found, map(results_of, outcomes), strict=True):
        assert [(each.tokens, each.finished) for each in own] == [
            (each.tokens, each.finished) for each in wanted
        ]
        # The bundle may hold the step in another form than the file: sums differ in their last digits.
        assert [each.score for each in own] == pytest.approx([each.score for each in wanted], abs=1e-4)

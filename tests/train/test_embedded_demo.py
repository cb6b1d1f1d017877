"""The demo bundle, on phantoms that were drawn just now."""

from __future__ import annotations

import pytest

import cxrscribe
from cxrscribe import demo_bundle
from cxrscribe_train.labeller import label
from cxrscribe_train.phantom.drawing.film import draw_film
from cxrscribe_train.phantom.recipe import sampled_recipe

FILMS = 100
SEED = 31337


@pytest.mark.slow
def test_reports_state_what_fresh_phantoms_show() -> None:
    recipes = [sampled_recipe(SEED, index) for index in range(1, FILMS + 1)]
    films = (draw_film(recipe.findings, recipe.drawing_seed) for recipe in recipes)
    right = stated = shown = 0
    with cxrscribe.load(demo_bundle(), device="cpu") as reporter:
        for recipe, report in zip(recipes, reporter.report_stream(films), strict=True):
            assert isinstance(report, cxrscribe.Report)
            found, truth = label(report.text), {finding.kind for finding in recipe.findings}
            right += len(found & truth)
            stated += len(found)
            shown += len(truth)
    # A hundred films scatter by a few hundredths around the recorded figure, which is above 0.90.
    assert 2 * right / (stated + shown) > 0.85

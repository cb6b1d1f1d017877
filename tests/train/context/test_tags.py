"""Tags: logits of the findings that reports state, linear in the features, out of fold for training films."""

from __future__ import annotations

import numpy as np
import pytest

from cxrscribe.errors import InputError
from cxrscribe_train.context.tags import LEAST_FILMS, fit_tags

MASS, EFFUSION, CLEAR = (
    ["there", "is", "a", "mass", "on", "the", "left", "."],
    ["right", "pleural", "effusion", "."],
    ["lungs", "are", "clear", "."],
)


def corpus(films: int = 120) -> tuple[np.ndarray, list[list[str]], list[str]]:
    random = np.random.default_rng(0)
    kinds = random.integers(0, 3, films)
    centres = 3 * random.normal(size=(3, 10))
    features = (centres[kinds] + random.normal(size=(films, 10))).astype(np.float32) * 50 + 7
    reports = [[MASS, EFFUSION, CLEAR][kind] for kind in kinds]
    return features, reports, [f"S{film // 2}" for film in range(films)]


def test_logits_tell_what_reports_state() -> None:
    features, reports, studies = corpus()
    tags = fit_tags(features, reports, studies, seed=0)
    assert tags.weight.shape == (10, 4)  # mass, mass at the left, effusion, effusion at the right
    logits = features @ tags.weight + tags.bias
    truth = np.array([[report is MASS] * 2 + [report is EFFUSION] * 2 for report in reports])
    found = {tuple(column) for column in ((logits > 0).T).tolist()}
    assert found == {tuple(column) for column in truth.T.tolist()}
    assert ((tags.out_of_fold > 0) == (logits > 0)).mean() > 0.95


def test_out_of_fold_films_of_chance_are_not_told() -> None:
    random = np.random.default_rng(3)
    features = random.normal(size=(80, 60)).astype(np.float32)
    reports = [MASS if random.random() < 0.5 else CLEAR for _ in range(80)]
    tags = fit_tags(features, reports, [f"S{film}" for film in range(80)], seed=0)
    truth = np.array([report is MASS for report in reports])
    logits = features @ tags.weight + tags.bias
    assert ((logits[:, 0] > 0) == truth).mean() > 0.8
    assert ((tags.out_of_fold[:, 0] > 0) == truth).mean() < 0.7


def test_what_too_few_films_show_is_no_tag() -> None:
    features, reports, studies = corpus()
    few = [MASS] * (LEAST_FILMS - 1) + [CLEAR] * (len(reports) - LEAST_FILMS + 1)
    with pytest.raises(InputError, match="nothing to tag films with"):
        fit_tags(features, few, studies, seed=0)
    enough = [MASS] * LEAST_FILMS + [CLEAR] * (len(reports) - LEAST_FILMS)
    assert fit_tags(features, enough, studies, seed=0).bias.shape == (2,)

from __future__ import annotations

import math

import numpy as np
import pytest

from cxrscribe_train.evaluation.familiar import familiarity
from cxrscribe_train.evaluation.metrics.bleu import BleuCounts, Words


def words(*texts: str) -> list[Words]:
    return [tuple(text.split()) for text in texts]


REFERENCES = words(
    "the lungs are clear .", "a mass is seen in the left lung .", "the heart is not enlarged ."
)
TRAINING = words("the lungs are clear .", "the heart is normal .", "the heart is not enlarged .")
REPORTS = words("the lungs are clear .", "the lungs are clear in the left lung .", "the heart is large .")


def bleu(reports: list[Words], references: list[Words]) -> float:
    return float(BleuCounts.of(reports, references).statistic(4)(np.ones((1, len(reports))))[0])


def test_each_part_is_scored_as_if_it_were_all() -> None:
    found = familiarity(REFERENCES, TRAINING, {"model": REPORTS})
    assert (found.films, found.of) == (2, 3)
    of_known = bleu([REPORTS[0], REPORTS[2]], [REFERENCES[0], REFERENCES[2]])
    assert found.bleu_4["model"].familiar == pytest.approx(of_known)
    assert found.bleu_4["model"].others == pytest.approx(bleu([REPORTS[1]], [REFERENCES[1]]))
    assert found.to_json()["share"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(("training", "films"), [([], 0), (REFERENCES, 3)])
def test_an_empty_part_has_no_figure(training: list[Words], films: int) -> None:
    found = familiarity(REFERENCES, training, {"model": REPORTS})
    parts = found.bleu_4["model"]
    empty, whole = (parts.familiar, parts.others) if films == 0 else (parts.others, parts.familiar)
    assert found.films == films
    assert math.isnan(empty)
    assert whole == pytest.approx(bleu(REPORTS, REFERENCES))
    assert None in dict(found.to_json()["bleu_4"]["model"]).values()  # type: ignore[index]

"""How long it takes from features to reports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from cxrscribe import Reporter


@pytest.mark.benchmark(group="decode")
@pytest.mark.parametrize("width", [1, 5, 10], ids=["beam-1", "beam-5", "beam-10"])
@pytest.mark.parametrize("rows", [1, 32], ids=["1-row", "32-rows"])
def test_decode_features(
    benchmark: BenchmarkFixture,
    reporter: Reporter,
    features: NDArray[np.float32],
    rows: int,
    width: int,
    knows_words: bool,
) -> None:
    settings = replace(reporter.settings, beam_width=width, n_best=1)
    reports = benchmark(reporter.decode_features, features[:rows], settings)
    assert len(reports) == rows
    assert all(report.tokens for report in reports) or not knows_words
    alone = reporter.decode_features(features[rows - 1 : rows], settings)
    assert reports[-1].tokens == alone[0].tokens

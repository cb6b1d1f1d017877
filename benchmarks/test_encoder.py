"""How long the image encoder takes, at each precision that the bundle has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

import cxrscribe
from cxrscribe.bundle.bundle import Bundle, GraphSource
from cxrscribe.bundle.contract import ENCODER
from cxrscribe.bundle.files import FP32
from cxrscribe.networks.encoder import Encoder
from cxrscribe.sessions.device import Role
from cxrscribe.sessions.factory import SessionFactory, WantedGraph

LEAST_LIKENESS = {FP32: 1 - 1e-5}
"""Cosine of features with those of fp32; other precisions may differ, but not mean something else."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each precision: which there are is in the bundle that is measured."""
    if "precision" in metafunc.fixturenames:
        chosen: Path | None = metafunc.config.getoption("--bundle")
        opened = Bundle.open(chosen or cxrscribe.demo_bundle(), verify=False)
        names = [name for name in opened.manifest.graph_precisions if opened.has_graph(ENCODER, name)]
        metafunc.parametrize("precision", names, scope="module")


@pytest.fixture(scope="module")
def encoder(bundle: Bundle, precision: str) -> Encoder:
    return opened_encoder(bundle, precision)


@pytest.fixture(scope="module")
def expected(bundle: Bundle, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    return opened_encoder(bundle, FP32).encode(pictures[:8])


@pytest.mark.benchmark(group="encoder")
@pytest.mark.parametrize("count", [1, 8], ids=["1-film", "8-films"])
def test_encode(
    benchmark: BenchmarkFixture,
    encoder: Encoder,
    precision: str,
    count: int,
    pictures: NDArray[np.uint8],
    expected: NDArray[np.float32],
) -> None:
    features = benchmark(encoder.encode, pictures[:count])
    assert features.shape == (count, encoder.feature_size)
    for mine, reference in zip(features, expected, strict=False):
        likeness = mine @ reference / np.sqrt((mine @ mine) * (reference @ reference))
        assert likeness > LEAST_LIKENESS.get(precision, 0.9)


def opened_encoder(bundle: Bundle, precision: str) -> Encoder:
    """The graph as it comes, from no cache."""
    sessions = SessionFactory("cpu")
    (session,) = sessions.open([WantedGraph(GraphSource(bundle, ENCODER, precision), Role.ENCODER)])
    return Encoder(session, bundle.manifest.architecture, bundle.manifest.preprocessing)

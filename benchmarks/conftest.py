"""What all suites measure: the demo bundle, or the one that `--bundle` names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

import cxrscribe
from cxrscribe import Reporter
from cxrscribe.bundle.bundle import Bundle
from cxrscribe_bench.results.environment import environment

FILMS = 32
SPREAD = 0.05
"""Of the drawn features around those of the sample films."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let another bundle be measured than the demo bundle."""
    parser.addoption("--bundle", type=Path, default=None, help="Bundle to measure; default: the demo bundle.")


@pytest.fixture(scope="session")
def machine() -> dict[str, object]:
    """The environment, once for all."""
    return environment()


@pytest.fixture(autouse=True)
def on_record(request: pytest.FixtureRequest, machine: dict[str, object]) -> None:
    """Let `--benchmark-json` say with each figure where it comes from."""
    if "benchmark" in request.fixturenames:
        benchmark: BenchmarkFixture = request.getfixturevalue("benchmark")
        benchmark.extra_info.update(machine, bundle=str(request.getfixturevalue("bundle").path))


@pytest.fixture(scope="session")
def bundle(pytestconfig: pytest.Config) -> Bundle:
    """The bundle, opened and checked."""
    return Bundle.open(pytestconfig.getoption("--bundle") or cxrscribe.demo_bundle())


@pytest.fixture(scope="session")
def knows_words(pytestconfig: pytest.Config) -> bool:
    """Whether every report has words: the demo bundle's have, one of random weights may write none."""
    return pytestconfig.getoption("--bundle") is None


@pytest.fixture(scope="session")
def reporter(bundle: Bundle) -> Iterator[Reporter]:
    """In fp32 on the CPU, from no cache."""
    with cxrscribe.load(bundle.path, device="cpu", cache=False) as opened:
        yield opened


@pytest.fixture(scope="session")
def films() -> list[bytes]:
    """FILMS files of PNG in memory, the sample films in turn."""
    samples = [path.read_bytes() for path in cxrscribe.demo_films()]
    return [samples[number % len(samples)] for number in range(FILMS)]


@pytest.fixture(scope="session")
def pictures(reporter: Reporter, films: list[bytes]) -> NDArray[np.uint8]:
    """The films as the encoder takes them: uint8 [FILMS, H, W]."""
    return np.stack([reporter.manifest.preprocessing.read(film) for film in films])


@pytest.fixture(scope="session")
def features(reporter: Reporter, films: list[bytes]) -> NDArray[np.float32]:
    """Features float32 [FILMS, F], drawn around those of the films, so that no two reports need be alike."""
    center = reporter.encode(films)
    noise = np.random.default_rng(0).standard_normal(center.shape, np.float32)
    return center + np.float32(SPREAD * center.std()) * noise

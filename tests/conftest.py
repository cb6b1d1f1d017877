"""Fixtures that tests of several packages share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Whether examples are made quickly enough is a matter of the machine, which may be emulated.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-films", type=int, default=2000, metavar="N", help="damaged films to read")
    parser.addoption(
        "--archive-trials", type=int, metavar="N", help="killed runs of each kind; 15, and 2 by Ray, without"
    )
    parser.addoption("--fuzz-seed", type=int, default=0, metavar="SEED", help="which ones")


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start, whoever runs them.

    A shell lets its background jobs ignore it, and a process that ignores a signal hands that on.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache for all tests, so that none touches the user's own; processes that tests start inherit it."""
    folder = tmp_path_factory.mktemp("cache") / "cxrscribe"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CXRSCRIBE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of random weights, which no test may change."""
    pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
    from support.small_bundle import SmallBundle

    return SmallBundle().write(tmp_path_factory.mktemp("small") / "bundle")


@pytest.fixture(scope="session")
def fused_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights with the fused step beside the canonical one."""
    pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
    from support.small_bundle import SmallBundle

    return SmallBundle(fused=True).write(tmp_path_factory.mktemp("fused") / "bundle")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real reports and films that stands beside a developer's checkout, if any."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real reports and films here: {SHARED_DATA} is absent")
    return SHARED_DATA

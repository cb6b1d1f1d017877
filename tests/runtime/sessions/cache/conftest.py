"""A bundle to cache, a folder to cache it in, and a spy."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxrscribe.sessions import cache as graph_cache
from cxrscribe.sessions import session
from cxrscribe.sessions.cache_folder import CacheFolder
from support.small_bundle import SmallBundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Large enough for weights in a file of their own, and with external data of its own."""
    return SmallBundle(hidden=40, external_data=True).write(tmp_path / "bundle")


@pytest.fixture
def folder(tmp_path: Path) -> CacheFolder:
    return CacheFolder(tmp_path / "cache")


@pytest.fixture
def optimized(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the graphs that are optimized from now on."""
    names: list[str] = []
    write = session.write_optimized

    def spy(graph: Path, *others: object) -> None:
        names.append(graph.name)
        write(graph, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(graph_cache, "write_optimized", spy)
    return names

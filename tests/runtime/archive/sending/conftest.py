"""A run that pretends to be scored, and a DICOMweb service to send it to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cxrscribe.archive import Run
from cxrscribe.archive.sending import patience, sender
from support.small_reports import pretend_scored
from support.web_pacs import WebPacs, web_pacs

Begin = Callable[..., Run]


@pytest.fixture
def run(begin: Begin, archive: Path) -> Run:
    """25 films in three shards, each with a structured report."""
    run = begin(archive, sr=True)
    pretend_scored(run)
    return run


@pytest.fixture
def pacs() -> Iterator[WebPacs]:
    with web_pacs() as service:
        yield service


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that take no time, and shards in their order."""
    monkeypatch.setattr(sender, "Patience", lambda: patience.Patience(4, 0.001, 0.002))
    monkeypatch.setattr("random.randrange", lambda count: 0)
    for name in ("TOKEN", "USER", "PASSWORD"):
        monkeypatch.delenv(f"CXRSCRIBE_DICOMWEB_{name}", raising=False)

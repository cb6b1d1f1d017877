"""A reporter, a folder of films, and runs over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cxrscribe
from cxrscribe.archive import Run, begin_run, score_shards
from cxrscribe.reporter import Reporter
from support.archive_films import write_films

Begin = Callable[..., Run]


@pytest.fixture(scope="session")
def reporter() -> Iterator[Reporter]:
    """The demo bundle on one thread."""
    with cxrscribe.load(cxrscribe.demo_bundle(), device="cpu", threads=1, spinning=False) as opened:
        yield opened


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 25 films, which no test may change."""
    return write_films(tmp_path_factory.mktemp("archive"), 25)


@pytest.fixture
def own_archive(tmp_path: Path) -> Path:
    """A folder of 25 films, which a test may change."""
    return write_films(tmp_path / "archive", 25)


@pytest.fixture
def begin(tmp_path: Path, reporter: Reporter) -> Begin:
    """Begin a run over these sources, in shards of ten films."""

    def begun(*sources: Path | str, path: Path | None = None, **options: object) -> Run:
        options.setdefault("shard_films", 10)
        settings = options.pop("settings", reporter.settings)
        return begin_run(
            path or tmp_path / "run", [str(each) for each in sources], reporter, settings, **options
        )

    return begun


@pytest.fixture
def scored(begin: Begin, archive: Path, reporter: Reporter) -> Run:
    """A run over the archive, done."""
    run = begin(archive)
    list(score_shards(run, run.generation().missing(), reporter))
    return run

"""Several processes with one folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Lock

import pytest

import cxrscribe
from cxrscribe.bundle.bundle import Bundle, GraphSource
from cxrscribe.sessions import cache as graph_cache
from cxrscribe.sessions import session
from cxrscribe.sessions.cache import GraphCache, Optimized
from cxrscribe.sessions.cache_folder import CacheFolder

from .cached import (
    GRAPHS,
    Films,
    load,
    results,
)

_PROCESSES = 4

_WORK = """
import sys, time
import cxrscribe
bundle, cache, film, begin = sys.argv[1:]
time.sleep(max(0.0, float(begin) - time.time()))
with cxrscribe.load(bundle, device="cpu", cache=cache) as reporter:
    report = reporter.report(film)
print(report.tokens, report.log_prob)
"""


def test_processes_that_start_at_once_agree(
    bundle: Path, folder: CacheFolder, films: Films, tmp_path: Path
) -> None:
    """All of them find an empty folder, and each makes every entry or takes another's."""
    import time

    from PIL import Image

    Image.fromarray(films[0]).save(tmp_path / "film.png")
    command = [sys.executable, "-c", _WORK, bundle, folder.path, tmp_path / "film.png", time.time() + 1.5]
    started = [
        subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(_PROCESSES)
    ]
    said = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0] * _PROCESSES, said
    with cxrscribe.load(bundle, device="cpu", cache=False) as reporter:
        report = reporter.report(films[0])
    assert {output.strip() for output, _ in said} == {f"{report.tokens} {report.log_prob}"}
    assert {errors for _, errors in said} == {""}
    assert len(folder.entries()) == GRAPHS
    assert all(entry.intact and entry.has_right_sums for entry in folder.entries())
    assert len(list(folder.path.iterdir())) == GRAPHS


def test_who_comes_second_takes_what_the_first_has_made(
    bundle: Path, folder: CacheFolder, films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = results(cxrscribe.load(bundle, device="cpu", cache=False), films)
    write, made = session.write_optimized, []

    def slow(graph: Path, *others: object) -> None:
        write(graph, *others)  # type: ignore[arg-type]
        if graph.name not in made:  # meanwhile another process makes the same entry
            made.append(graph.name)
            source = GraphSource(Bundle.open(bundle), graph.name)
            recipe = Optimized(others[0])  # type: ignore[arg-type]
            assert GraphCache(folder).make(source, source.files(), recipe) is not None

    monkeypatch.setattr(graph_cache, "write_optimized", slow)
    assert results(load(bundle, folder), films) == right
    assert len(made) == len(folder.entries()) == len(list(folder.path.iterdir())) == GRAPHS


def test_entry_that_vanishes_while_it_is_opened_is_made_anew(
    bundle: Path, folder: CacheFolder, films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cxrscribe cache --clear` may run at any time."""
    right = results(load(bundle, folder), films)
    opened, cleared, one_by_one = session.open_optimized, [], Lock()

    def clearing(graph: Path, *others: object) -> object:
        with one_by_one:  # graphs are opened side by side
            if not cleared:
                cleared.append(folder.clear())
        return opened(graph, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(session, "open_optimized", clearing)
    assert results(load(bundle, folder), films) == right
    assert cleared == [GRAPHS]
    assert len(folder.entries()) == GRAPHS

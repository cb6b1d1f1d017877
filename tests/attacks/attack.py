"""What an attack is, and what counts as a fault of the defence."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from numpy.typing import NDArray

import cxrscribe
from cxrscribe.errors import CxrscribeError, DecodingError, FilmError
from support.small_bundle import SmallBundle


class FaultError(Exception):
    """An attack got somewhere."""


@dataclass(frozen=True)
class Attack:
    """One attempt."""

    name: str
    attempt: Callable[[Path], None]
    """Called with an empty folder. Ends quietly where the defence holds, and raises whatever else happens."""


def refused(action: Callable[[], object]) -> None:
    """Raise FaultError unless `action` raises an error of cxrscribe."""
    try:
        action()
    except CxrscribeError as error:
        str(error).encode()  # it can be shown
        return
    raise FaultError("accepted")


@contextmanager
def frugal() -> Iterator[None]:
    """Raise FaultError where what is done here takes a gigabyte of memory more than anything before it."""
    before = _peak_bytes()
    yield
    if _peak_bytes() - before > 1e9:
        raise FaultError("more than a gigabyte of memory")


def _peak_bytes() -> int:
    import resource  # not on every system

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def bind_socket(path: Path) -> None:
    """Put a socket there."""
    before = Path.cwd()
    os.chdir(path.parent)  # the names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(before)


def load(bundle: Path, **options: object) -> cxrscribe.Reporter:
    """Open a bundle without touching any cache."""
    return cxrscribe.load(bundle, **{"device": "cpu", "threads": 1, "cache": False, **options})  # type: ignore[arg-type]


@cache
def films() -> list[NDArray[np.uint8]]:
    """Six different films, uint8 [h, w]."""
    random = np.random.default_rng(1)
    return [random.integers(0, 40 * (i + 1), (30 + i, 40), dtype=np.uint8) for i in range(6)]


def words(bundle: Path, **options: object) -> list[str]:
    """What the films' reports say. Raises whatever a film's report is instead."""
    with load(bundle, **options) as reporter:
        return texts(reporter.report_batch(films()))


def texts(outcomes: Iterable[cxrscribe.Report | FilmError]) -> list[str]:
    """Words of the reports, and how likely they are. Raises the first error among them."""
    found = []
    for outcome in outcomes:
        if isinstance(outcome, FilmError):
            raise outcome
        found.append(f"{outcome.text} ({outcome.log_prob:.4f})")
    return found


@cache
def _expected(bundle: SmallBundle) -> tuple[str, ...]:
    return tuple(words(bundle.write(Path(mkdtemp()) / "bundle")))


def unharmed(bundle: Path, kind: SmallBundle, **options: object) -> None:
    """Raise FaultError unless the bundle says what one that nobody touched says."""
    if words(bundle, **options) != list(_expected(kind)):
        raise FaultError("other words")


def undecided(bundle: Path) -> None:
    """Raise FaultError unless every film's search ends in a DecodingError."""
    with load(bundle) as reporter:
        for outcome in reporter.report_batch(films()):
            if not isinstance(outcome, FilmError):
                raise FaultError(f"a report: {outcome.text!r}")
            if not isinstance(outcome.__cause__, DecodingError):
                raise FaultError(f"{outcome.__cause__!r}")

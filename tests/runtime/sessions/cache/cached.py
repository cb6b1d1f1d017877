"""What the tests of the graph cache do again and again."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import cxrscribe
from cxrscribe.bundle.bundle import Bundle, GraphSource
from cxrscribe.bundle.contract import ENCODER
from cxrscribe.sessions import session
from cxrscribe.sessions.cache import Optimized, cache_key
from cxrscribe.sessions.cache_folder import CacheEntry, CacheFolder
from cxrscribe.sessions.device import CPU
from cxrscribe.sessions.session import SessionSettings

Films = list[NDArray[np.uint8]]
GRAPHS = 3
"""Of one bundle."""


def load(bundle: Path, folder: CacheFolder, verify: bool = True) -> cxrscribe.Reporter:
    return cxrscribe.load(bundle, device="cpu", cache=folder.path, verify=verify)


def results(reporter: cxrscribe.Reporter, films: Films) -> tuple[bytes, list[object]]:
    """Features to the bit, and reports with all their numbers."""
    with reporter:
        return reporter.encode(films).tobytes(), list(reporter.report_batch(films))


def entry_of(bundle: Path, folder: CacheFolder, name: str = ENCODER) -> CacheEntry:
    entry = folder.entry(optimized_key(GraphSource(Bundle.open(bundle), name)))
    assert entry is not None
    return entry


def optimized_key(source: GraphSource) -> str:
    return cache_key(source, Optimized(SessionSettings(CPU, 1)))


def forbid_plain_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a graph was opened without the cache")

    monkeypatch.setattr(session, "open_native", fail)


def flip_a_bit(entry: CacheEntry) -> None:
    """In the weights; in the graph where all are small, as onnxruntime has it on some processors."""
    flip(entry.folder / entry.record.files[-1].name)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")

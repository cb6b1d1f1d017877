"""What tests of queues ask for, and how they wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from cxrscribe import BeamSettings
from cxrscribe.films.preprocess import Preprocessing

WAIT = 60.0
"""Seconds, for what takes none: a test that waits for ever says nothing."""


def films(count: int, seed: int = 3) -> list[NDArray[np.uint8]]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, 40, 30), np.uint8))


def various(count: int) -> list[BeamSettings]:
    return [
        BeamSettings(
            beam_width=1 + place % 4,
            max_length=3 + place % 7,
            decoding="sample" if place % 5 == 4 else "beam",
            samples=2 if place % 5 == 4 else 1,
        )
        for place in range(count)
    ]


def eventually(what: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not what():
        assert time.monotonic() < end
        time.sleep(0.005)


class Gate:
    """Readers that stop at films of a name until they are let through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        read = Preprocessing.read_shown

        def gated(preprocessing: Preprocessing, film: object, *others: object) -> object:
            if str(film).endswith(name):
                self.reached.set()
                assert self.opened.wait(WAIT)
            return read(preprocessing, film, *others)  # type: ignore[arg-type]

        monkeypatch.setattr(Preprocessing, "read_shown", gated)

"""Damaged films of all formats: each is read or refused, and nothing ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pydicom", reason="needs the extra dicom")

from fuzz.fuzzer import LIMITS
from fuzz.mutations import MUTATIONS, Mutation, mutated

FUZZER = Path(__file__).with_name("fuzzer.py")


@pytest.mark.slow
def test_damaged_films_are_read_or_refused(pytestconfig: pytest.Config) -> None:
    films = pytestconfig.getoption("fuzz_films")
    seed = pytestconfig.getoption("fuzz_seed")
    command = [sys.executable, str(FUZZER), str(films), str(seed)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = json.loads(ended.stdout)
    assert sum(found["outcomes"].values()) == films
    assert (found["escaped"], found["slow"]) == ([], [])
    assert set(found["outcomes"]) >= {"read", "refused"}
    assert 0 < found["decoders_peak_mb"] < LIMITS.memory_bytes / 1e6 + 500
    assert found["own_peak_mb"] < 1000


@settings(max_examples=200, deadline=None)
@given(
    content=st.binary(min_size=1, max_size=300),
    seed=st.integers(0, 2**32),
    mutation=st.sampled_from(MUTATIONS),
)
def test_each_mutation_takes_any_bytes(content: bytes, seed: int, mutation: Mutation) -> None:
    assert isinstance(mutation(bytearray(content), np.random.default_rng(seed)), bytearray)
    assert mutated(content, np.random.default_rng(seed)) == mutated(content, np.random.default_rng(seed))

"""What a System made of parts hands to its parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cxrscribe.bundle.manifest import Manifest
from cxrscribe_bench.systems.plain_system import PlainSystem
from cxrscribe_bench.systems.system import Words
from support.bench_workload import small_workload


class Parts:
    """An encoder and a search that note the sizes of what they are given."""

    def __init__(self) -> None:
        self.encoded: list[int] = []
        self.searched: list[int] = []

    def encode(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.encoded.append(len(pictures))
        return pictures.mean(axis=(1, 2), dtype=np.float32)[:, None]

    def decode(self, features: NDArray[np.float32]) -> list[Words]:
        self.searched.append(len(features))
        return [[round(float(row[0]) * 1000)] for row in features]


@pytest.mark.parametrize(("films_a_call", "encoded"), [((1,), [1] * 7), ((3,), [3, 1, 3])])
def test_films_are_encoded_a_few_at_a_time_and_searched_for_by_batches(
    films_a_call: tuple[int, ...], encoded: list[int], small_bundle: Path, tmp_path: Path
) -> None:
    parts = Parts()
    workload = small_workload(small_bundle, tmp_path)
    system = PlainSystem(
        workload,
        Manifest.read(small_bundle),
        parts.encode,
        parts,
        batch_size=4,
        readers=2,
        details={"version": "1"},
        films_a_call=films_a_call,
    )
    words = system.from_films(2, 7)
    assert parts.encoded == encoded
    assert parts.searched == [4, 3]
    preprocessing = Manifest.read(small_bundle).preprocessing
    means = [preprocessing.read(film).mean(dtype=np.float32) for film in workload.film_files()[2:9]]
    assert words == [[round(float(mean) * 1000)] for mean in means]
    system.encode(0, 3)
    assert sum(parts.encoded) == 10
    assert system.details() == {"version": "1", "films a call of the encoder": str(films_a_call[0])}

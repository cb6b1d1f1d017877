"""Workloads of the benchmark for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

import cxrscribe
from cxrscribe import BeamSettings
from cxrscribe_bench.systems.ours import open_cxrscribe
from cxrscribe_bench.workload import Workload


def demo_workload(folder: Path, count: int | None = None) -> Workload:
    """Films, all or the first few, and their features for the demo bundle, three at a time, narrow beam."""
    films = tuple(Path(str(film)) for film in cxrscribe.demo_films()[:count])
    with cxrscribe.load(cxrscribe.demo_bundle(), device="cpu") as reporter:
        features = reporter.encode(list(films))
    return Workload(
        Path(str(cxrscribe.demo_bundle())), films, _written(folder, features), BeamSettings(3, 20), 3, 1
    )


def small_workload(bundle: Path, folder: Path) -> Workload:
    """Drawn films and features for a SmallBundle."""
    random = np.random.default_rng(0)
    films = tuple(folder / f"{number}.png" for number in range(10))
    for film in films:
        Image.fromarray(random.integers(0, 256, (40, 50), np.uint8)).save(film)
    features = random.normal(size=(10, 6)).astype(np.float32)
    return Workload(bundle, films, _written(folder, features), BeamSettings(3, 9), 4, 1)


def agree(system: object, workload: Workload) -> bool:
    """Whether a System finds what our runtime finds, from films and features, in batches and in part."""
    ours = open_cxrscribe(replace(workload, device="cpu"), "fp32")
    count = len(workload.films)
    return all(
        getattr(system, method)(*films) == getattr(ours, method)(*films)
        for method in ("from_films", "from_features")
        for films in ((0, count), (1, 1), (count - 2, 2))
    )


def has_details(details: Mapping[str, str]) -> bool:
    """Whether a System's details are texts, one of them its version."""
    return "version" in details and all(isinstance(value, str) and value for value in details.values())


def _written(folder: Path, features: np.ndarray) -> Path:
    path = folder / "features.h5"
    with h5py.File(path, "w") as file:
        file["features"] = features
    return path

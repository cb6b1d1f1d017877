"""Batches cut into pieces for which there are graphs: the same bits at any size, or films run alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cxrscribe.bundle.contract import encoder_interface
from cxrscribe.bundle.files import TensorEntry
from cxrscribe.errors import BundleError
from cxrscribe.sessions.openvino_session import (
    ALONE,
    SIZES,
    BatchGraph,
    Model,
    OpenVinoSession,
    best_size,
    is_alike,
)

SIDE, WIDTH = 9, 2
INTERFACE = encoder_interface(SIDE, SIDE, WIDTH)


@dataclass
class FakeGraph:
    """Gives films their sum and their largest pixel, and at one place of the batch a little more."""

    films: int
    odd_place: int | None = None
    width: int = WIDTH
    runs: int = 0

    @property
    def inputs(self) -> list[TensorEntry]:
        return [TensorEntry("image", "uint8", (self.films, SIDE, SIDE))]

    @property
    def outputs(self) -> list[TensorEntry]:
        return [TensorEntry("features", "float32", (self.films, WIDTH))]

    def run(self, outputs: tuple[str, ...], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        assert outputs == ("features",)
        pictures = inputs["image"]
        assert pictures.shape == (self.films, SIDE, SIDE)
        self.runs += 1
        features = features_of(pictures)
        if self.odd_place is not None:
            features[self.odd_place] = np.nextafter(features[self.odd_place], np.float32(np.inf))
        return [features[:, : self.width]]


@dataclass
class FakeModels:
    """Models whose graphs of some sizes are odd at a place."""

    odd: Mapping[int, int] = field(default_factory=dict)
    width: int = WIDTH
    opened: dict[int, FakeGraph] = field(default_factory=dict)

    def open(self, films: int, alone: BatchGraph | None) -> Model:
        assert films not in self.opened
        graph = FakeGraph(films, self.odd.get(films), self.width)
        alike = alone is None or is_alike(graph, alone)
        graph.runs = 0
        self.opened[films] = graph
        return Model(graph, {"f32": 3, "u8": 1}, alike)


def features_of(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.stack((pictures.sum(axis=(1, 2)), pictures.max(axis=(1, 2))), axis=1).astype(np.float32)


def drawn(films: int) -> NDArray[np.uint8]:
    return np.random.default_rng(films).integers(0, 256, (films, SIDE, SIDE), np.uint8)


def opened(models: FakeModels) -> OpenVinoSession:
    session = OpenVinoSession(Path("bundle/encoder.onnx"), "encoder.onnx", models)
    session.expect(INTERFACE)
    return session


@given(st.integers(0, 40))
def test_every_film_has_its_features_in_batches_of_any_size(films: int) -> None:
    models, pictures = FakeModels(), drawn(films)
    session = opened(models)
    for _ in range(2):  # graphs are opened, and tried, the first time
        for graph in models.opened.values():
            graph.runs = 0
        (features,) = session.run(("features",), {"image": pictures})
        assert features.tobytes() == features_of(pictures).tobytes()
    run = sum(size * graph.runs for size, graph in models.opened.items())
    assert run == max(films, 1)  # nothing is computed in vain


@given(st.integers(1, 40))
def test_the_largest_batch_that_is_filled_is_taken(films: int) -> None:
    size = best_size(films, SIZES)
    assert size <= films
    assert not any(size < other <= films for other in SIZES)


def test_graphs_are_opened_when_they_are_needed_and_once() -> None:
    models = FakeModels()
    session = opened(models)
    assert set(models.opened) == {ALONE}
    session.run(("features",), {"image": drawn(3)})
    assert set(models.opened) == {ALONE, 2}
    for films in (8, 11):
        session.run(("features",), {"image": drawn(films)})
    assert set(models.opened) == set(SIZES)


@pytest.mark.parametrize("place", range(8))
def test_one_place_that_is_odd_is_found_and_films_are_run_alone(place: int) -> None:
    models, pictures = FakeModels({8: place}), drawn(19)
    session = opened(models)
    for _ in range(2):
        (features,) = session.run(("features",), {"image": pictures})
        assert features.tobytes() == features_of(pictures).tobytes()
    assert models.opened[8].runs == 0
    assert set(models.opened) == {ALONE, 8}


def test_company_that_makes_a_difference_is_found() -> None:
    class Swayed(FakeGraph):
        def run(
            self, outputs: tuple[str, ...], inputs: Mapping[str, NDArray[Any]]
        ) -> list[NDArray[np.float32]]:
            (features,) = super().run(outputs, inputs)
            black = (inputs["image"] == 0).all(axis=(1, 2)).any()
            return [features + np.float32(black)]

    assert is_alike(FakeGraph(8), FakeGraph(1))
    assert not is_alike(Swayed(8), FakeGraph(1))


def test_placement_counts_operations_by_type() -> None:
    session = opened(FakeModels())
    assert session.device.name == "openvino"
    assert str(session.placement) == "encoder.onnx: 3 nodes on OpenVINO f32, 1 nodes on OpenVINO u8"


def test_another_interface_is_refused() -> None:
    session = OpenVinoSession(Path("bundle/encoder.onnx"), "encoder.onnx", FakeModels())
    with pytest.raises(BundleError, match=r"has 'features' as float32 \[1, 2\], .* \[1, 5\]; export"):
        session.expect(encoder_interface(SIDE, SIDE, 5))


def test_outputs_of_another_shape_are_refused() -> None:
    with pytest.raises(
        BundleError, match=r"gave 'features' as float32 \[1, 1\], where float32 \[1, 2\] is due"
    ):
        opened(FakeModels(width=1)).run(("features",), {"image": drawn(1)})

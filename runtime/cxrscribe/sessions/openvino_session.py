"""An encoder that OpenVINO runs: compiled for some batch sizes, and the same to the bit at each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.contract import GraphInterface
from cxrscribe.bundle.files import TensorEntry
from cxrscribe.forks import ForkSafeLock, keep_from_forks
from cxrscribe.noise import uniform
from cxrscribe.sessions.device import OPENVINO, Device
from cxrscribe.sessions.interface_check import check_interface, check_outputs
from cxrscribe.sessions.session import Placement

ALONE: Final = 1
"""The batch size that all others are held against."""
SIZES: Final = (8, 2, ALONE)
"""Batch sizes that graphs are compiled for, largest first."""
_COARSE: Final = 8
_COARSE_SHARE: Final = 200
_WHITE: Final = 255


class BatchGraph(Protocol):
    """A graph that takes batches of one size."""

    @property
    def films(self) -> int:
        """That size."""

    @property
    def inputs(self) -> list[TensorEntry]:
        """What goes in; sizes of all axes are known."""

    @property
    def outputs(self) -> list[TensorEntry]:
        """What comes out."""

    def run(self, outputs: tuple[str, ...], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Values of the named outputs. Raises DeviceError when the engine fails."""


@dataclass(frozen=True)
class Model:
    """A graph for batches of one size, and what is known of it."""

    graph: BatchGraph
    operations: Mapping[str, int]
    """How many are computed in each type, as OpenVINO calls it."""
    alike: bool
    """Whether it gives films, at every place of a batch, what they get alone, to the bit."""


class Models(Protocol):
    """Where models come from."""

    def open(self, films: int, alone: BatchGraph | None) -> Model:
        """The graph for batches of so many films. `alone`: the one for a single film, None for that itself.

        Raises BundleError when the bundle's graph is damaged or refused, DeviceError when the device doesn't
        work.
        """


class OpenVinoSession:
    """A GraphSession of an encoder. Its inputs and outputs have the films as their first axis.

    A batch is cut into pieces for which there are graphs, compiled or read when they are first needed. Where
    a graph for several films gives any of them other bits than they get alone, films are run alone.
    """

    def __init__(self, graph: Path, name: str, models: Models) -> None:
        """`graph` is a file that its bundle calls `name`. Raises as `models.open`."""
        self.graph = graph
        self._models = models
        alone = models.open(ALONE, None)
        self._placement = Placement(name, {f"OpenVINO {kind}": n for kind, n in alone.operations.items()})
        self._opened: dict[int, BatchGraph] = {ALONE: alone.graph}
        self._sizes: tuple[int, ...] = SIZES
        self._opening = ForkSafeLock()
        self._interface: GraphInterface | None = None
        keep_from_forks(self)

    @property
    def device(self) -> Device:
        """OpenVINO."""
        return OPENVINO

    @property
    def placement(self) -> Placement:
        """Operations by the type in which OpenVINO computes them."""
        return self._placement

    def expect(self, interface: GraphInterface) -> None:
        """Raise BundleError unless the graph has the interface's inputs and outputs, in any order."""
        _check(self.graph, self._opened[ALONE], interface)
        self._interface = interface

    def run(self, outputs: tuple[str, ...], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Values of the named outputs, in this order, with the films of the inputs as their first axis.

        Raises DeviceError when OpenVINO fails, BundleError when an output isn't of the type and shape that
        the interface has for these inputs, or a file of the bundle that has to be read again is damaged.
        """
        count = len(next(iter(inputs.values())))
        parts: list[list[NDArray[np.float32]]] = []
        start = 0
        while start < count or not parts:
            graph = self._graph_for(count - start)
            parts.append(self._run(graph, outputs, inputs, start))
            start += graph.films
        if len(parts) == 1:
            return [values[:count] for values in parts[0]]
        return [np.concatenate(values)[:count] for values in zip(*parts, strict=True)]

    def _run(
        self, graph: BatchGraph, outputs: tuple[str, ...], inputs: Mapping[str, NDArray[Any]], start: int
    ) -> list[NDArray[np.float32]]:
        """Of films from `start` on, as many as the graph takes; black ones where there are fewer."""
        given = {
            name: _padded(values[start : start + graph.films], graph.films) for name, values in inputs.items()
        }
        found = graph.run(outputs, given)
        if self._interface is not None:
            check_outputs(self.graph, self._interface, given, dict(zip(outputs, found, strict=True)))
        return found

    def _graph_for(self, films: int) -> BatchGraph:
        """The graph to begin a batch of so many films with."""
        with self._opening:
            while True:
                size = best_size(films, self._sizes)
                graph = self._opened.get(size)
                if graph is not None:
                    return graph
                model = self._models.open(size, self._opened[ALONE])
                if self._interface is not None:
                    _check(self.graph, model.graph, self._interface)
                if model.alike:
                    self._opened[size] = model.graph
                else:
                    self._sizes = (ALONE,)


def best_size(films: int, sizes: Sequence[int]) -> int:
    """The batch size to begin so many films with, of those that there are, largest first: the largest that
    they fill.
    """
    return next((size for size in sizes if size <= films), sizes[-1])


def is_alike(graph: BatchGraph, alone: BatchGraph) -> bool:
    """Whether a graph gives films, at every place of a batch, to the bit what they get alone.

    Tried with films drawn at random, among each other and among black ones. Raises DeviceError.
    """
    films = {entry.name: _drawn(entry) for entry in graph.inputs}
    names = tuple(entry.name for entry in graph.outputs)
    wanted = [
        alone.run(names, {name: values[place : place + 1] for name, values in films.items()})
        for place in range(graph.films)
    ]
    found = graph.run(names, films)
    together = [[values[place : place + 1] for values in found] for place in range(graph.films)]
    if not all(map(_same, together, wanted)):
        return False
    black = {name: np.zeros_like(values) for name, values in films.items()}
    for name, values in films.items():
        black[name][-1] = values[0]
    return _same([values[-1:] for values in graph.run(names, black)], wanted[0])


def _same(first: Sequence[NDArray[np.float32]], second: Sequence[NDArray[np.float32]]) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


def _drawn(entry: TensorEntry) -> NDArray[Any]:
    """Films uint8 [N, H, W] with large patches and noise; other tensors: numbers of the same kind."""
    shape = tuple(int(size) for size in entry.shape)
    values = uniform(shape) * (_WHITE - _COARSE_SHARE)
    patches = uniform((shape[0], *(_COARSE,) * (len(shape) - 1)), seed=1)
    for axis, size in enumerate(shape[1:], start=1):
        patches = np.take(patches, np.arange(size) * _COARSE // size, axis)
    return (values + patches * _COARSE_SHARE).astype(entry.dtype)


def _padded(values: NDArray[Any], films: int) -> NDArray[Any]:
    missing = films - len(values)
    if not missing:
        return np.ascontiguousarray(values)
    return np.concatenate((values, np.zeros((missing, *values.shape[1:]), values.dtype)))


def _check(graph: Path, found: BatchGraph, interface: GraphInterface) -> None:
    """Raise BundleError unless the interface, for batches of that size, is the graph's."""

    def sized(tensors: Sequence[TensorEntry]) -> tuple[TensorEntry, ...]:
        return tuple(
            TensorEntry(tensor.name, tensor.dtype, (found.films, *tensor.shape[1:])) for tensor in tensors
        )

    check_interface(
        graph,
        GraphInterface(interface.name, sized(interface.inputs), sized(interface.outputs)),
        found.inputs,
        found.outputs,
    )

"""Whether a graph's inputs and outputs are those that its network has, whatever engine runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cxrscribe.bundle.contract import GraphInterface
from cxrscribe.bundle.files import TensorEntry
from cxrscribe.errors import BundleError


def check_interface(
    graph: Path, interface: GraphInterface, inputs: Sequence[TensorEntry], outputs: Sequence[TensorEntry]
) -> None:
    """Raise BundleError unless a graph has the interface's inputs and outputs, in any order.

    `inputs` and `outputs` are what the engine found. An axis that has a size in the interface may be left
    open by the graph; one that has a name there must be.
    """
    _check(graph, "inputs", inputs, interface.inputs)
    _check(graph, "outputs", outputs, interface.outputs)


def check_outputs(
    graph: Path,
    interface: GraphInterface,
    inputs: Mapping[str, NDArray[Any]],
    outputs: Mapping[str, NDArray[Any]],
) -> None:
    """Raise BundleError unless outputs have the sizes that the inputs' axes have, and the right types."""
    sizes: dict[int | str, int] = {}
    for tensor in interface.inputs:
        sizes.update(zip(tensor.shape, inputs[tensor.name].shape, strict=True))
    for tensor in interface.outputs:
        found = outputs.get(tensor.name)
        if found is None:
            continue
        wanted = tuple(axis if isinstance(axis, int) else sizes.get(axis, -1) for axis in tensor.shape)
        if found.shape != wanted or found.dtype != tensor.dtype:
            raise BundleError(
                f"{graph} gave {tensor.name!r} as {found.dtype} {list(found.shape)}, where "
                f"{tensor.dtype} {list(wanted)} is due; export the bundle again"
            )


def line_of(error: Exception) -> str:
    """What an engine's error says, on one line that isn't too long."""
    return " ".join(str(error).split())[:300]


def _check(graph: Path, kind: str, found: Sequence[TensorEntry], wanted: Sequence[TensorEntry]) -> None:
    if {entry.name for entry in found} != {entry.name for entry in wanted}:
        raise BundleError(
            f"{graph} has the {kind} {', '.join(entry.name for entry in found)}, not "
            f"{', '.join(entry.name for entry in wanted)}; export the bundle again"
        )
    by_name = {entry.name: entry for entry in found}
    for entry in wanted:
        if not _fits(by_name[entry.name], entry):
            raise BundleError(
                f"{graph} has {_shown(by_name[entry.name])}, but the manifest says {_shown(entry)}; "
                "export the bundle again"
            )


def _fits(found: TensorEntry, wanted: TensorEntry) -> bool:
    """Whether a graph's tensor can be used as `wanted`."""
    if found.dtype != wanted.dtype or len(found.shape) != len(wanted.shape):
        return False
    axes = zip(found.shape, wanted.shape, strict=True)
    return all(size == asked for size, asked in axes if isinstance(size, int))


def _shown(entry: TensorEntry) -> str:
    return f"{entry.name!r} as {entry.dtype} [{', '.join(map(str, entry.shape))}]"

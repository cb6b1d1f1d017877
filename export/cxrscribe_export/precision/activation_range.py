"""The ranges that a graph's tensors take on real inputs, from which static scales follow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from cxrscribe_export.graphs.runner import GraphRunner

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ActivationRange:
    """Smallest and largest value, both finite; 0 lies between them, so that it has a code of its own."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.low, self.high]).all() and self.low <= 0 <= self.high):
            raise ValueError(f"a range from {self.low} to {self.high} is not finite or doesn't hold 0")


def observe(
    model: onnx.ModelProto, names: Sequence[str], batches: Iterable[tuple[Array, ...]]
) -> dict[str, ActivationRange]:
    """Run `model` on `batches` and note the range of each named float32 tensor, inputs included.

    Smallest and largest values, not percentiles: of a trained network on films they lost least, and clipping
    a hundredth of a percent lost most (docs/precisions.md).

    Args:
        model: the graph.
        names: tensors of it.
        batches: values of its inputs, in order, one batch after another; only one batch's tensors are held.
    """
    sources = [value.name for value in model.graph.input]
    inside = [name for name in names if name not in sources]
    runner = GraphRunner(_exposing(model, inside))
    low, high = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for batch in batches:
        values = dict(zip(sources, batch, strict=True))
        if inside:
            values |= zip(inside, runner.run(*batch), strict=True)
        for name in names:
            low[name] = min(low[name], float(values[name].min()))
            high[name] = max(high[name], float(values[name].max()))
    return {name: ActivationRange(low[name], high[name]) for name in names}


def _exposing(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """A copy of `model` whose outputs are these tensors."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    return copy

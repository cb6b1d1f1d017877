"""A graph with float16 weights and computations, whose inputs and outputs stay as they are."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper

from cxrscribe.errors import CxrscribeError
from cxrscribe_export.graphs.graph_copy import constants_of, float_tensors, rebuilt
from cxrscribe_export.graphs.norm_folding import fold_batch_norms

_BEGINNING: Final = frozenset({"Conv", "MatMul", "Gemm"})
"""From these on, numbers are float16: what comes before (a film's normalization) costs nothing."""
_ENDING: Final = frozenset({"LogSoftmax", "Softmax", "TopK"})
"""From these on, numbers are float32 again: float16 can't tell log-probabilities of near words apart."""
_LARGEST: Final = float(np.finfo(np.float16).max)


class HalfPrecisionError(CxrscribeError, ValueError):
    """A graph has a weight that float16 can't hold."""


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` that computes in float16 from its first product to its log-softmax.

    Batch norms are folded into convolutions before, for a variance can be too small for float16. Inputs and
    outputs keep their names and types; Casts stand where the types meet.

    Raises:
        HalfPrecisionError: a weight is beyond what float16 holds.
    """
    return _Halving(fold_batch_norms(model)).model()


class _Halving:
    """Goes through the nodes in order and gives each the type that its kind and its inputs ask for."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._constants = constants_of(model)
        self._floats = float_tensors(model)
        self._outputs = {value.name for value in model.graph.output}
        self._half: set[str] = set()
        self._nodes: list[onnx.NodeProto] = []
        self._cast: dict[str, str] = {}

    def model(self) -> onnx.ModelProto:
        for node in self._model.graph.node:
            self._add(node)
        return rebuilt(self._model, self._nodes, self._constants)

    def _add(self, node: onnx.NodeProto) -> None:
        half = self._is_half(node)
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [self._as(name, half) if name in self._floats else name for name in node.input]
        late = []
        for place, name in enumerate(node.output):
            if not half or name not in self._floats:
                continue
            if name in self._outputs:
                copy.output[place] = self._cast[name] = f"{name}.half"
                late.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
            else:
                self._half.add(name)
        self._nodes += [copy, *late]

    def _is_half(self, node: onnx.NodeProto) -> bool:
        if node.op_type in _ENDING:
            return False
        if node.op_type in _BEGINNING:
            return True
        if node.op_type == "Gather" and node.input[0] in self._constants and node.input[0] in self._floats:
            return True
        return not self._half.isdisjoint(node.input)

    def _as(self, name: str, half: bool) -> str:
        """The tensor `name` at the wanted type."""
        if name in self._constants:
            return self._constant(name) if half else name
        if half == (name in self._half):
            return name
        if name not in self._cast:
            to = TensorProto.FLOAT16 if half else TensorProto.FLOAT
            self._cast[name] = f"{name}.{'half' if half else 'full'}"
            self._nodes.append(helper.make_node("Cast", [name], [self._cast[name]], to=to))
        return self._cast[name]

    def _constant(self, name: str) -> str:
        value = self._constants[name]
        largest = float(np.abs(value[np.isfinite(value)]).max(initial=0.0))
        if largest > _LARGEST:
            raise HalfPrecisionError(
                f"graph {self._model.graph.name!r}: {name!r} has a value of {largest:.3g}, beyond "
                f"{_LARGEST:.0f}, the largest of float16; leave --precision fp16 out"
            )
        self._constants[f"{name}.half"] = value.astype(np.float16)
        return f"{name}.half"

"""Writing an ONNX graph node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import helper, numpy_helper

from cxrscribe.bundle.contract import GraphInterface
from cxrscribe.version import __version__
from cxrscribe_export.graphs.conversion import OPSET
from cxrscribe_export.graphs.naming import ELEMENT_TYPES

# The oldest that has opset 17: readers of any later release take it.
_IR_VERSION = 8


class GraphBuilder:
    """Collects nodes and constants. The names that it makes start with `prefix`."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: ArrayLike, name: str = "") -> str:
        """Add a constant, float32 where it has fractions and else as it is; gives its name."""
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = self._prefix + (name or f"constant_{len(self.constants)}")
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def double(self, value: ArrayLike) -> str:
        """Add a constant of double precision; gives its name."""
        name = f"{self._prefix}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, np.float64), name))
        return name

    def node(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node with one output, whose name is `name` as it stands, or made; gives it."""
        return self._add(kind, inputs, [name or self._made(kind, 0)], attributes)[0]

    def nodes_of(self, kind: str, *inputs: str, names: Sequence[str] | int, **attributes: Any) -> list[str]:
        """Add a node with several outputs: their names as they stand, or how many; gives the names."""
        if isinstance(names, int):
            names = [self._made(kind, output) for output in range(names)]
        return self._add(kind, inputs, list(names), attributes)

    def model(self, interface: GraphInterface) -> onnx.ModelProto:
        """The finished model, with this interface."""
        inputs, outputs = (
            [
                helper.make_tensor_value_info(tensor.name, ELEMENT_TYPES[tensor.dtype], tensor.shape)
                for tensor in tensors
            ]
            for tensors in (interface.inputs, interface.outputs)
        )
        graph = helper.make_graph(self.nodes, interface.stem, inputs, outputs, self.constants)
        return finished_model(graph)

    def _add(
        self, kind: str, inputs: Sequence[str], outputs: list[str], attributes: dict[str, Any]
    ) -> list[str]:
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, **attributes))
        return outputs

    def _made(self, kind: str, output: int) -> str:
        return f"{self._prefix}{kind.lower()}_{len(self.nodes)}_{output}"


def finished_model(graph: onnx.GraphProto) -> onnx.ModelProto:
    """A model of the standard domain at our opset around `graph`."""
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="cxrscribe",
        producer_version=__version__,
    )

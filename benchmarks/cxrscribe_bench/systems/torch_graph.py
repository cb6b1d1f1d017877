"""A graph of a bundle, `encoder.onnx` above all, as a PyTorch module.

What an engineer would have who wrote the network in torch: straight code that torch.fx generates, batch norms
folded into the convolutions before them, each tensor let go after its last use. Needs torch.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import fx, nn

from cxrscribe.errors import BundleError

Array: TypeAlias = NDArray[Any]

Rule: TypeAlias = Callable[["Translation", "Node"], fx.Node]
"""What makes torch's node of an ONNX node: `torch_operations.RULES` has one for each kind that is known."""

BATCH: Final = 0
"""The batch's size in a shape, which a graph computes from any batch; 0 as in ONNX's own Reshape."""

_OF_SHAPES: Final = frozenset({"Slice", "Concat", "Gather", "Cast", "Squeeze", "Unsqueeze"})


def torch_module(model: onnx.ModelProto, name: str, rules: Mapping[str, Rule]) -> Any:
    """The graph as a torch.nn.Module on the CPU, for inference.

    It takes the graph's inputs and gives its output, or a tuple of them, of the same shapes and dtypes.

    Args:
        model: weights included. The first axis of its inputs is the batch.
        name: of the graph, for messages.
        rules: by kind of node.

    Raises BundleError where the graph has a node that has no rule, or that its rule knows otherwise.
    """
    return Translation(model, name, rules).module()


class Node:
    """A node, with its attributes as Python values."""

    def __init__(self, node: onnx.NodeProto) -> None:
        self.kind: str = node.op_type
        self.inputs: tuple[str, ...] = tuple(node.input)
        self.outputs: tuple[str, ...] = tuple(node.output)
        self._attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}

    def attribute(self, name: str, default: Any = None) -> Any:
        """The value of an attribute; `default` where the node leaves it out."""
        return self._attributes.get(name, default)


class Translation:
    """A graph on its way into torch: what its nodes have become so far."""

    def __init__(self, model: onnx.ModelProto, name: str, rules: Mapping[str, Rule]) -> None:
        self._name = name
        self._rules = rules
        self._model = model
        self._nodes = [Node(node) for node in model.graph.node]
        self._constants: dict[str, Array] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
        }
        self._uses = Counter(source for node in self._nodes for source in node.inputs)
        self._uses.update(value.name for value in model.graph.output)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._root = nn.Module()
        self._graph = fx.Graph()
        self._values: dict[str, fx.Node] = {}

    def module(self) -> Any:
        """The whole graph."""
        for value in self._model.graph.input:
            if value.name not in self._constants:
                self._values[value.name] = self._graph.placeholder(value.name)
        for node in self._nodes:
            self._translate(node)
        outputs = tuple(self.tensor(value.name) for value in self._model.graph.output)
        self._graph.output(outputs if len(outputs) > 1 else outputs[0])
        self._graph.lint()
        return fx.GraphModule(self._root, self._graph, "TorchGraph").eval()

    def _translate(self, node: Node) -> None:
        if node.kind == "Constant":
            self._constants[node.outputs[0]] = numpy_helper.to_array(node.attribute("value"))
        elif node.kind == "Shape":
            self._shapes[node.outputs[0]] = (BATCH,)
        elif node.kind in _OF_SHAPES and any(source in self._shapes for source in node.inputs):
            self._shapes[node.outputs[0]] = self._shape(node)
        else:
            rule = self._rules.get(node.kind)
            if rule is None:
                raise self.unknown(node, "that this program doesn't know")
            value = rule(self, node)
            if len(node.outputs) == 1:
                self._values[node.outputs[0]] = value
            else:
                for place, name in enumerate(node.outputs):
                    self._values[name] = self.call(operator.getitem, value, place)

    def _shape(self, node: Node) -> tuple[int, ...]:
        """What a node makes of a shape: only the batch's place in it can be told from other sizes."""
        if node.kind == "Concat":
            return tuple(size for source in node.inputs for size in self.shape(node, source))
        if node.kind == "Slice" and [list(self.constant(node, place)) for place in (1, 2)] != [[0], [1]]:
            raise self.unknown(node, "that takes more from a shape than the batch")
        if node.kind == "Gather" and self.constant(node, 1).ravel().tolist() != [0]:
            raise self.unknown(node, "that takes another size than the batch from a shape")
        return self.shape(node, node.inputs[0])

    def shape(self, node: Node, name: str) -> tuple[int, ...]:
        """A shape that is constant but for the batch, which is `BATCH`."""
        if name in self._shapes:
            return self._shapes[name]
        if name not in self._constants:
            raise self.unknown(node, "whose shape depends on data")
        return tuple(self._constants[name].ravel().tolist())

    def tensor(self, name: str) -> fx.Node:
        """What computes a tensor; a constant becomes a buffer when it is first used."""
        if name not in self._values:
            if name not in self._constants:
                raise BundleError(f"{self._name} names {name!r}, which nothing computes; export it again")
            self._values[name] = self.buffer(self._constants[name])
        return self._values[name]

    def buffer(self, array: Array) -> fx.Node:
        """A constant that moves with the module."""
        name = f"constant_{len(list(self._root.buffers()))}"
        self._root.register_buffer(name, torch.from_numpy(np.array(array)))
        return self._graph.get_attr(name)

    def submodule(self, module: Any, source: fx.Node) -> fx.Node:
        """A layer with weights, called on `source`."""
        name = f"layer_{len(list(self._root.children()))}"
        self._root.add_module(name, module)
        return self._graph.call_module(name, (source,))

    def layer(self, source: str) -> Any:
        """The convolution that alone computes `source` for one reader, or None."""
        value = self._values.get(source)
        if value is None or value.op != "call_module" or self._uses[source] != 1:
            return None
        return self._root.get_submodule(value.target)

    def call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> fx.Node:
        """A call of a function."""
        return self._graph.call_function(function, arguments, options)

    def constant(self, node: Node, place: int, default: Any = None) -> Array:
        """An input that has to be a constant; `default` where the node leaves it out."""
        name = node.inputs[place] if place < len(node.inputs) else ""
        if not name and default is not None:
            return np.asarray(default)
        if name not in self._constants:
            raise self.unknown(node, f"whose input {place} is computed")
        return self._constants[name]

    def unknown(self, node: Node, reason: str) -> BundleError:
        """The error for a node that can't be translated."""
        return BundleError(
            f"{self._name} has {node.kind} ({node.outputs[0]!r}) {reason}; "
            "leave the PyTorch programs out for this bundle"
        )

"""The weights of a decoder, read back from its exported single step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from cxrscribe.errors import BundleError

_GATE_ACTIVATIONS: Final = ("Sigmoid", "Sigmoid", "Tanh", "Sigmoid")
_VIEWS: Final = frozenset({"Slice", "Squeeze", "Gather"})
_CONTEXT: Final = "context"
"""The input that is added to the first layer's gates; a decoder without context has none."""

Weights = NDArray[np.float32]


@dataclass(frozen=True)
class LayerWeights:
    """One LSTM layer. Its gates stand in the order input, forget, candidate, output."""

    input: Weights
    """[E or D, 4 * D]: of what comes from below."""
    hidden: Weights
    """[D, 4 * D]: of the layer's own h."""
    bias: Weights
    """[4 * D]"""


@dataclass(frozen=True)
class DecoderWeights:
    """All that a decoder's step computes with."""

    embedding: Weights
    """[V, E]"""
    layers: tuple[LayerWeights, ...]
    output: Weights
    """[D, V]"""
    output_bias: Weights
    """[V]"""
    has_context: bool = False
    """Whether the first layer's gates take what a context adds."""

    @property
    def hidden_size(self) -> int:
        """D."""
        return int(self.output.shape[0])

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return int(self.output.shape[1])

    @property
    def gates_size(self) -> int:
        """What a context adds to the first layer's gates, 4 * D numbers; 0 without one."""
        return 4 * self.hidden_size if self.has_context else 0

    @classmethod
    def read(cls, step: onnx.ModelProto) -> DecoderWeights:
        """Read them from `decoder_step.onnx` as export writes it.

        Raises BundleError where the graph is built in another way.
        """
        graph = _StepGraph(step)
        splits = [node for node in step.graph.node if node.op_type == "Split"]
        if not splits:
            raise _unknown("it has no LSTM cell")
        top, output, output_bias = graph.linear(graph.producer("log_probs", "LogSoftmax").input[0])
        if len(top) != 1:
            raise _unknown("its output layer reads several tensors")
        in_context = [_CONTEXT in graph.terms(split.input[0]) for split in splits]
        has_context = graph.reads(_CONTEXT)
        if in_context != [has_context, *(False for _ in splits[1:])]:
            raise _unknown("a context acts on other gates than the first layer's")
        layers = tuple(graph.layer(split) for split in splits)
        return cls(graph.embedding(), layers, output[0], output_bias, has_context)


class _StepGraph:
    def __init__(self, step: onnx.ModelProto) -> None:
        self._constants = {tensor.name: tensor for tensor in step.graph.initializer}
        self._producers = {name: node for node in step.graph.node for name in node.output}
        self._nodes = list(step.graph.node)
        self._inputs = {value.name for value in step.graph.input}

    def reads(self, name: str) -> bool:
        """Whether the graph has an input of this name."""
        return name in self._inputs

    def terms(self, name: str) -> list[str]:
        """What is added up to `name`."""
        return list(self._terms(name))

    def producer(self, name: str, kind: str) -> onnx.NodeProto:
        node = self._producers.get(name)
        if node is None or node.op_type != kind:
            raise _unknown(f"{name!r} doesn't come from {kind}")
        return node

    def embedding(self) -> Weights:
        for node in self._nodes:
            if node.op_type == "Gather" and node.input[1] == "token":
                return self._constant(node.input[0])
        raise _unknown("no table is looked up by 'token'")

    def layer(self, split: onnx.NodeProto) -> LayerWeights:
        """The layer whose four gates this node takes apart."""
        for gate, activation in zip(split.output, _GATE_ACTIVATIONS, strict=True):
            if [node.op_type for node in self._nodes if gate in node.input] != [activation]:
                raise _unknown(f"gate {gate!r} doesn't go through {activation}")
        sources, weights, bias = self.linear(split.input[0])
        own = [self._is_view_of_hidden(source) for source in sources]
        if sorted(own) != [False, True]:
            raise _unknown("an LSTM cell reads something else than its input and its h")
        return LayerWeights(weights[own.index(False)], weights[own.index(True)], bias)

    def linear(self, name: str) -> tuple[list[str], list[Weights], Weights]:
        """Take apart a sum of products and constants: what is multiplied, its weights, and the bias.

        A context in it is left out.
        """
        sources, weights, biases = [], [], []
        for term in self._terms(name):
            if term in self._constants:
                biases.append(self._constant(term))
                continue
            if term == _CONTEXT:
                continue
            product = self.producer(term, "MatMul")
            sources.append(product.input[0])
            weights.append(self._constant(product.input[1]))
        if not sources:
            raise _unknown(f"{name!r} has no matrix product")
        zero = np.zeros(weights[0].shape[1], np.float32)
        return sources, weights, np.sum([zero, *biases], axis=0, dtype=np.float32)

    def _terms(self, name: str) -> Iterator[str]:
        node = self._producers.get(name)
        if node is not None and node.op_type == "Add":
            for part in node.input:
                yield from self._terms(part)
        else:
            yield name

    def _is_view_of_hidden(self, name: str) -> bool:
        while name in self._producers and self._producers[name].op_type in _VIEWS:
            name = self._producers[name].input[0]
        return name == "hidden"

    def _constant(self, name: str) -> Weights:
        if name not in self._constants:
            raise _unknown(f"{name!r} is computed, not a weight")
        array: Weights = numpy_helper.to_array(self._constants[name])
        return array


def _unknown(reason: str) -> BundleError:
    return BundleError(
        f"decoder_step.onnx is not built as `cxrscribe export` builds it ({reason}); export the bundle again"
    )

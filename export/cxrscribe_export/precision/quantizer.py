"""Writing a graph anew with int8 weights and activations, as QuantizeLinear and DequantizeLinear pairs.

onnxruntime turns `DequantizeLinear -> operator -> QuantizeLinear` into an int8 kernel when it loads the
graph, and any other ONNX runtime computes the same in float32. All scales are static: a row's result doesn't
depend on the rows beside it.

onnxruntime's own quantizer is not used: it needs a newer `onnx` than paddle2onnx runs with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from cxrscribe_export.graphs.graph_copy import constants_of, rebuilt
from cxrscribe_export.precision.activation_range import ActivationRange

Array = npt.NDArray[Any]

_CODES: Final = 255
_LEVELS: Final = 127
"""Of a signed byte, symmetric."""
_PAIR_LEVELS: Final = 127
"""Of two weights beside each other, together; rounded, their codes are 128 at most. x86 processors without
VNNI add the products of two neighbouring bytes in 16 bits and cut the sum off: 255 * (127 + 127) is beyond,
255 * 128 isn't. So every processor multiplies exactly. onnxruntime's way out, `session.x64quantprecision`,
has to be known to each program that runs the graph, and made a ResNet-101 2.6 times slower on a processor
with VNNI."""
_WEIGHT_LEVELS: Final = 126
"""Of a weight by itself: onnxruntime's AMX needs one code more (`cxrscribe.sessions.matrix_form`)."""
_LONE_LEVELS: Final = 64
"""Of a weight whose neighbour isn't known."""
_LARGEST_BIAS: Final = 2**30
"""Codes of a bias stay below, far from where int32 sums overflow."""
_SMALLEST_SCALE: Final = 1e-12
"""Of weights that are all 0, whose scale would be 0."""


@dataclass(frozen=True)
class Quantization:
    """How a float32 tensor becomes uint8: code = round(value / scale) + zero, cut to 0..255.

    uint8 activations with int8 weights are what x86 processors multiply fastest (VNNI): a ResNet-101 with
    int8 activations gained 1.2 times on fp32 where this one gained 3.2 times.
    """

    scale: float
    zero: int

    @classmethod
    def covering(cls, values: ActivationRange) -> Quantization:
        """The finest that cuts nothing off."""
        scale = max((values.high - values.low) / _CODES, _SMALLEST_SCALE)
        return cls(scale, int(np.clip(round(-values.low / scale), 0, _CODES)))


HIDDEN: Final = Quantization(1 / _LEVELS, _LEVELS + 1)
"""Of an LSTM's h, which lies in (-1, 1): sigmoid times tanh. It needs no calibration."""


class Quantizer:
    """A new graph in the making, from the nodes and constants of a float32 one.

    The caller adds nodes in their order, with what is to be quantized in the form that the methods give.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._constants = constants_of(model)
        self._nodes: list[onnx.NodeProto] = []
        self._codes: dict[str, str] = {}
        self._dequantized: dict[str, str] = {}

    def constant(self, name: str) -> Array | None:
        """The constant of this name; None where there is none."""
        return self._constants.get(name)

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node; gives its output."""
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def keep(self, node: onnx.NodeProto, inputs: list[str] | None = None) -> None:
        """Add a node of the float32 graph, reading `inputs` in place of its own if given."""
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if inputs is not None:
            copy.input[:] = inputs
        self._nodes.append(copy)

    def activation(self, name: str, quantization: Quantization, codes: str = "") -> str:
        """`name` to uint8 and back; gives the tensor to read in its place.

        One tensor has one quantization. `codes` is the uint8 tensor, where there is one already.
        """
        if codes:
            self._codes.setdefault(name, codes)
        if name not in self._dequantized:
            inputs = [self._code(name, quantization), *self._scale(name, quantization)]
            self._dequantized[name] = self.add("DequantizeLinear", inputs, f"{name}.dequantized")
        return self._dequantized[name]

    def joined_activation(self, node: onnx.NodeProto, quantization: Quantization) -> str:
        """As `activation` of what the Concat `node` gives, joined as bytes: its parts are quantized."""
        name = node.output[0]
        if name not in self._codes:
            parts = [self._code(part, quantization) for part in node.input]
            axis = helper.get_attribute_value(node.attribute[0])
            self._codes[name] = self.add("Concat", parts, f"{name}.code", axis=axis)
        return self.activation(name, quantization)

    def weight(
        self,
        name: str,
        stored: str,
        axis: int,
        bias: str | None,
        source: Quantization,
        known: Array | None = None,
    ) -> list[str]:
        """A weight to int8, with one scale for each place along `axis`, and its bias to int32.

        Args:
            name: the float32 weight.
            stored: what the new constants' names begin with.
            axis: the one that counts output channels.
            bias: the float32 bias [channels]; None for none.
            source: of the activation that the weight is multiplied with; the bias has the product's scale.
            known: where what the weight is multiplied with is always the same, that number, and else 0, in a
                shape that broadcasts to the weight's: what rounding the weight does there, the bias undoes.

        Returns:
            the tensors to read: the weight and, if there is a bias, the bias.
        """
        weight = self._constants[name].astype(np.float64)
        others = tuple(place for place in range(weight.ndim) if place != axis)
        scale = np.maximum(_finest(weight, axis), _SMALLEST_SCALE)  # [channels]
        if bias is not None:
            # A channel of tiny weights with a large bias: the bias' code has to fit into int32.
            scale = np.maximum(scale, np.abs(self._constants[bias]) / (source.scale * _LARGEST_BIAS))
        scale = scale.astype(np.float32)
        shape = [-1 if place == axis else 1 for place in range(weight.ndim)]
        codes = np.round(weight / scale.reshape(shape))
        tensors = [self._stored(codes.astype(np.int8), scale, f"{stored}.weight", axis)]
        if bias is not None:
            product = scale * np.float32(source.scale)
            exact = self._constants[bias].astype(np.float64)
            if known is not None:
                exact += ((weight - codes * scale.reshape(shape)) * known).sum(axis=others)
            bias_codes = np.round(exact / product.astype(np.float64)).astype(np.int32)
            tensors.append(self._stored(bias_codes, product, f"{stored}.bias", 0))
        return tensors

    def table(self, name: str, rows: str, output: str) -> None:
        """Look `rows` up in the float32 table `name` [V, C], kept as int8 with one scale a row."""
        table = self._constants[name]
        scale = np.maximum(np.abs(table).max(axis=1) / _LEVELS, _SMALLEST_SCALE).astype(np.float32)
        self._constants[f"{name}.int8"] = np.round(table / scale[:, np.newaxis]).astype(np.int8)
        self._constants[f"{name}.scale"] = scale
        codes = self.add("Gather", [f"{name}.int8", rows], f"{name}.codes", axis=0)  # [R, C]
        scales = self.add("Gather", [f"{name}.scale", rows], f"{name}.scales", axis=0)  # [R]
        self.add("DequantizeLinear", [codes, scales], output, axis=0)

    def finished(self) -> onnx.ModelProto:
        """The new model, with the inputs and outputs of the float32 one and what they need."""
        return rebuilt(self._model, self._nodes, self._constants)

    def _code(self, name: str, quantization: Quantization) -> str:
        """`name` as uint8."""
        if name not in self._codes:
            inputs = [name, *self._scale(name, quantization)]
            self._codes[name] = self.add("QuantizeLinear", inputs, f"{name}.code")
        return self._codes[name]

    def _scale(self, name: str, quantization: Quantization) -> list[str]:
        stem = "hidden" if quantization == HIDDEN else name
        self._constants[f"{stem}.scale"] = np.array(quantization.scale, np.float32)
        self._constants[f"{stem}.zero"] = np.array(quantization.zero, np.uint8)
        return [f"{stem}.scale", f"{stem}.zero"]

    def _stored(self, codes: Array, scale: Array, name: str, axis: int) -> str:
        self._constants[f"{name}.code"] = codes
        self._constants[f"{name}.scale"] = scale
        self._constants[f"{name}.zero"] = np.zeros(len(scale), codes.dtype)
        inputs = [f"{name}.code", f"{name}.scale", f"{name}.zero"]
        return self.add("DequantizeLinear", inputs, f"{name}.dequantized", axis=axis)


def _finest(weight: Array, axis: int) -> Array:
    """The finest scale for each place along `axis`, the output channels, of the first or the second axis.

    Kernels have the input channels, on the other one of these two axes, beside each other.
    """
    by_output = np.abs(np.moveaxis(weight, (axis, 1 - axis), (0, 1)))  # [outputs, inputs, ...]
    others = tuple(range(1, by_output.ndim))
    largest: Array = by_output.max(axis=others)
    if by_output.shape[1] % 2:
        return largest / _LONE_LEVELS
    pairs = by_output[:, ::2] + by_output[:, 1::2]
    return np.maximum(largest / _WEIGHT_LEVELS, pairs.max(axis=others) / _PAIR_LEVELS)

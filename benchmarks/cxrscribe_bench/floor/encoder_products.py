"""The encoder's floor: its convolutions and linear layers as matrix products, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from cxrscribe.bundle.contract import GraphInterface
from cxrscribe.bundle.files import TensorEntry
from cxrscribe.errors import InputError
from cxrscribe_bench.floor.matrix_products import open_products
from cxrscribe_export.graphs.graph_builder import GraphBuilder

_Shape: TypeAlias = tuple[int, ...]

_SMALL: Final = 1024
"""Numbers up to which a tensor may be one that sizes are computed from."""


@dataclass(frozen=True)
class Product:
    """One node as `groups` products [rows, inner] x [inner, outer]; numbers are those of one film."""

    rows: int
    """Places of the output: OH * OW of a convolution."""
    inner: int
    """Cin / groups * kh * kw of a convolution."""
    outer: int
    """Cout / groups of a convolution."""
    groups: int
    read: int
    """Numbers of the node's input: fewer than those of the factor, which holds each kh * kw times."""

    @property
    def weights(self) -> int:
        """Numbers of the second factor."""
        return self.groups * self.inner * self.outer

    @property
    def written(self) -> int:
        """Numbers of the product."""
        return self.groups * self.rows * self.outer

    @property
    def factor(self) -> int:
        """Numbers of the first factor."""
        return self.groups * self.rows * self.inner

    @property
    def multiplications(self) -> int:
        """Multiply-adds."""
        return self.factor * self.outer


def products_of(encoder: Path, height: int, width: int) -> tuple[Product, ...]:
    """The products of an encoder's graph at this size of film, in order; their shapes by shape inference.

    Raises InputError when it has a product whose second factor is computed, or whose shape can't be told.
    """
    model = onnx.load(encoder, load_external_data=False)
    for tensor in model.graph.initializer:
        if _size(tuple(tensor.dims)) > _SMALL:
            tensor.ClearField("raw_data")  # sizes follow from small constants; weights would be copied often
    for axis, size in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, height, width), strict=True):
        axis.dim_value = size
    shapes = _shapes(model)
    return tuple(
        _of_node(node, shapes, encoder)
        for node in model.graph.node
        if node.op_type in ("Conv", "Gemm", "MatMul")
    )


class EncoderProducts:
    """Runs one onnxruntime graph that has all products, with random factors.

    Weights are as many as the encoder's. First factors lie in one buffer, products in another, each as large
    as the largest: what was there before is of no use.
    """

    def __init__(self, products: Sequence[Product], threads: int) -> None:
        """`threads`: of the CPU."""
        self._products = products
        self._session = open_products(_model(products), threads)
        self._factors = self._written = np.empty(0, np.float32)
        self._bindings: dict[int, Any] = {}

    def prepare(self, films: int) -> None:
        """Make room for the factors of `films` films at a time, so that `run` only multiplies."""
        if films in self._bindings:
            return
        factor = films * max(product.factor for product in self._products)
        if len(self._factors) < factor:
            self._factors = np.random.default_rng(0).random(factor, np.float32)
            self._written = np.empty(films * max(product.written for product in self._products), np.float32)
            self._bindings.clear()
        self._bindings[films] = self._bound(films)

    def run(self, films: int) -> None:
        """Multiply, once, for `films` films that `prepare` was called for since the largest was."""
        self._session.run_with_iobinding(self._bindings[films])

    def _bound(self, films: int) -> Any:
        binding = self._session.io_binding()
        for place, product in enumerate(self._products):
            rows = films * product.rows
            for name, bind, buffer, columns in (
                (_factor(place), binding.bind_input, self._factors, product.inner),
                (_product(place), binding.bind_output, self._written, product.outer),
            ):
                shape = _batched(product, rows, columns)
                bind(name, "cpu", 0, np.float32, shape, buffer.ctypes.data)
        return binding


def _size(shape: _Shape) -> int:
    return prod(shape)


def _shapes(model: onnx.ModelProto) -> dict[str, _Shape]:
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    shapes = {
        value.name: tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim) for value in values
    }
    return shapes | {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}


def _of_node(node: onnx.NodeProto, shapes: dict[str, _Shape], encoder: Path) -> Product:
    source, written = shapes.get(node.input[0], ()), shapes.get(node.output[0], ())
    weights = shapes.get(node.input[1], ())
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if not (source and weights and _size(source) and _size(weights)):
        raise InputError(f"{encoder}: no size is known of what {node.op_type} {node.name!r} multiplies")
    if node.op_type == "Conv":
        groups = int(attributes.get("group", 1))
        if not _size(written[2:]):
            raise InputError(f"{encoder}: no size is known of what Conv {node.name!r} gives")
        return Product(_size(written[2:]), _size(weights[1:]), weights[0] // groups, groups, _size(source))
    if len(weights) != 2:
        raise InputError(
            f"{encoder}: {node.op_type} {node.name!r} multiplies with {list(weights)}, no matrix"
        )
    inner, outer = reversed(weights) if attributes.get("transB", 0) else weights
    return Product(_size(source) // inner, inner, outer, 1, _size(source))


def _model(products: Sequence[Product]) -> onnx.ModelProto:
    random = np.random.default_rng(0)
    graph = GraphBuilder()
    inputs, outputs = [], []
    for place, product in enumerate(products):
        rows = f"rows_{place}"
        inputs.append(TensorEntry(_factor(place), "float32", _batched(product, rows, product.inner)))
        outputs.append(TensorEntry(_product(place), "float32", _batched(product, rows, product.outer)))
        weights: NDArray[np.float32] = random.random(
            _batched(product, product.inner, product.outer), np.float32
        )
        graph.node("MatMul", inputs[-1].name, graph.constant(weights), name=outputs[-1].name)
    return graph.model(GraphInterface("encoder_products", tuple(inputs), tuple(outputs)))


def _batched(product: Product, rows: Any, columns: int) -> tuple[Any, ...]:
    return (rows, columns) if product.groups == 1 else (product.groups, rows, columns)


def _factor(place: int) -> str:
    return f"factor_{place}"


def _product(place: int) -> str:
    return f"product_{place}"

"""Scaling and normalization of the film folded into the first convolution, which then reads its bytes.

A film goes through x -> scale * x + shift, channel by channel, before the first convolution, whose padding is
0 after that: a grey level between two bytes, and another one for each channel. Folded, the convolution reads
the grey plane in one channel, less the byte nearest to those levels, and beside it a plane that is the same
everywhere: the weights of that one hold what is left of the shifts. Both are padded with 0, so that inside
and at the border the same comes out as before.

A convolution that goes in steps of two reads cells of 2 x 2 pixels as four channels. It has fewer places to
visit then, and its channels come in fours, as kernels of bytes take them; with one or three channels they
multiply by zeros most of the time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from cxrscribe_export.graphs.graph_copy import constants_of, rebuilt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_PLANE: Final = 255
"""What the second plane is filled with: the byte for which its weights are smallest."""
_CENTRED: Final = "stem.centred"
"""What the convolution reads."""
_CELL: Final = 2
"""Side of the cells of a convolution of this stride."""


def fold_stem(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of an encoder whose first convolution reads bytes, turned into float32 by a Cast and a Sub.

    They are [N, C, H, W]: the film, or the pixels of its cells, each with the plane behind it if there is
    one: of two neighbouring weights one is small then, which int8 gains from. A graph of another form comes
    back as it is.
    """
    stem = _Stem.of(model)
    if stem is None:
        return model
    constants = constants_of(model)
    zero = stem.zero
    weight, bias, has_plane = _byte_weight(stem, zero)
    geometry, film = stem.geometry, stem.film
    in_cells = geometry.in_cells()
    if in_cells is not None:
        weight = _weight_of_cells(weight, geometry, in_cells)
        geometry = in_cells
    nodes = []

    def node(kind: str, *inputs: str, name: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(value: Array, name: str) -> str:
        constants[f"stem.{name}"] = value
        return f"stem.{name}"

    # With the channels last: bytes lie side by side that are moved together, and onnxruntime, whose kernels
    # of bytes have the channels last, needs no transposition of its own.
    (height, width), read = geometry.size, film
    if in_cells is not None:
        shape = constant(np.array([0, height, _CELL, width, _CELL]), "rows_shape")
        rows = node("Reshape", film, shape, name="stem.rows")
        read = node("Transpose", rows, name="stem.cells", perm=[0, 1, 3, 2, 4])
    if has_plane:
        shape = constant(np.array([0, height, width, -1, 1]), "film_shape")
        read = node("Reshape", read, shape, name="stem.film")
        pads = constant(np.array([0] * 9 + [1]), "pads")
        read = node("Pad", read, pads, constant(np.array(_PLANE, np.uint8), "plane"), name="stem.planes")
    shape = constant(np.array([0, height, width, weight.shape[1]]), "shape")
    read = node("Reshape", read, shape, name="stem.last")
    read = node("Transpose", read, name="stem.channels", perm=[0, 3, 1, 2])
    read = node("Cast", read, name="stem.bytes", to=TensorProto.FLOAT)
    read = node("Sub", read, constant(np.array(zero, np.float32), "zero"), name=_CENTRED)
    node(
        "Conv",
        read,
        constant(weight.astype(np.float32), "weight"),
        constant(bias.astype(np.float32), "bias"),
        name=stem.output,
        pads=list(geometry.pads),
        strides=list(geometry.strides),
        kernel_shape=list(weight.shape[2:]),
    )
    kept = [node for place, node in enumerate(model.graph.node) if place not in stem.places]
    return rebuilt(model, [*nodes, *kept], constants)


def known_inputs(conv: onnx.NodeProto, channels: int, zero: int) -> Floats | None:
    """What a folded stem's convolution reads of the plane, [1, C, 1, 1], and 0 of the film; else None.

    Args:
        conv: any convolution.
        channels: that it reads.
        zero: the byte that is 0.
    """
    if conv.input[0] != _CENTRED or channels not in (2, 2 * _CELL * _CELL):
        return None
    known = np.zeros((1, channels, 1, 1))
    known[:, 1::2] = _PLANE - zero
    return known


@dataclass(frozen=True)
class _Geometry:
    """Where a convolution looks."""

    size: tuple[int, int]
    """Height and width of what it reads."""
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    """Above, left, below, right."""

    @property
    def is_padded(self) -> bool:
        return any(self.pads)

    def in_cells(self) -> _Geometry | None:
        """The same convolution over cells of 2 x 2 pixels; None where it doesn't go in steps of them."""
        if self.strides != (_CELL, _CELL) or any(side % _CELL for side in self.size):
            return None
        axes = [self._axis_in_cells(axis) for axis in (0, 1)]
        if min(after for *_, after in axes) < 0:
            return None
        (height, tall, above, below), (width, wide, left, right) = axes
        return _Geometry((height, width), (tall, wide), (1, 1), (above, left, below, right))

    def _axis_in_cells(self, axis: int) -> tuple[int, int, int, int]:
        """Size, kernel, and padding before and after, in cells."""
        size, kernel = self.size[axis], self.kernel[axis]
        before, after = self.pads[axis], self.pads[axis + 2]
        outputs = (size + before + after - kernel) // _CELL + 1
        cells_before = -(-before // _CELL)
        cells = -(-(kernel + self.skipped(axis)) // _CELL)
        return size // _CELL, cells, cells_before, outputs + cells - 1 - cells_before - size // _CELL

    def skipped(self, axis: int) -> int:
        """Pixels of the first cell that the kernel doesn't look at: cells begin before the padding does."""
        return -self.pads[axis] % _CELL


@dataclass(frozen=True)
class _Stem:
    """What lies between the film and the output of the first convolution."""

    film: str
    """uint8 [N, H, W]"""
    output: str
    weight: Floats
    """[O, C, kh, kw]"""
    bias: Floats
    """[O]"""
    scale: Floats
    """[C]"""
    shift: Floats
    """[C]"""
    geometry: _Geometry
    places: frozenset[int]
    """Of the nodes that it stands for."""

    @property
    def zero(self) -> int:
        """The byte that is nearest to 0 after normalization."""
        level = float(np.mean(-self.shift / self.scale)) if self.scale.all() else 0.0
        return int(np.clip(round(level), 0, _PLANE - 1))

    @classmethod
    def of(cls, model: onnx.ModelProto) -> _Stem | None:
        """Read it from a graph; None where the graph begins in another way."""
        graph, constants = model.graph, constants_of(model)
        if len(graph.input) != 1:
            return None
        film = graph.input[0]
        _, *size = (axis.dim_value for axis in film.type.tensor_type.shape.dim)
        if film.type.tensor_type.elem_type != TensorProto.UINT8 or len(size) != 2 or 0 in size:
            return None
        reads = Counter(name for node in graph.node for name in node.input)
        reads.update(value.name for value in graph.output)
        readers = {name: place for place, node in enumerate(graph.node) for name in node.input}
        name, places = film.name, []
        scale, shift = np.ones(1), np.zeros(1)
        while reads[name] == 1 and name in readers:
            places.append(readers[name])
            node = graph.node[places[-1]]
            others = [constants.get(other) for other in node.input if other != name]
            if node.op_type == "Conv":
                return cls._before(node, film.name, (size[0], size[1]), scale, shift, constants, places)
            if node.op_type in ("Mul", "Add"):
                value = _by_channel(others[0]) if len(others) == 1 else None
                if value is None:
                    return None
                scale, shift = (
                    (scale * value, shift * value) if node.op_type == "Mul" else (scale, shift + value)
                )
            elif not _is_view(node, others):
                return None
            name = node.output[0]
        return None

    @classmethod
    def _before(
        cls,
        conv: onnx.NodeProto,
        film: str,
        size: tuple[int, int],
        scale: Floats,
        shift: Floats,
        constants: dict[str, Array],
        places: list[int],
    ) -> _Stem | None:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in conv.attribute}
        plain = attributes.get("group", 1) == 1 and attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
        if (
            not plain
            or set(attributes.get("dilations", [1])) != {1}
            or not constants.keys() >= {*conv.input[1:]}
        ):
            return None
        weight = constants[conv.input[1]].astype(np.float64)
        outputs, channels, *kernel = weight.shape
        if len(kernel) != 2 or max(len(scale), len(shift)) not in (1, channels):
            return None
        bias = constants[conv.input[2]] if len(conv.input) > 2 else np.zeros(outputs)
        above, left, below, right = attributes.get("pads", [0] * 4)
        down, across = attributes.get("strides", [1, 1])
        geometry = _Geometry(size, (kernel[0], kernel[1]), (down, across), (above, left, below, right))
        return cls(
            film,
            conv.output[0],
            weight,
            bias.astype(np.float64),
            np.broadcast_to(scale, channels),
            np.broadcast_to(shift, channels),
            geometry,
            frozenset(places),
        )


def _by_channel(value: Array | None) -> Floats | None:
    """A constant that is one number, or one for each channel of [N, C, H, W], as float64 [1] or [C]."""
    if value is None or value.dtype != np.float32:
        return None
    shape = (1,) * (4 - value.ndim) + value.shape
    if len(shape) != 4 or (shape[0], shape[2], shape[3]) != (1, 1, 1):
        return None
    return value.reshape(-1).astype(np.float64)


def _is_view(node: onnx.NodeProto, others: list[Array | None]) -> bool:
    """Whether a node gives [N, 1, H, W] of the film's [N, H, W], or float32 of its bytes."""
    if node.op_type == "Cast":
        return bool(helper.get_attribute_value(node.attribute[0]) == TensorProto.FLOAT)
    return node.op_type == "Unsqueeze" and others[0] is not None and list(others[0].reshape(-1)) == [1]


def _byte_weight(stem: _Stem, zero: int) -> tuple[Floats, Floats, bool]:
    """Weight [O, 1 or 2, kh, kw] over film and plane less `zero`, bias [O], and whether there is a plane."""
    over_film = np.einsum("ockl,c->okl", stem.weight, stem.scale)[:, np.newaxis]
    rest = np.einsum("ockl,c->okl", stem.weight, stem.shift + zero * stem.scale)[:, np.newaxis]
    if not stem.geometry.is_padded or not rest.any():
        return over_film, stem.bias + rest.sum(axis=(1, 2, 3)), False
    return np.concatenate((over_film, rest / (_PLANE - zero)), axis=1), stem.bias, True


def _weight_of_cells(weight: Floats, geometry: _Geometry, in_cells: _Geometry) -> Floats:
    """Weight [O, 4 * C, cells, cells] of weight [O, C, kh, kw]."""
    tall, wide = in_cells.kernel
    whole = np.zeros((*weight.shape[:2], tall * _CELL, wide * _CELL))
    rows, columns = (
        slice(geometry.skipped(axis), geometry.skipped(axis) + geometry.kernel[axis]) for axis in (0, 1)
    )
    whole[:, :, rows, columns] = weight
    parts = whole.reshape(*weight.shape[:2], tall, _CELL, wide, _CELL).transpose(0, 3, 5, 1, 2, 4)
    return parts.reshape(len(weight), -1, tall, wide)

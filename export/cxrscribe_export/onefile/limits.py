"""The settings of one file's search, as tensors: what the caller may override, brought within its limits.

Divisors are those of rules 2 and 8 of docs/decoding.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cxrscribe.settings import MAX_BEAM_WIDTH, MAX_LENGTH, MAX_LENGTH_PENALTY, BeamSettings
from cxrscribe_export.graphs.graph_builder import GraphBuilder

OVERRIDABLE: Final = ("beam_width", "max_length", "min_length", "length_penalty")
"""Settings that are inputs with a default; names of the graph's inputs."""

# A float32 holds up to six decimals of any number to 10: rounded to them, it is what the caller wrote.
_PENALTY_STEPS: Final = 1e6


@dataclass(frozen=True)
class Limits:
    """Names of tensors. T is the most steps of the search, K the width of the beam."""

    beam_width: str
    """int64 scalar: K."""
    max_length: str
    """int64 scalar: T."""
    min_length: str
    """int64 scalar."""
    divisors: str
    """double [T]: `length ** length_penalty` of hypotheses that end in each step."""
    favourable: str
    """double [T]: the divisor under which a hypothesis alive after each step can do best."""


def default_values(settings: BeamSettings) -> list[onnx.TensorProto]:
    """Initializers of the inputs that may be overridden, rank 0."""
    integers = [
        numpy_helper.from_array(np.array(getattr(settings, name), np.int64), name) for name in OVERRIDABLE[:3]
    ]
    penalty = numpy_helper.from_array(np.array(settings.length_penalty, np.float32), OVERRIDABLE[3])
    return [*integers, penalty]


def given_settings(settings: BeamSettings) -> dict[str, NDArray[np.int64] | NDArray[np.float32]]:
    """The settings as inputs of a session, by name, rank 0."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in default_values(settings)}


def overridable_inputs() -> list[onnx.ValueInfoProto]:
    """The graph inputs of `default_values`."""
    types = [TensorProto.INT64] * 3 + [TensorProto.FLOAT]
    return [
        helper.make_tensor_value_info(name, kind, []) for name, kind in zip(OVERRIDABLE, types, strict=True)
    ]


def add_limits(graph: GraphBuilder) -> Limits:
    """Add what the search reads of its settings.

    A value out of range counts as the nearest one that BeamSettings allows; a length_penalty of NaN is 0.
    """
    one = graph.constant(np.array(1))
    beam_width = graph.node("Clip", "beam_width", one, graph.constant(np.array(MAX_BEAM_WIDTH)))
    max_length = graph.node("Clip", "max_length", one, graph.constant(np.array(MAX_LENGTH)))
    penalty = _penalty(graph)

    length = graph.node("Range", one, graph.node("Add", max_length, one), one)  # [T]: 1 .. T
    divisors = graph.node("Pow", graph.node("Cast", length, to=TensorProto.DOUBLE), penalty)
    # Which place of `divisors`: a length's divisor stands at length - 1.
    last = graph.node("Sub", max_length, one)
    favours_length = graph.node("Greater", penalty, graph.double(0.0))
    favourable = graph.node("Where", favours_length, last, graph.node("Min", length, last))  # [T]
    return Limits(
        beam_width, max_length, "min_length", divisors, graph.node("Gather", divisors, favourable, axis=0)
    )


def _penalty(graph: GraphBuilder) -> str:
    """The exponent, a double scalar."""
    zero, most = graph.constant(np.float32(0)), graph.constant(np.float32(MAX_LENGTH_PENALTY))
    number = graph.node("Where", graph.node("IsNaN", "length_penalty"), zero, "length_penalty")
    clipped = graph.node("Clip", number, graph.constant(np.float32(-MAX_LENGTH_PENALTY)), most)
    steps = graph.double(_PENALTY_STEPS)
    scaled = graph.node("Mul", graph.node("Cast", clipped, to=TensorProto.DOUBLE), steps)
    return graph.node("Div", graph.node("Round", scaled), steps)

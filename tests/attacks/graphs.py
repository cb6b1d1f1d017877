"""Attacks by the graphs of a bundle whose manifest is right: what they hold, and what they give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, helper, load_model, numpy_helper

from attacks.attack import Attack, FaultError, load, refused, undecided, words
from cxrscribe.bundle.contract import BEAM_INIT, BEAM_STEP, DECODER_INIT, DECODER_STEP, ENCODER
from cxrscribe.bundle.files import FileEntry
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.errors import BundleError, DeviceError
from support.edited_manifest import edit_manifest
from support.small_bundle import SmallBundle, edit_graph

Change = Callable[[ModelProto], object]
_GRAPH_FIELD = 7  # of a model
_HIDDEN = "hidden.bin"
FUSED = SmallBundle(fused=True)
CANONICAL = SmallBundle()


def varint(number: int, length: int = 1) -> bytes:
    """In base 128, in at least so many bytes."""
    digits = bytearray()
    while number >= 128 or len(digits) < length - 1:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


def field(number: int, content: bytes, *, high: int = 0, length: int = 1) -> bytes:
    """A field of bytes; `high`: bits of the tag above 32, `length`: of the tag, at least."""
    return varint(high << 32 | number << 3 | 2, length) + varint(len(content)) + content


def rewrite(bundle: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change the bytes of a graph, and make the manifest fit again."""
    (bundle / name).write_bytes(change((bundle / name).read_bytes()))
    manifest = Manifest.read(bundle)
    found = FileEntry.describe(bundle, name)
    files = [
        replace(entry, sha256=found.sha256, bytes=found.bytes) if entry.path == name else entry
        for entry in manifest.files
    ]
    replace(manifest, files=tuple(files)).write(bundle)


def _external(name: str, values: NDArray[Any], location: str, offset: int = 0) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=values.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(values.nbytes))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def _hidden(name: str, hide: Callable[[bytes], bytes]) -> Attack:
    """The encoder's weights in a file that the manifest doesn't know, behind something odd in the bytes."""

    def attempt(folder: Path) -> None:
        bundle = CANONICAL.write(folder / "bundle")
        model = load_model(bundle / ENCODER)
        weight = next(each for each in model.graph.initializer if len(each.dims) == 4)
        values = numpy_helper.to_array(weight)
        (bundle / _HIDDEN).write_bytes(np.zeros_like(values).tobytes())
        hidden = GraphProto()
        hidden.initializer.append(_external(weight.name, values, _HIDDEN))
        model.graph.initializer.remove(weight)
        rewrite(bundle, ENCODER, lambda _: model.SerializeToString() + hide(hidden.SerializeToString()))
        refused(lambda: load(bundle))

    return Attack(f"weights hidden behind {name}", attempt)


HIDDEN = (
    _hidden("a second graph", lambda graph: field(_GRAPH_FIELD, graph)),
    _hidden("a tag of 33 bits", lambda graph: field(_GRAPH_FIELD, graph, high=1)),
    _hidden("a tag of 35 bits", lambda graph: field(_GRAPH_FIELD, graph, high=7)),
    _hidden("a tag of five bytes", lambda graph: field(_GRAPH_FIELD, graph, length=5)),
    _hidden("a tag of six bytes", lambda graph: field(_GRAPH_FIELD, graph, length=6)),
    _hidden("a tag of ten bytes", lambda graph: field(_GRAPH_FIELD, graph, length=10)),
    _hidden("a group", lambda graph: varint(99 << 3 | 3) + varint(99 << 3 | 4) + field(_GRAPH_FIELD, graph)),
    _hidden("a group around", lambda graph: varint(99 << 3 | 3) + field(7, graph) + varint(99 << 3 | 4)),
    _hidden("a size of ten bytes", lambda graph: varint(58) + varint(len(graph), 10) + graph),
    _hidden("a long number", lambda graph: b"\x18" + b"\xff" * 9 + b"\x01" + field(_GRAPH_FIELD, graph)),
    _hidden("a longer number", lambda graph: b"\x18" + b"\x80" * 10 + b"\x01" + field(_GRAPH_FIELD, graph)),
    _hidden("field 0", lambda graph: b"\x02\x00" + field(_GRAPH_FIELD, graph)),
    _hidden("wire type 7", lambda graph: b"\x0f" + field(_GRAPH_FIELD, graph)),
    _hidden("two graphs, cut apart", lambda graph: field(7, graph[:0]) + field(7, graph) + field(7, b"")),
)


def _edited(name: str, graph: str, change: Change, kind: SmallBundle = FUSED) -> Attack:
    """A graph that is to be refused before it runs."""

    def attempt(folder: Path) -> None:
        bundle = kind.write(folder / "bundle")
        edit_graph(bundle, graph, change)
        refused(lambda: load(bundle))

    return Attack(name, attempt)


def _pass_through(operator: str, domain: str = "", **attributes: Any) -> Change:
    """Put an operator, with a name that onnxruntime knows, behind the graph's first output."""

    def change(model: ModelProto) -> None:
        output = model.graph.output[0].name
        for node in model.graph.node:
            node.output[:] = [f"{output}_before" if name == output else name for name in node.output]
        model.graph.node.append(
            helper.make_node(operator, [f"{output}_before"], [output], domain=domain, **attributes)
        )
        if domain:
            model.opset_import.append(helper.make_opsetid(domain, 1))

    return change


def _if(model: ModelProto) -> None:
    name = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = [f"{name}_before" if each == name else each for each in node.output]
    value = helper.make_tensor_value_info(f"{name}_in", TensorProto.FLOAT, None)
    nodes = [helper.make_node("Identity", [f"{name}_before"], [f"{name}_in"])]
    branch = helper.make_graph(nodes, "branch", [], [value])
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.node.append(helper.make_node("If", ["yes"], [name], then_branch=branch, else_branch=branch))


def _function_bomb(model: ModelProto) -> None:
    """Each function calls the next one twice."""
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    for i in range(26):
        inner = "Relu" if i == 25 else f"F{i + 1}"
        domain = "" if i == 25 else "own"
        nodes = [
            helper.make_node(inner, ["x"], ["y"], domain=domain),
            helper.make_node(inner, ["y"], ["z"], domain=domain),
        ]
        model.functions.append(helper.make_function("own", f"F{i}", ["x"], ["z"], nodes, opset))
    _pass_through("F0", "own")(model)


def _subgraph_on_a_plain_node(model: ModelProto) -> None:
    inner = helper.make_graph([helper.make_node("RandomNormal", [], ["r"], shape=[1])], "inner", [], [])
    model.graph.node[0].attribute.append(helper.make_attribute("body", inner))


def _sparse(model: ModelProto) -> None:
    values = helper.make_tensor("sparse", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("at", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [10**6, 10**6]))


def _training(model: ModelProto) -> None:
    model.training_info.add().algorithm.CopyFrom(model.graph)


def _deep(model: ModelProto) -> None:
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [], [])
    for _ in range(25):
        node = helper.make_node("Identity", ["x"], ["y"])
        node.attribute.append(helper.make_attribute("body", graph))
        graph = helper.make_graph([node], "g", [], [])
    model.graph.node[0].attribute.append(helper.make_attribute("body", graph))


def _address(folder: Path) -> None:
    """Weights at an address of this process' memory, in a way that onnxruntime has for its own use."""
    bundle = CANONICAL.write(folder / "bundle")
    location = "*/_ORT_MEM_ADDR_/*"
    file = bundle / location
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(64))
    values = np.zeros((6, 1, 5, 5), np.float32)

    def change(model: ModelProto) -> None:
        weight = next(each for each in model.graph.initializer if len(each.dims) == 4)
        weight.CopyFrom(_external(weight.name, values, location, values.ctypes.data))

    def attempt() -> None:
        edit_graph(bundle, ENCODER, change)
        manifest = Manifest.read(bundle)
        replace(manifest, files=(*manifest.files, FileEntry.describe(bundle, location))).write(bundle)
        load(bundle)

    refused(attempt)


PARTS = (
    _edited("Loop's sibling If", ENCODER, _if),
    _edited("operator of another domain", ENCODER, _pass_through("Gelu", "com.microsoft")),
    _edited("engine of an accelerator", ENCODER, _pass_through("EPContext", "com.microsoft", embed_mode=0)),
    _edited("random numbers", ENCODER, _pass_through("RandomNormalLike")),
    _edited("dice", ENCODER, _pass_through("Bernoulli")),
    _edited("dropout", ENCODER, _pass_through("Dropout")),
    _edited("functions that call each other", ENCODER, _function_bomb),
    _edited("subgraph on a plain node", ENCODER, _subgraph_on_a_plain_node),
    _edited("sparse tensor of four terabytes", ENCODER, _sparse),
    _edited("training", ENCODER, _training),
    _edited("graphs in each other, 25 deep", ENCODER, _deep),
    Attack("weights at an address in memory", _address),
)


def _ends_in(nodes: list[Any], constants: dict[str, NDArray[Any]], output: str) -> Change:
    """Put nodes between a graph and its output, which is called `before` there."""

    def change(model: ModelProto) -> None:
        for node in model.graph.node:
            node.output[:] = ["before" if name == output else name for name in node.output]
            node.input[:] = ["before" if name == output else name for name in node.input]
        for name, value in constants.items():
            model.graph.initializer.append(numpy_helper.from_array(value, name))
        model.graph.node.extend(nodes)

    return change


def _unforeseen(model: ModelProto, number: float) -> list[Any]:
    """Nodes that give `number` as int64 [1], called `unforeseen`, in a way that no reader can foresee."""
    data = model.graph.input[0].name
    model.graph.initializer.append(numpy_helper.from_array(np.float32([0]), "nothing"))
    model.graph.initializer.append(numpy_helper.from_array(np.float32([number]), "number"))
    return [
        helper.make_node("Cast", [data], ["data_numbers"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["data_numbers"], ["data_row"], axis=0),
        helper.make_node("ReduceMax", ["data_row"], ["data_most"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["data_most", "nothing"], ["data_nothing"]),
        helper.make_node("Add", ["data_nothing", "number"], ["data_number"]),
        helper.make_node("Cast", ["data_number"], ["unforeseen"], to=TensorProto.INT64),
    ]


def _wrong_shape(
    graph: str, output: str, axis: int, kind: SmallBundle, *, more: bool, open_size: bool
) -> Attack:
    """An output with one row for all, or with twice as many: no report may come of it."""

    def change(model: ModelProto) -> None:
        constants = {"start": np.array([0]), "axis": np.array([axis])}
        if open_size:
            nodes = _unforeseen(model, 1e6 if more else 1)
        else:
            nodes, constants["unforeseen"] = [], np.array([10**6 if more else 1])
        nodes.append(helper.make_node("Slice", ["before", "start", "unforeseen", "axis"], ["part"]))
        parts = ["part", "part"] if more else ["part"]
        nodes.append(helper.make_node("Concat", parts, [output], axis=axis))
        _ends_in(nodes, constants, output)(model)

    def attempt(folder: Path) -> None:
        bundle = kind.write(folder / "bundle")
        edit_graph(bundle, graph, change)
        try:
            words(bundle)
        except (BundleError, DeviceError):
            return
        raise FaultError("reports")

    size = "twice as long" if more else "of 1"
    return Attack(f"{graph}: {output} with axis {axis} {size}{', unforeseen' * open_size}", attempt)


SHAPES = tuple(
    _wrong_shape(graph, output, axis, kind, more=more, open_size=open_size)
    for graph, output, axis, kind in (
        (ENCODER, "features", 0, FUSED),
        (DECODER_INIT, "hidden", 1, CANONICAL),
        (DECODER_INIT, "cell", 1, CANONICAL),
        (DECODER_STEP, "log_probs", 0, CANONICAL),
        (DECODER_STEP, "log_probs", 1, CANONICAL),
        (DECODER_STEP, "hidden_out", 1, CANONICAL),
        (DECODER_STEP, "cell_out", 0, CANONICAL),
        (BEAM_INIT, "state", 0, FUSED),
        (BEAM_INIT, "state", 1, FUSED),
        (BEAM_STEP, "candidate_score", 0, FUSED),
        (BEAM_STEP, "candidate_index", 0, FUSED),
        (BEAM_STEP, "candidate_index", 1, FUSED),
        (BEAM_STEP, "candidate_log_prob", 1, FUSED),
        (BEAM_STEP, "state_out", 0, FUSED),
    )
    for more in (False, True)
    for open_size in (False, True)
)


def _wrong_value(output: str, value: float | int, place: int | None) -> Attack:
    """A candidate that can't be, at one place or at all of them: every search ends in a DecodingError."""

    def attempt(folder: Path) -> None:
        bundle = FUSED.write(folder / "bundle")
        kind = np.int64 if output == "candidate_index" else np.float32
        number = np.array([value], kind)
        if place is None:
            nodes = [
                helper.make_node("Shape", ["before"], ["shape"]),
                helper.make_node("Expand", ["number", "shape"], [output]),
            ]
        else:
            nodes = [
                helper.make_node("Split", ["before", "lengths"], ["head", "one", "tail"], axis=1),
                helper.make_node("Shape", ["one"], ["shape"]),
                helper.make_node("Expand", ["number", "shape"], ["other"]),
                helper.make_node("Concat", ["head", "other", "tail"], [output], axis=1),
            ]
        lengths = np.array([place or 0, 1, 5 - (place or 0)])  # of the six candidates of a beam of three
        edit_graph(bundle, BEAM_STEP, _ends_in(nodes, {"number": number, "lengths": lengths}, output))
        undecided(bundle)

    return Attack(f"{output} is {value} at {'every place' if place is None else place}", attempt)


_CANDIDATES = tuple(
    _wrong_value(output, value, place)
    for output, values in (
        ("candidate_index", (36, -1, -36, 10**9, -(10**9), 2**62, -(2**63))),
        ("candidate_score", (float("nan"), float("inf"))),
        ("candidate_log_prob", (float("nan"), float("inf"), float("-inf"))),
    )
    for value in values
    for place in (None, 1, 5)
)


def _open_axes(name: str, **sizes: int) -> Attack:
    """Graphs that leave all sizes open, with sizes in the manifest that nobody has memory for."""

    def attempt(folder: Path) -> None:
        bundle = FUSED.write(folder / "bundle")

        def change(model: ModelProto) -> None:
            output = model.graph.output[-1].name
            nodes = [
                *_unforeseen(model, 1e6),
                helper.make_node("Slice", ["before", "start", "unforeseen", "axis"], [output]),
            ]
            _ends_in(nodes, {"start": np.array([0]), "axis": np.array([1])}, output)(model)
            for number, value in enumerate([*model.graph.input, *model.graph.output]):
                for place, axis in enumerate(value.type.tensor_type.shape.dim):
                    axis.Clear()
                    axis.dim_param = f"axis_{number}_{place}"

        for graph in (ENCODER, BEAM_INIT, BEAM_STEP):
            edit_graph(bundle, graph, change)
        edit_manifest(bundle, lambda fields: fields["architecture"].update(sizes))
        refused(lambda: words(bundle))

    return Attack(f"open sizes and {name}", attempt)


def _wrong_log_prob(value: float) -> Attack:
    """The canonical step gives a word a log-probability that none can have."""

    def attempt(folder: Path) -> None:
        bundle = CANONICAL.write(folder / "bundle")
        one = np.zeros((1, CANONICAL.words), np.float32)
        one[0, 7] = value
        node = helper.make_node("Add", ["before", "one"], ["log_probs"])
        edit_graph(bundle, DECODER_STEP, _ends_in([node], {"one": one}, "log_probs"))
        undecided(bundle)

    return Attack(f"log_probs are {value}", attempt)


def _wrong_feature(value: float) -> Attack:
    """The encoder gives a film features that are no numbers."""

    def attempt(folder: Path) -> None:
        bundle = FUSED.write(folder / "bundle")
        one = np.full((1, FUSED.features), value, np.float32)
        node = helper.make_node("Add", ["before", "one"], ["features"])
        edit_graph(bundle, ENCODER, _ends_in([node], {"one": one}, "features"))
        undecided(bundle)

    return Attack(f"features are {value}", attempt)


VALUES = (*_CANDIDATES, *map(_wrong_log_prob, (float("nan"), float("inf"))), _wrong_feature(float("nan")))
OPEN = (
    _open_axes("a million million features", feature_size=10**12),
    _open_axes("a million million layers", layers=10**12),
    _open_axes("hidden states of 10 to the 30", hidden_size=10**30),
    _open_axes("one more feature", feature_size=7),
    _open_axes("one more hidden", hidden_size=8),
)
ATTACKS = (*HIDDEN, *PARTS, *SHAPES, *VALUES, *OPEN)

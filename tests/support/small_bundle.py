"""Writes bundles of random weights with the `onnx` package alone, in a second and without Paddle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cxrscribe.bundle.architecture import Architecture, ContextSizes
from cxrscribe.bundle.contract import PATIENT_TEXT
from cxrscribe.bundle.evidence import Provenance
from cxrscribe.bundle.files import FileEntry, TensorEntry
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.patient_text import PatientText, terms_of
from cxrscribe.settings import BeamSettings
from cxrscribe_export.graphs.fusion import fuse, fuse_initial_state
from support.small_models import letters

OPSET = 17
INDICATIONS = ("Chest pain.", "Cough, fever. Shortness of breath.", "Preoperative for hip surgery")
"""What bundles with a context know the words of."""
_DTYPES = {TensorProto.FLOAT: "float32", TensorProto.INT64: "int64", TensorProto.UINT8: "uint8"}


@dataclass(frozen=True)
class SmallBundle:
    """Sizes of a bundle. `write` gives the same weights for the same seed."""

    seed: int = 0
    height: int = 24
    width: int = 32
    features: int = 6
    embedding: int = 5
    hidden: int = 7
    layers: int = 2
    words: int = 12
    settings: BeamSettings = field(default_factory=lambda: BeamSettings(beam_width=3, max_length=12))
    fused: bool = False
    """Write `beam_init.onnx` and `beam_step.onnx` too."""
    patient: int = 0
    """P: the numbers of the patient's text, for a model with a context; 0 for one without."""
    external_data: bool = False
    """Keep the weights of the step in a file beside it."""

    def write(self, folder: Path) -> Path:
        """Write the bundle into `folder`, which is made, and give it back."""
        folder.mkdir(parents=True, exist_ok=True)
        graphs = {
            "encoder.onnx": self._encoder(),
            "decoder_init.onnx": self._init(),
            "decoder_step.onnx": self._step(),
        }
        models = {
            name: helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
            for name, graph in graphs.items()
        }
        if self.fused:
            models["beam_init.onnx"] = fuse_initial_state(models["decoder_init.onnx"])
            models["beam_step.onnx"] = fuse(models["decoder_step.onnx"])
        entries = []
        for name, model in models.items():
            onnx.checker.check_model(model)
            beside = f"{name}.data" if self.external_data and name == "decoder_step.onnx" else None
            options = {"all_tensors_to_one_file": True, "location": beside, "size_threshold": 200}
            onnx.save(model, folder / name, save_as_external_data=beside is not None, **options)
            entries.append(
                FileEntry.describe(
                    folder,
                    name,
                    opset=OPSET,
                    inputs=[_tensor_entry(value) for value in model.graph.input],
                    outputs=[_tensor_entry(value) for value in model.graph.output],
                )
            )
            if beside:
                entries.append(FileEntry.describe(folder, beside))
        if self.patient:
            self.patient_text().write(folder / PATIENT_TEXT)
            entries.append(FileEntry.describe(folder, PATIENT_TEXT))
        self.manifest(tuple(entries)).write(folder)
        return folder

    def patient_text(self) -> PatientText:
        """Reads the words of `INDICATIONS`, and their pairs."""
        terms = tuple(dict.fromkeys(term for text in INDICATIONS for term in terms_of(text)))
        random = np.random.default_rng(self.seed)
        weights = 1 + random.random(len(terms), np.float32)
        return PatientText(terms, weights, random.normal(size=(len(terms), self.patient)).astype(np.float32))

    def manifest(self, files: tuple[FileEntry, ...]) -> Manifest:
        return Manifest(
            producer="tests",
            architecture=Architecture(
                backbone="one_convolution",
                backbone_options={},
                feature_size=self.features,
                embedding_size=self.embedding,
                hidden_size=self.hidden,
                layers=self.layers,
                vocabulary_size=self.words,
                context=ContextSizes(self.patient, 3) if self.patient else None,
            ),
            vocabulary=letters(self.words),
            preprocessing=Preprocessing(self.height, self.width),
            settings=self.settings,
            files=files,
            parity=None,
            evaluation=None,
            provenance=Provenance("random weights", {}),
            licence="CC0-1.0",
            disclaimer="Random words of a test.",
        )

    def _encoder(self) -> onnx.GraphProto:
        graph = _Graph(self.seed)
        graph.node("Cast", "image", "grey", to=TensorProto.FLOAT)
        graph.node("Mul", ("grey", graph.constant(np.float32(1 / 255))), "scaled")
        graph.node("Unsqueeze", ("scaled", graph.constant(np.array([1]))), "channels")
        graph.node("Conv", ("channels", graph.weight(self.features, 1, 5, 5)), "convolved", strides=[3, 3])
        graph.node("Tanh", "convolved", "activated")
        graph.node("GlobalMaxPool", "activated", "pooled")
        graph.node("Flatten", "pooled", "flat")
        graph.node("Mul", ("flat", graph.constant(np.float32(3))), "features")
        return graph.build(
            [("image", TensorProto.UINT8, ["N", self.height, self.width])],
            [("features", TensorProto.FLOAT, ["N", self.features])],
        )

    def _init(self) -> onnx.GraphProto:
        graph = _Graph(self.seed + 1)
        graph.node("MatMul", ("features", graph.weight(self.features, self.embedding)), "projected")
        # Zeros [N, D], made from the input so that the batch axis stays dynamic.
        zeros = graph.constant(np.zeros((self.features, self.hidden), np.float32))
        graph.node("MatMul", ("features", zeros), "zeros")
        inputs = [("features", TensorProto.FLOAT, ["N", self.features])]
        state = [self.layers, "N", self.hidden]
        outputs = [("hidden", TensorProto.FLOAT, state), ("cell", TensorProto.FLOAT, state)]
        if self.patient:
            inputs.append(("patient", TensorProto.FLOAT, ["N", self.patient]))
            outputs.append(("context", TensorProto.FLOAT, ["N", 4 * self.hidden]))
            random = np.random.default_rng(self.seed + 2)  # the cells' weights come from the graph's own
            for name, size in (("features", self.features), ("patient", self.patient)):
                weight = graph.constant(random.normal(size=(size, 4 * self.hidden)))
                graph.node("MatMul", (name, weight), f"{name}_gates")
            graph.node("Add", ("features_gates", "patient_gates"), "context")
        self._cells(graph, "projected", ["zeros"] * self.layers, ["zeros"] * self.layers, "hidden", "cell")
        return graph.build(inputs, outputs)

    def _step(self) -> onnx.GraphProto:
        graph = _Graph(self.seed + 1)
        graph.weight(self.features, self.embedding)  # the same cell weights as in _init follow
        hidden, cell = [f"h{i}" for i in range(self.layers)], [f"c{i}" for i in range(self.layers)]
        for state, parts in (("hidden", hidden), ("cell", cell)):
            for layer, part in enumerate(parts):
                graph.node("Gather", (state, graph.constant(np.array(layer))), part, axis=0)
        table = graph.constant(np.random.default_rng(self.seed).normal(size=(self.words, self.embedding)))
        graph.node("Gather", (table, "token"), "embedded", axis=0)
        last = self._cells(graph, "embedded", hidden, cell, "hidden_out", "cell_out")
        graph.node("MatMul", (last, graph.weight(self.hidden, self.words)), "logits")
        graph.node("LogSoftmax", "logits", "log_probs", axis=-1)
        state_shape = [self.layers, "R", self.hidden]
        context = [("context", TensorProto.FLOAT, ["R", 4 * self.hidden])] if self.patient else []
        return graph.build(
            [
                ("token", TensorProto.INT64, ["R"]),
                ("hidden", TensorProto.FLOAT, state_shape),
                ("cell", TensorProto.FLOAT, state_shape),
                *context,
            ],
            [
                ("log_probs", TensorProto.FLOAT, ["R", self.words]),
                ("hidden_out", TensorProto.FLOAT, state_shape),
                ("cell_out", TensorProto.FLOAT, state_shape),
            ],
        )

    def _cells(
        self, graph: _Graph, below: str, hidden: list[str], cell: list[str], hidden_out: str, cell_out: str
    ) -> str:
        """Stacked LSTM cells; gives the name of the last layer's h."""
        new_hidden, new_cell = [], []
        axis = graph.constant(np.array([0]))
        for layer in range(self.layers):
            size = self.embedding if layer == 0 else self.hidden
            name = f"layer{layer}"
            graph.node("MatMul", (below, graph.weight(size, 4 * self.hidden)), f"{name}_below")
            own = graph.weight(self.hidden, 4 * self.hidden)
            summed = f"{name}_below"
            if hidden[layer] != "zeros":
                graph.node("MatMul", (hidden[layer], own), f"{name}_own")
                summed = f"{name}_sum"
                graph.node("Add", (f"{name}_below", f"{name}_own"), summed)
            if layer == 0 and self.patient:
                graph.node("Add", (summed, "context"), f"{name}_told")
                summed = f"{name}_told"
            graph.node("Add", (summed, graph.weight(4 * self.hidden)), f"{name}_gates")
            graph.node("Split", f"{name}_gates", tuple(f"{name}_{gate}" for gate in "ifgo"), axis=1)
            for gate, activation in zip("ifgo", ("Sigmoid", "Sigmoid", "Tanh", "Sigmoid"), strict=True):
                graph.node(activation, f"{name}_{gate}", f"{name}_{gate}a")
            graph.node("Mul", (f"{name}_fa", cell[layer]), f"{name}_kept")
            graph.node("Mul", (f"{name}_ia", f"{name}_ga"), f"{name}_new")
            graph.node("Add", (f"{name}_kept", f"{name}_new"), f"{name}_c")
            graph.node("Tanh", f"{name}_c", f"{name}_ct")
            graph.node("Mul", (f"{name}_oa", f"{name}_ct"), f"{name}_h")
            below = f"{name}_h"
            for value, outs in ((f"{name}_h", new_hidden), (f"{name}_c", new_cell)):
                graph.node("Unsqueeze", (value, axis), f"{value}_row")
                outs.append(f"{value}_row")
        graph.node("Concat", tuple(new_hidden), hidden_out, axis=0)
        graph.node("Concat", tuple(new_cell), cell_out, axis=0)
        return below


def edit_graph(bundle: Path, name: str, change: Callable[[onnx.ModelProto], object]) -> None:
    """Change a graph of a bundle, and make the manifest fit it again."""
    model = onnx.load(bundle / name, load_external_data=False)
    change(model)
    (bundle / name).write_bytes(model.SerializeToString())
    manifest = Manifest.read(bundle)
    found = FileEntry.describe(bundle, name)
    files = [
        replace(entry, sha256=found.sha256, bytes=found.bytes) if entry.path == name else entry
        for entry in manifest.files
    ]
    replace(manifest, files=tuple(files)).write(bundle)


class _Graph:
    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []

    def node(
        self, kind: str, inputs: str | tuple[str, ...], outputs: str | tuple[str, ...], **options: object
    ) -> None:
        inputs = (inputs,) if isinstance(inputs, str) else inputs
        outputs = (outputs,) if isinstance(outputs, str) else outputs
        self._nodes.append(helper.make_node(kind, inputs, outputs, **options))

    def weight(self, *shape: int) -> str:
        return self.constant(self._random.normal(size=shape))

    def constant(self, value: NDArray[np.generic] | np.generic) -> str:
        name = f"constant{len(self._initializers)}"
        array = np.asarray(value)
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
        self._initializers.append(numpy_helper.from_array(array, name))
        return name

    def build(
        self, inputs: list[tuple[str, int, list[int | str]]], outputs: list[tuple[str, int, list[int | str]]]
    ) -> onnx.GraphProto:
        return helper.make_graph(
            self._nodes,
            "small",
            [helper.make_tensor_value_info(*value) for value in inputs],
            [helper.make_tensor_value_info(*value) for value in outputs],
            self._initializers,
        )


def _tensor_entry(value: onnx.ValueInfoProto) -> TensorEntry:
    tensor = value.type.tensor_type
    shape = tuple(size.dim_param or size.dim_value for size in tensor.shape.dim)
    return TensorEntry(value.name, _DTYPES[tensor.elem_type], shape)

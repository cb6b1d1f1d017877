"""`report.onnx`: encoder, initial state and the whole beam search as one standard ONNX graph."""

from __future__ import annotations

import json
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.contract import FILM_AXIS, PATIENT_TEXT
from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.disclaimer import with_disclaimer
from cxrscribe.errors import BundleError, SettingsError
from cxrscribe.patient_text import PatientText
from cxrscribe.search.constraints import banned_ids
from cxrscribe.settings import BeamSettings
from cxrscribe.version import __version__
from cxrscribe_export.graphs.graph_builder import GraphBuilder, finished_model
from cxrscribe_export.onefile.bundle_graphs import BundleGraphs
from cxrscribe_export.onefile.inlining import inline, merge_copies
from cxrscribe_export.onefile.letterbox import add_letterbox, film_input
from cxrscribe_export.onefile.limits import add_limits, default_values, overridable_inputs
from cxrscribe_export.onefile.loop import Decoder, add_search
from cxrscribe_export.onefile.ranking import FINISHED, LENGTHS, SCORES, TOKENS, add_ranking
from cxrscribe_export.onefile.stored_half import store_half
from cxrscribe_export.onefile.variant import DEFAULTS, ENCODER, FILM, FP16, IMAGE, SEARCH, WHOLE, Variant

SCHEMA_VERSION: Final = 1
"""Of the inputs, outputs and metadata."""

FEATURES: Final = "features"
PATIENT: Final = "patient"

_LARGEST: Final = 2**31 - 1
"""Bytes that one protobuf message may have."""


def one_file(
    bundle: Bundle,
    *,
    precision: str = FP32,
    settings: BeamSettings | None = None,
    variant: Variant = Variant(),  # noqa: B008 (frozen)
) -> onnx.ModelProto:
    """One graph that goes from films to reports, made of the graphs of `bundle`.

    `settings` are its defaults, and the bundle's own if None. beam_width, max_length, min_length and
    length_penalty are inputs that may be overridden; banned_words and no_repeat_ngram can't be changed later.

    A model with a context has the input patient float32 [N, P] too, which may be left out; one row is for all
    films. The metadata's `patient_text` says how a text becomes these numbers.

    image uint8 [N, H, W] -> tokens int64 [N, K, T], lengths int64 [N, K], scores double [N, K] and finished
    bool [N, K]; K is beam_width and T is max_length. By `variant`, the input is film uint8 [h, w] instead,
    one of any size (N is 1); the settings and patient have to be given; or the file is only a part, to or
    from features float32 [N, F].

    Raises BundleError where the bundle is damaged, has no such precision, its graphs can't be joined, or its
    weights can't be stored as told; SettingsError where a banned word isn't in the vocabulary, or reports
    would have to be drawn.
    """
    chosen = settings if settings is not None else bundle.manifest.settings
    if chosen.draws:
        raise SettingsError(
            f"decoding is {chosen.decoding!r}, but one file holds a beam search and draws nothing; give "
            "settings with decoding 'beam'"
        )
    graphs = BundleGraphs(bundle, precision)
    composed = _Composition(graphs, bundle.manifest, chosen, variant).graph()
    if variant.weights == FP16:
        store_half(composed)
    model = finished_model(composed)
    metadata = _metadata(graphs, bundle.manifest, precision, chosen, variant)
    if any(value.name == PATIENT for value in composed.input):
        # Its checksum is in the manifest, whose checksum stands for it.
        metadata["patient_text"] = _json(PatientText.read(bundle.file(PATIENT_TEXT)).to_json())
    helper.set_model_props(model, metadata)
    if model.ByteSize() > _LARGEST:
        raise BundleError(
            f"{bundle.path}: its graphs make {model.ByteSize()} bytes, but one ONNX file may have no more "
            f"than {_LARGEST}; choose a smaller precision"
        )
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise BundleError(
            f"{bundle.path}: its graphs don't fit together ({error}); export the bundle again"
        ) from error
    return model


class _Composition:
    """Puts the parts of a file one after the other."""

    def __init__(
        self, graphs: BundleGraphs, manifest: Manifest, settings: BeamSettings, variant: Variant
    ) -> None:
        self._graphs = graphs
        self._manifest = manifest
        self._settings = settings
        self._variant = variant
        self._graph = GraphBuilder()
        self._inputs: list[onnx.ValueInfoProto] = []
        self._defaults: list[onnx.TensorProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def graph(self) -> onnx.GraphProto:
        part = self._variant.part
        images, features = self._given_features() if part == SEARCH else self._encoded(part == ENCODER)
        if part == ENCODER:
            self._outputs.append(self._features())
        else:
            self._add_reports(images, features)
        # Initializers that are inputs are defaults: without, an input has to be given.
        defaults = self._defaults if self._variant.settings == DEFAULTS else []
        name = "report" if part == WHOLE else part
        made = helper.make_graph(self._graph.nodes, name, self._inputs, self._outputs, self._graph.constants)
        merge_copies(made)
        made.initializer.extend(defaults)
        return made

    def _given_features(self) -> tuple[str, str]:
        """Names of N int64 [1] and of the features, which are an input."""
        self._inputs.append(self._features())
        return self._count(FEATURES), FEATURES

    def _encoded(self, are_output: bool) -> tuple[str, str]:
        """The same of features that the encoder gives."""
        graph, picture = self._graph, self._manifest.preprocessing
        if self._variant.input == FILM:
            self._inputs.append(film_input())
            films = add_letterbox(graph, picture.height, picture.width)
            images = self._count(films)
        else:
            axes = [FILM_AXIS, picture.height, picture.width]
            self._inputs.append(helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, axes))
            images = self._count(IMAGE)
            films = _at_least_one(graph, images)
        encoded = inline(graph, self._graphs.encoder(), "encoder/", {"image": films})
        first = graph.constant(np.array([0]))
        # Without the black one. The cut also keeps onnxruntime from joining the last operator of the encoder
        # with the first that follows, which would round otherwise than the bundle's own graphs do.
        name = FEATURES if are_output else ""
        return images, graph.node("Slice", encoded["features"], first, images, first, name=name)

    def _features(self) -> onnx.ValueInfoProto:
        axes = [FILM_AXIS, self._manifest.architecture.feature_size]
        return helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, axes)

    def _count(self, name: str) -> str:
        """int64 [1]: the length of the first axis."""
        graph = self._graph
        ends = (graph.constant(np.array([place])) for place in (0, 1))
        return graph.node("Slice", graph.node("Shape", name), *ends)

    def _add_reports(self, images: str, features: str) -> None:
        """Add the search, with its inputs and outputs."""
        graph, architecture, settings = self._graph, self._manifest.architecture, self._settings
        limits = add_limits(graph)
        self._inputs += overridable_inputs()
        self._defaults += default_values(settings)
        starts = {"features": features}
        if architecture.patient_size:
            axes = ["patients", architecture.patient_size]
            self._inputs.append(helper.make_tensor_value_info(PATIENT, TensorProto.FLOAT, axes))
            nobody = np.zeros((1, architecture.patient_size), np.float32)
            self._defaults.append(numpy_helper.from_array(nobody, PATIENT))
            starts["patient"] = _row_each(graph, images, architecture.patient_size)
        initial = inline(graph, self._graphs.initial_state(), "initial_state/", starts)
        decoder = Decoder(
            self._graphs.step(),
            architecture.vocabulary_size,
            architecture.state_size,
            banned_ids(settings, self._manifest.vocabulary),
            settings.no_repeat_ngram,
        )
        add_ranking(graph, limits, add_search(graph, decoder, limits, initial["state"]))
        table: list[int | str] = [FILM_AXIS, "beam_width"]
        outputs = (
            (TOKENS, TensorProto.INT64, [*table, "max_length"]),
            (LENGTHS, TensorProto.INT64, table),
            (SCORES, TensorProto.DOUBLE, table),
            (FINISHED, TensorProto.BOOL, table),
        )
        self._outputs += [helper.make_tensor_value_info(*output) for output in outputs]


def _row_each(graph: GraphBuilder, images: str, size: int) -> str:
    """The input patient as one row a film: one that is there for all is copied, another number is refused."""
    shape = graph.node("Concat", images, graph.constant(np.array([size])), axis=0)
    # For one film, Expand would let three rows be three: so many numbers don't fit the shape.
    return graph.node("Reshape", graph.node("Expand", PATIENT, shape), shape, allowzero=1)


def _at_least_one(graph: GraphBuilder, images: str) -> str:
    """The films, or a black one where there is none: not every encoder takes no film."""
    lacking = graph.node("Sub", graph.constant(np.array([1])), images)
    black = graph.node("Max", lacking, graph.constant(np.array([0])))
    pads = graph.node(
        "Concat", graph.constant(np.zeros(3, np.int64)), black, graph.constant(np.zeros(2, np.int64)), axis=0
    )
    return graph.node("Pad", IMAGE, pads)


def _metadata(
    graphs: BundleGraphs, manifest: Manifest, precision: str, settings: BeamSettings, variant: Variant
) -> dict[str, str]:
    """What the file says of itself. Values that aren't plain words are JSON."""
    return {
        "schema_version": str(SCHEMA_VERSION),
        "producer": f"cxrscribe {__version__}, onnx {onnx.__version__}; bundle: {manifest.producer}",
        "variant": _json(variant.to_json()),
        "precision": precision,
        "vocabulary": _json(list(manifest.vocabulary.words)),
        "settings": _json(settings.to_json()),
        "preprocessing": _json(manifest.preprocessing.to_json()),
        "architecture": _json(manifest.architecture.to_json()),
        "bundle_sha256": _json(dict(graphs.sha256)),
        "provenance": _json(manifest.provenance.to_json()),
        "licence": manifest.licence,
        "disclaimer": with_disclaimer(manifest.disclaimer),
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)

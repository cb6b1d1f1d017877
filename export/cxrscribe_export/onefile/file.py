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
from cxrscribe_export.onefile.limits import add_limits, default_values, overridable_inputs
from cxrscribe_export.onefile.loop import Decoder, add_search
from cxrscribe_export.onefile.ranking import FINISHED, LENGTHS, SCORES, TOKENS, add_ranking

SCHEMA_VERSION: Final = 1
"""Of the inputs, outputs and metadata."""

_LARGEST: Final = 2**31 - 1
"""Bytes that one protobuf message may have."""


def one_file(
    bundle: Bundle, *, precision: str = FP32, settings: BeamSettings | None = None
) -> onnx.ModelProto:
    """One graph that goes from films to reports, made of the graphs of `bundle`.

    `settings` are its defaults, and the bundle's own if None. beam_width, max_length, min_length and
    length_penalty are inputs that may be overridden; banned_words and no_repeat_ngram can't be changed later.

    A model with a context has the input patient float32 [N, P] too, which may be left out; one row is for all
    films. The metadata's `patient_text` says how a text becomes these numbers.

    image uint8 [N, H, W] -> tokens int64 [N, K, T], lengths int64 [N, K], scores double [N, K] and finished
    bool [N, K]; K is beam_width and T is max_length.

    Raises BundleError where the bundle is damaged, has no such precision, or its graphs can't be joined;
    SettingsError where a banned word isn't in the vocabulary, or reports would have to be drawn.
    """
    chosen = settings if settings is not None else bundle.manifest.settings
    if chosen.draws:
        raise SettingsError(
            f"decoding is {chosen.decoding!r}, but one file holds a beam search and draws nothing; give "
            "settings with decoding 'beam'"
        )
    graphs = BundleGraphs.read(bundle, precision)
    reads_text = bundle.manifest.architecture.patient_size > 0
    text = PatientText.read(bundle.file(PATIENT_TEXT)) if reads_text else None
    model = _composed(graphs, bundle.manifest, chosen)
    metadata = _metadata(graphs, bundle.manifest, precision, chosen)
    if text is not None:
        metadata["patient_text"] = _json(text.to_json())  # whose checksum the manifest's stands for
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


def _composed(graphs: BundleGraphs, manifest: Manifest, settings: BeamSettings) -> onnx.ModelProto:
    architecture, picture = manifest.architecture, manifest.preprocessing
    graph = GraphBuilder()
    limits = add_limits(graph)
    images = graph.node(
        "Slice", graph.node("Shape", "image"), *(graph.constant(np.array([place])) for place in (0, 1))
    )  # [1]: N
    encoded = inline(graph, graphs.encoder, "encoder/", {"image": _at_least_one(graph, images)})
    first = graph.constant(np.array([0]))
    # Without the black one. The cut also keeps onnxruntime from joining the last operator of the encoder with
    # the first that follows, which would round otherwise than the bundle's own graphs do.
    features = graph.node("Slice", encoded["features"], first, images, first)
    starts = {"features": features}
    if architecture.patient_size:
        starts["patient"] = _row_each(graph, images, architecture.patient_size)
    initial = inline(graph, graphs.initial_state, "initial_state/", starts)
    decoder = Decoder(
        graphs.step,
        architecture.vocabulary_size,
        architecture.state_size,
        banned_ids(settings, manifest.vocabulary),
        settings.no_repeat_ngram,
    )
    add_ranking(graph, limits, add_search(graph, decoder, limits, initial["state"]))

    table: list[int | str] = [FILM_AXIS, "beam_width"]
    image = [FILM_AXIS, picture.height, picture.width]
    optional, defaults = overridable_inputs(), default_values(settings)
    if architecture.patient_size:
        nobody = np.zeros((1, architecture.patient_size), np.float32)
        axes = ["patients", architecture.patient_size]
        optional.append(helper.make_tensor_value_info("patient", TensorProto.FLOAT, axes))
        defaults.append(numpy_helper.from_array(nobody, "patient"))
    outputs = (
        (TOKENS, TensorProto.INT64, [*table, "max_length"]),
        (LENGTHS, TensorProto.INT64, table),
        (SCORES, TensorProto.DOUBLE, table),
        (FINISHED, TensorProto.BOOL, table),
    )
    whole = helper.make_graph(
        graph.nodes,
        "report",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, image), *optional],
        [helper.make_tensor_value_info(*output) for output in outputs],
        graph.constants,
    )
    merge_copies(whole)
    whole.initializer.extend(defaults)
    return finished_model(whole)


def _row_each(graph: GraphBuilder, images: str, size: int) -> str:
    """The input patient as one row a film: one that is there for all is copied, another number is refused."""
    shape = graph.node("Concat", images, graph.constant(np.array([size])), axis=0)
    # For one film, Expand would let three rows be three: so many numbers don't fit the shape.
    return graph.node("Reshape", graph.node("Expand", "patient", shape), shape, allowzero=1)


def _at_least_one(graph: GraphBuilder, images: str) -> str:
    """The films, or a black one where there is none: not every encoder takes no film."""
    lacking = graph.node("Sub", graph.constant(np.array([1])), images)
    black = graph.node("Max", lacking, graph.constant(np.array([0])))
    pads = graph.node(
        "Concat", graph.constant(np.zeros(3, np.int64)), black, graph.constant(np.zeros(2, np.int64)), axis=0
    )
    return graph.node("Pad", "image", pads)


def _metadata(
    graphs: BundleGraphs, manifest: Manifest, precision: str, settings: BeamSettings
) -> dict[str, str]:
    """What the file says of itself. Values that aren't plain words are JSON."""
    return {
        "schema_version": str(SCHEMA_VERSION),
        "producer": f"cxrscribe {__version__}, onnx {onnx.__version__}; bundle: {manifest.producer}",
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

"""Export: graphs made, held against Paddle, and written as a bundle only if they agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import paddle
from numpy.typing import NDArray

import cxrscribe
from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.contract import PATIENT_TEXT, interfaces_of
from cxrscribe.bundle.evidence import OutputParity, Parity
from cxrscribe.bundle.files import FileEntry
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.patient_text import PatientText
from cxrscribe.version import __version__
from cxrscribe.vocabulary import Vocabulary
from cxrscribe_export.bundle_folder import check_out, new_bundle_folder
from cxrscribe_export.graphs.canonical import graphs_of
from cxrscribe_export.graphs.checked_graph import Graph, write_graph
from cxrscribe_export.graphs.conversion import require_converter
from cxrscribe_export.graphs.fused import fused_graphs
from cxrscribe_export.graphs.runner import FusedStep
from cxrscribe_export.label import Label
from cxrscribe_export.parity.fused_parity import fused_parity
from cxrscribe_export.parity.graph_parity import Tolerances, decoder_parity, encoder_parity
from cxrscribe_export.parity.held_out import HeldOut
from cxrscribe_export.parity.parity_error import ParityError, beyond_tolerance, refuse
from cxrscribe_export.parity.reference import ReferenceSearch
from cxrscribe_export.parity.search_parity import FilmSearch, SearchComparison, compare_searches
from cxrscribe_export.patients import starts
from cxrscribe_export.precision.precisions import PrecisionOrder, add_precisions
from cxrscribe_models import FilmEncoder, ReportDecoder
from cxrscribe_train.step import PaddleStep


@dataclass(frozen=True)
class TrainedModel:
    """What is exported. Both networks are in eval mode."""

    architecture: Architecture
    preprocessing: Preprocessing
    vocabulary: Vocabulary
    encoder: FilmEncoder
    decoder: ReportDecoder
    patient_text: PatientText | None = None
    """How a model with a context reads what is known of a patient."""

    def starts(self, features: NDArray[np.float32], indications: Sequence[str]) -> NDArray[np.float32]:
        """What searches start from: features [N, F], and what is known of each patient behind them."""
        return starts(features, self.patient_text, indications)


@dataclass(frozen=True)
class ParityDemands:
    """What has to hold before a bundle is written. Raises InputError when a number is out of range."""

    tolerances: Tolerances = field(default_factory=Tolerances)
    distinct_reports: int | None = None
    """Different reports that the searches have to find: a model that says one thing proves little.

    None: a fifth of the films, which a model of real language reaches, and two at least, which a constant one
    doesn't.
    """

    def __post_init__(self) -> None:
        if self.distinct_reports is not None and self.distinct_reports < 1:
            raise InputError(f"distinct reports wanted are {self.distinct_reports}; give at least 1")

    def least_distinct(self, films: int) -> int:
        """The demand for that many films."""
        return max(2, math.ceil(films / 5)) if self.distinct_reports is None else self.distinct_reports


@dataclass(frozen=True)
class Progress:
    """Called while an export goes on."""

    stage: Callable[[str], None] = lambda name: None
    """With the name of what begins."""
    search: Callable[[int], None] = lambda searches: None
    """With 1 after each search."""


SILENT: Final = Progress()


def export_bundle(
    model: TrainedModel,
    held_out: HeldOut,
    label: Label,
    demands: ParityDemands,
    out: Path,
    *,
    order: PrecisionOrder | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Manifest:
    """Make the fp32 graphs of `model`, try them on `held_out`, and write the bundle `out`.

    `order`: lower precisions that the bundle gets too, each tried against fp32.

    Returns:
        The manifest that was written.

    Raises:
        InputError: `out` can't be written, or this Python can't export.
        ConversionError: a network couldn't be converted.
        ParityError: an output, a state or a search is out of tolerance. Nothing is left behind.
        HalfPrecisionError, LossError: a lower precision can't be had, or loses more than the order allows.
            Nothing is left behind either.
    """
    require_converter()
    check_out(out, overwrite=overwrite)
    progress.stage("converting")
    graphs = graphs_of(model.encoder, model.decoder, model.architecture, model.preprocessing)
    _, initial_state, step = graphs
    fused = fused_graphs(initial_state, step, interfaces_of(model.architecture, model.preprocessing))
    progress.stage("comparing graphs")
    outputs = compare_graphs(model, graphs, fused, held_out, demands.tolerances)
    with new_bundle_folder(out) as folder:
        manifest = write_bundle(model, (*graphs, *fused), label, folder)
        progress.stage("comparing searches")
        comparison = _compare_searches(model, fused, label, held_out, folder, progress)
        _check_searches(comparison, demands)
        search = replace(
            comparison.parity, least_distinct_reports=demands.least_distinct(comparison.parity.searches)
        )
        parity = Parity(f"paddlepaddle {paddle.__version__}", outputs, search)
        manifest = replace(manifest, parity=parity)
        manifest.write(folder)
        # What is published is what a user opens: read it back, checksums and all.
        cxrscribe.load(folder, device="cpu", cache=False).close()
        if order is not None:
            manifest = add_precisions(folder, manifest, order, progress.stage)
    return manifest


def compare_graphs(
    model: TrainedModel,
    graphs: Sequence[Graph],
    fused: tuple[Graph, Graph],
    held_out: HeldOut,
    tolerances: Tolerances,
) -> tuple[OutputParity, ...]:
    """Compare every output of every graph, the canonical ones with Paddle's, the fused ones with theirs.

    Raises ParityError when one is out of tolerance.
    """
    encoding, initial_state, step = graphs
    rows = model.starts(held_out.features, held_out.indications)
    outputs = (
        *encoder_parity(model.encoder, encoding, held_out.films, tolerances.features),
        *decoder_parity(PaddleStep(model.decoder), initial_state, step, rows, tolerances.decoder),
        *fused_parity((initial_state, step), fused, rows, tolerances.decoder),
    )
    refuse(list(beyond_tolerance(outputs)))
    return outputs


def write_bundle(model: TrainedModel, graphs: Sequence[Graph], label: Label, folder: Path) -> Manifest:
    """Write the graphs, how the patient's text is read if it is, and a manifest without parity."""
    files = [write_graph(folder, graph) for graph in graphs]
    if model.patient_text is not None:
        model.patient_text.write(folder / PATIENT_TEXT)
        files.append(FileEntry.describe(folder, PATIENT_TEXT))
    manifest = Manifest(
        producer=f"cxrscribe {__version__}, paddlepaddle {paddle.__version__}, onnx {onnx.__version__}",
        architecture=model.architecture,
        vocabulary=model.vocabulary,
        preprocessing=model.preprocessing,
        settings=label.settings,
        files=tuple(files),
        parity=None,
        evaluation=label.evaluation,
        provenance=label.provenance,
        licence=label.licence,
        disclaimer=label.disclaimer,
    )
    manifest.write(folder)
    return manifest


def _compare_searches(
    model: TrainedModel,
    fused: tuple[Graph, Graph],
    label: Label,
    held_out: HeldOut,
    folder: Path,
    progress: Progress,
) -> SearchComparison:
    """Go from film to report with the runtime on the files just written, and with plain loops on Paddle."""
    with cxrscribe.load(folder, device="cpu", cache=False) as reporter:
        features = reporter.encode(list(held_out.films))
        told = held_out.indications if reporter.reads_indications else None
        reports = reporter.decode_features(features, label.settings, indications=told)
    on_paddle, on_graphs = (
        ReferenceSearch(decoder, model.vocabulary, label.settings)
        for decoder in (PaddleStep(model.decoder), FusedStep(*fused, model.architecture.layers))
    )
    return compare_searches(
        reports,
        held_out.names,
        FilmSearch(on_paddle, model.starts(held_out.features, held_out.indications)),
        FilmSearch(on_graphs, model.starts(features, held_out.indications)),
        progress.search,
    )


def _check_searches(comparison: SearchComparison, demands: ParityDemands) -> None:
    refuse(comparison.failures(demands.tolerances.decoder))
    parity = comparison.parity
    least = demands.least_distinct(parity.searches)
    if parity.distinct_reports < least:
        raise ParityError(
            f"{parity.searches} held-out films gave {parity.distinct_reports} different reports, fewer than "
            f"the {least} that parity is tried on; no bundle was written. Train longer, "
            "raise --parity-films, or lower --distinct-reports if such a model is what you want"
        )

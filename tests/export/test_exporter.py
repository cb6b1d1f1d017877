"""A bundle is written when every comparison holds, and not otherwise."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import cxrscribe
from cxrscribe.bundle.evidence import Provenance
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.errors import InputError
from cxrscribe.patient_text import PatientText
from cxrscribe.settings import BeamSettings
from cxrscribe_export import exporter
from cxrscribe_export.exporter import ParityDemands, ParityError, export_bundle
from cxrscribe_export.graphs.checked_graph import Graph
from cxrscribe_export.label import Label
from cxrscribe_export.parity.graph_parity import Tolerances
from cxrscribe_export.parity.held_out import HeldOut
from cxrscribe_export.precision.cost import LossError, TrialReports
from cxrscribe_export.precision.precisions import PrecisionOrder
from cxrscribe_export.precision.trial import Trial
from cxrscribe_train.evaluation.metrics.labels import LABELS
from cxrscribe_train.features import encode_batch
from support.random_networks import Exported, random_films

FILMS = 24
LABEL = Label(
    settings=BeamSettings(beam_width=3, max_length=12, n_best=2),
    provenance=Provenance("random weights", {}),
    evaluation=None,
    licence="Apache-2.0",
    disclaimer="Random words.",
)
# Random weights enlarge the features' rounding more than trained ones do.
DEMANDS = ParityDemands(Tolerances(decoder=1e-3), distinct_reports=10)
CONTEXT_DEMANDS = replace(DEMANDS, distinct_reports=5)


@pytest.fixture(scope="module")
def held_out(exported: Exported) -> HeldOut:
    films = random_films(FILMS, seed=9)  # of these no search hangs on the last digits of the features
    names = tuple(f"test[{place}]" for place in range(FILMS))
    return HeldOut("test", names, films, encode_batch(exported.model.encoder, films))


@pytest.fixture
def ready_graphs(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> Exported:
    """Let the exporter take the session's graphs instead of converting anew."""
    monkeypatch.setattr(exporter, "graphs_of", lambda *_: exported.graphs)
    return exported


@pytest.fixture
def in_context(exported_in_context: Exported, monkeypatch: pytest.MonkeyPatch) -> Exported:
    """The same for a model with a context."""
    monkeypatch.setattr(exporter, "graphs_of", lambda *_: exported_in_context.graphs)
    return exported_in_context


def told(exported: Exported) -> HeldOut:
    """Films of patients of whom something is known, or nothing, or nothing in words that are known."""
    films = random_films(FILMS, seed=9)
    names = tuple(f"test[{place}]" for place in range(FILMS))
    indications = ("Chest pain.", "", "Cough, fever.", "Hiccups") * (FILMS // 4)
    return HeldOut("test", names, films, encode_batch(exported.model.encoder, films), indications)


def test_a_model_with_a_context_is_exported_at_every_precision(in_context: Exported, tmp_path: Path) -> None:
    out, held_out = tmp_path / "bundle", told(in_context)
    manifest = export_bundle(
        *(in_context.model, held_out, LABEL, CONTEXT_DEMANDS, out),
        order=precisions_for(held_out, (("no", "such", "words", "here"),) * FILMS),
    )
    assert manifest == Manifest.read(out)
    assert manifest.architecture.context == in_context.model.architecture.context
    assert json.loads((out / "manifest.json").read_text())["schema_version"] == 5
    assert "patient_text.json" in {entry.path for entry in manifest.files}
    assert manifest.parity is not None
    compared = {(record.graph, record.output) for record in manifest.parity.outputs}
    assert ("decoder_init.onnx", "context") in compared
    assert ("beam_step.onnx", "state_out") in compared
    for precision in (None, "int8"):
        with cxrscribe.load(out, device="cpu", precision=precision, cache=False) as reporter:
            films = [held_out.films[0]] * 3
            pain, nothing, unknown = reporter.report_batch(films, indications=["chest pain", None, "Hiccups"])
            assert pain.log_prob != nothing.log_prob
            assert unknown == nothing == reporter.report(films[0])


def test_what_acts_otherwise_than_in_paddle_is_found_in_a_whole_search(
    in_context: Exported, tmp_path: Path
) -> None:
    """The numbers of the text belong to parity: with other ones, the runtime writes other reports."""
    held_out, text = told(in_context), in_context.model.patient_text
    assert text is not None

    class OtherText(PatientText):
        def write(self, path: Path) -> None:
            PatientText(self.terms, self.weights, -self.projection).write(path)

    other = OtherText(text.terms, text.weights, text.projection)
    with pytest.raises(ParityError, match="the search for"):
        export_bundle(
            replace(in_context.model, patient_text=other),
            held_out,
            LABEL,
            CONTEXT_DEMANDS,
            tmp_path / "bundle",
        )
    assert list(tmp_path.iterdir()) == []


def corrupted(graph: Graph, weight: str, by: float) -> Graph:
    """A copy with one number of one weight changed."""
    model = copy.deepcopy(graph.model)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == weight)
    value = numpy_helper.to_array(tensor).copy()
    value.flat[value.size // 2] += by
    tensor.CopyFrom(numpy_helper.from_array(value, weight))
    return replace(graph, model=model)


def test_the_bundle_is_one_that_the_runtime_opens(
    ready_graphs: Exported, held_out: HeldOut, tmp_path: Path
) -> None:
    stages: list[str] = []
    searches: list[int] = []
    progress = exporter.Progress(stages.append, searches.append)
    out = tmp_path / "bundle"
    manifest = export_bundle(ready_graphs.model, held_out, LABEL, DEMANDS, out, progress=progress)

    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert Manifest.read(out) == manifest
    assert len(stages) == 3
    assert sum(searches) == FILMS
    for entry in manifest.files:
        onnx.checker.check_model(str(out / entry.path), full_check=True)
        assert (entry.opset, entry.precision) == (17, "fp32")
    with cxrscribe.load(out, device="cpu") as reporter:
        features = reporter.encode(list(held_out.films[:3]))
        np.testing.assert_allclose(features, held_out.features[:3], atol=1e-3)
        assert reporter.report(held_out.films[0]).text


def test_parity_is_in_the_manifest(ready_graphs: Exported, held_out: HeldOut, tmp_path: Path) -> None:
    parity = export_bundle(ready_graphs.model, held_out, LABEL, DEMANDS, tmp_path / "bundle").parity
    assert parity is not None
    assert parity.search is not None
    assert parity.reference.startswith("paddlepaddle 3")
    compared = {(output.graph, output.output, output.rows) for output in parity.outputs}
    names = {
        "encoder.onnx": ["features"],
        "decoder_init.onnx": ["hidden[0]", "hidden[1]", "cell[0]", "cell[1]"],
        "decoder_step.onnx": ["log_probs", "hidden_out[0]", "hidden_out[1]", "cell_out[0]", "cell_out[1]"],
    }
    fused = ["candidate_score", "candidate_log_prob", "state_out"]
    assert compared == {
        *((graph, name, rows) for graph in names for name in names[graph] for rows in (1, 5, 160)),
        *(("beam_init.onnx", "state", images) for images in (1, 32)),
        *(("beam_step.onnx", name, rows) for name in fused for rows in (1, 5, 160)),
    }
    assert all(0 <= output.largest_difference <= output.tolerance for output in parity.outputs)
    assert parity.search.searches == FILMS
    assert parity.search.identical + len(parity.search.near_ties) == FILMS
    assert parity.search.distinct_reports >= parity.search.least_distinct_reports == 10
    assert 0 < parity.search.largest_log_prob_difference <= DEMANDS.tolerances.decoder


@pytest.mark.parametrize(
    ("place", "weight", "named"),
    [
        (0, "backbone.network.conv1.0.weight", "features of encoder.onnx"),
        (1, "image_projection.weight", r"hidden\[0\] of decoder_init.onnx"),
        (2, "lstm.1.cell.weight_hh_transposed", r"hidden_out\[1\] of decoder_step.onnx"),
        (2, "output.weight", "log_probs of decoder_step.onnx"),
    ],
)
def test_one_wrong_number_leaves_no_bundle(
    exported: Exported,
    held_out: HeldOut,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: int,
    weight: str,
    named: str,
) -> None:
    graphs = list(exported.graphs)
    graphs[place] = corrupted(graphs[place], weight, by=0.5)
    monkeypatch.setattr(exporter, "graphs_of", lambda *_: tuple(graphs))
    with pytest.raises(ParityError, match=named):
        export_bundle(exported.model, held_out, LABEL, DEMANDS, tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_searches_are_compared_however_lenient_the_tolerance(
    exported: Exported, held_out: HeldOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding, initial_state, step = exported.graphs
    graphs = (encoding, initial_state, corrupted(step, "output.bias", by=3.0))
    monkeypatch.setattr(exporter, "graphs_of", lambda *_: graphs)
    lenient = ParityDemands(Tolerances(features=1e6, decoder=1e6), distinct_reports=1)
    with pytest.raises(ParityError, match=r"search for test\[\d+\]: step \d+ is decided otherwise"):
        export_bundle(exported.model, held_out, LABEL, lenient, tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_searches_begin_at_the_film(
    exported: Exported, held_out: HeldOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong encoder under right decoder graphs: only a search through all three can tell."""
    encoding, initial_state, step = exported.graphs
    graphs = (corrupted(encoding, "backbone.network.conv1.0.weight", by=0.5), initial_state, step)
    monkeypatch.setattr(exporter, "graphs_of", lambda *_: graphs)
    lenient = ParityDemands(Tolerances(features=1e6), distinct_reports=1)
    with pytest.raises(ParityError, match=r"search for test\[\d+\]: step \d+ is decided otherwise"):
        export_bundle(exported.model, held_out, LABEL, lenient, tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_a_model_that_says_one_thing_proves_nothing(
    ready_graphs: Exported, held_out: HeldOut, tmp_path: Path
) -> None:
    demands = replace(DEMANDS, distinct_reports=FILMS + 1)
    with pytest.raises(ParityError, match=f"fewer than the {FILMS + 1}"):
        export_bundle(ready_graphs.model, held_out, LABEL, demands, tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("films", "least"), [(200, 40), (1000, 200), (6, 2), (1, 2)])
def test_without_a_demand_a_fifth_of_the_films_have_reports_of_their_own(films: int, least: int) -> None:
    assert ParityDemands().least_distinct(films) == least
    assert ParityDemands(distinct_reports=7).least_distinct(films) == 7


def test_a_failed_export_keeps_the_bundle_that_was_there(
    ready_graphs: Exported, held_out: HeldOut, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    export_bundle(ready_graphs.model, held_out, LABEL, DEMANDS, out)
    before = json.loads((out / "manifest.json").read_text())
    with pytest.raises(InputError, match="--overwrite"):
        export_bundle(ready_graphs.model, held_out, LABEL, DEMANDS, out)
    demands = replace(DEMANDS, distinct_reports=1000)
    with pytest.raises(ParityError):
        export_bundle(ready_graphs.model, held_out, LABEL, demands, out, overwrite=True)
    assert json.loads((out / "manifest.json").read_text()) == before
    changed = replace(LABEL, licence="MIT")
    export_bundle(ready_graphs.model, held_out, changed, DEMANDS, out, overwrite=True)
    assert Manifest.read(out).licence == "MIT"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def precisions_for(held_out: HeldOut, references: tuple[tuple[str, ...], ...]) -> PrecisionOrder:
    nothing_true = np.zeros((FILMS, len(LABELS.columns)), np.bool_)
    trial = Trial("test", held_out.films, references, nothing_true, held_out.indications)
    told = ("Chest pain.",) * 8
    return PrecisionOrder(("int8", "fp16"), random_films(8, seed=3), trial, indications=told)


def test_precisions_are_written_with_what_they_cost(
    ready_graphs: Exported, held_out: HeldOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxrscribe_export.precision.precisions.engines_here", lambda: ("cpu",))
    out = tmp_path / "bundle"
    order = precisions_for(held_out, (("no", "such", "words", "here"),) * FILMS)
    stages: list[str] = []
    manifest = export_bundle(
        *(ready_graphs.model, held_out, LABEL, DEMANDS, out),
        order=order,
        progress=exporter.Progress(stages.append),
    )
    assert manifest == Manifest.read(out)
    assert [(record.name, record.reports) for record in manifest.precisions] == [
        ("int8", FILMS),
        ("int8+fp32", FILMS),
        ("fp32+int8", FILMS),
        ("fp16", FILMS),
    ]
    assert stages[3:] == [
        "making int8",
        "making fp16",
        f"encoding {FILMS} films with fp32 on cpu",
        f"writing {FILMS} reports with fp32 on cpu",
        f"encoding {FILMS} films with int8 on cpu",
        f"writing {FILMS} reports with int8 on cpu",
        "timing int8 and fp32",
        f"writing {FILMS} reports with int8+fp32 on cpu",
        f"writing {FILMS} reports with fp32+int8 on cpu",
        f"encoding {FILMS} films with fp16 on cpu",
        f"writing {FILMS} reports with fp16 on cpu",
    ]
    with cxrscribe.load(out, device="cpu", precision="int8", cache=False) as reporter:
        assert reporter.report(held_out.films[0]).text


def test_a_precision_that_loses_too_much_leaves_no_bundle(
    ready_graphs: Exported, held_out: HeldOut, tmp_path: Path
) -> None:
    """Random depthwise weights lose a lot: what fp32 says is the reference, int8 says other words."""
    out = tmp_path / "fp32"
    export_bundle(ready_graphs.model, held_out, LABEL, DEMANDS, out)
    fp32 = TrialReports(out, precisions_for(held_out, ()).trial).expected
    order = precisions_for(held_out, fp32)
    with pytest.raises(LossError, match="int8 loses more than allowed on 24 films of test"):
        export_bundle(ready_graphs.model, held_out, LABEL, DEMANDS, tmp_path / "bundle", order=order)
    assert [path.name for path in tmp_path.iterdir()] == ["fp32"]


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_tolerance_has_to_be_finite_and_above_0(value: float) -> None:
    with pytest.raises(InputError, match="tolerance of decoder"):
        Tolerances(decoder=value)

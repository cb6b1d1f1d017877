"""A reporter whose model reads what is known of the patient, and one whose model doesn't."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cxrscribe
from cxrscribe import BeamSettings
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.errors import BundleError, FilmError, SettingsError
from cxrscribe.report import Report
from cxrscribe.reporter import Reporter

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")

from support.small_bundle import INDICATIONS, SmallBundle, edit_graph

SMALL = SmallBundle(seed=4, words=30, patient=4, fused=True)
TOLD: tuple[str | None, ...] = (*INDICATIONS, None, "fever", "no known word")
FILMS = [
    np.random.default_rng(place).integers(0, 256, (30, 30)).astype(np.uint8) for place in range(len(TOLD))
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SMALL.write(tmp_path_factory.mktemp("context") / "bundle")


@pytest.fixture(scope="module")
def reporter(bundle: Path) -> Iterator[Reporter]:
    with cxrscribe.load(bundle, device="cpu") as opened:
        yield opened


@pytest.fixture(scope="module")
def alone(reporter: Reporter) -> list[Report]:
    return [reporter.report(film, indication=text) for film, text in zip(FILMS, TOLD, strict=True)]


def test_a_text_changes_the_report_and_its_absence_does_not(reporter: Reporter) -> None:
    assert reporter.reads_indications
    nothing = reporter.report(FILMS[0])
    assert reporter.report(FILMS[0], indication="Chest pain").log_prob != nothing.log_prob
    assert reporter.report(FILMS[0], indication="") == nothing
    assert reporter.report(FILMS[0], indication="no known word") == nothing


def test_every_call_gives_a_film_its_own_patient(reporter: Reporter, alone: list[Report]) -> None:
    assert reporter.report_batch(FILMS, indications=TOLD) == alone
    assert list(reporter.report_stream(iter(FILMS), indications=iter(TOLD))) == alone
    assert list(reporter.report_stream(iter(FILMS), indications=iter(TOLD), batch_size=1)) == alone
    features = reporter.encode(FILMS)
    assert reporter.decode_features(features, indications=TOLD) == alone
    assert list(reporter.decode_stream(features, indications=TOLD, batch_size=2)) == alone


def test_the_canonical_step_says_the_same(tmp_path: Path, alone: list[Report]) -> None:
    canonical = SmallBundle(seed=4, words=30, patient=4).write(tmp_path / "bundle")
    with cxrscribe.load(canonical, device="cpu") as reporter:
        found = reporter.report_batch(FILMS, indications=TOLD)
    assert [report.tokens for report in found if isinstance(report, Report)] == [one.tokens for one in alone]


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_report_depends_on_no_neighbour_and_no_neighbours_text(
    reporter: Reporter, data: st.DataObject
) -> None:
    places = data.draw(st.lists(st.integers(0, len(FILMS) - 1), min_size=1, max_size=12))
    texts = data.draw(st.lists(st.sampled_from(TOLD), min_size=len(places), max_size=len(places)))
    widths = data.draw(st.lists(st.integers(1, 5), min_size=len(places), max_size=len(places)))
    size = data.draw(st.integers(1, 12))
    each = [BeamSettings(beam_width=width, max_length=9) for width in widths]
    films = [FILMS[place] for place in places]
    together = list(reporter.report_stream(films, each, indications=texts, batch_size=size))
    by_itself = [
        reporter.report(film, own, indication=text)
        for film, own, text in zip(films, each, texts, strict=True)
    ]
    assert together == by_itself


def test_strict_calls_have_the_same_rows_and_words(bundle: Path, alone: list[Report]) -> None:
    with cxrscribe.load(bundle, device="cpu", strict=True) as reporter:
        found = reporter.report_batch(FILMS, indications=TOLD)
    assert [report.tokens for report in found if isinstance(report, Report)] == [one.tokens for one in alone]


def test_a_film_that_cannot_be_read_takes_nobodys_text(reporter: Reporter, alone: list[Report]) -> None:
    films = [FILMS[0], b"no film", *FILMS[1:]]
    found = reporter.report_batch(films, indications=[TOLD[0], "chest pain", *TOLD[1:]])
    assert isinstance(found.pop(1), FilmError)
    assert found == alone


def test_warming_up_needs_no_text(reporter: Reporter) -> None:
    reporter.warmup(3)


@pytest.mark.parametrize("told", [TOLD[:-1], (*TOLD, None), []])
def test_as_many_texts_as_films(reporter: Reporter, told: list[str | None]) -> None:
    with pytest.raises(SettingsError, match=f"{len(told)} indications for 6 images"):
        reporter.report_batch(FILMS, indications=told)
    with pytest.raises(SettingsError, match=f"{len(told)} indications for 6 images"):
        reporter.decode_features(reporter.encode(FILMS), indications=told)


def test_a_stream_that_runs_out_of_texts_says_so_after_the_films_before(
    reporter: Reporter, alone: list[Report]
) -> None:
    stream = reporter.report_stream(FILMS, indications=TOLD[:2])
    assert [next(stream), next(stream)] == alone[:2]
    with pytest.raises(SettingsError, match="fewer indications than images"):
        next(stream)


def test_no_error_shows_a_text(reporter: Reporter, fused_bundle: Path) -> None:
    secret = "Mr. Miller has chest pain"
    with pytest.raises(SettingsError, match="is of type bytes") as wrong_type:
        reporter.report_batch(FILMS[:1], indications=[secret.encode()])  # type: ignore[list-item]
    with pytest.raises(SettingsError, match="is one text") as one_text:
        reporter.report_batch(FILMS, indications=secret)
    with (
        cxrscribe.load(fused_bundle, device="cpu") as blind,
        pytest.raises(SettingsError, match="reads none") as none_read,
    ):
        blind.report(FILMS[0], indication=secret)
    assert all("Miller" not in str(each.value) for each in (wrong_type, one_text, none_read))


def test_a_model_that_sees_the_film_alone_refuses_any_text(fused_bundle: Path) -> None:
    with cxrscribe.load(fused_bundle, device="cpu") as blind:
        assert not blind.reads_indications
        for call in (
            lambda: blind.report(FILMS[0], indication=""),
            lambda: blind.report_batch(FILMS[:1], indications=[None]),
            lambda: blind.report_stream(FILMS, indications=iter(TOLD)),
            lambda: blind.decode_features(np.zeros((1, SMALL.features)), indications=["x"]),
            lambda: blind.decode_stream(np.zeros((1, SMALL.features)), indications=["x"]),
            lambda: blind.encode_indications(["x"]),
        ):
            with pytest.raises(SettingsError, match="sees the film alone"):
                call()


def test_numbers_of_texts(reporter: Reporter) -> None:
    numbers = reporter.encode_indications(TOLD)
    assert numbers.shape == (len(TOLD), SMALL.patient)
    assert numbers[0].tobytes() == SMALL.patient_text().encode(TOLD[0]).tobytes()
    assert not numbers[[3, 5]].any()


def test_a_bundle_without_its_texts_file_is_refused(tmp_path: Path) -> None:
    bundle = SMALL.write(tmp_path / "bundle")
    (bundle / "patient_text.json").unlink()
    with pytest.raises(BundleError, match=r"patient_text\.json"):
        cxrscribe.load(bundle, device="cpu")
    SMALL.manifest(
        tuple(entry for entry in Manifest.read(SMALL.write(bundle)).files if "text" not in entry.path)
    ).write(bundle)
    with pytest.raises(BundleError, match=r"has no patient_text\.json; export the bundle again"):
        cxrscribe.load(bundle, device="cpu")


def test_a_changed_texts_file_is_refused(tmp_path: Path) -> None:
    bundle = SMALL.write(tmp_path / "bundle")
    text = (bundle / "patient_text.json").read_text(encoding="utf-8")
    (bundle / "patient_text.json").write_text(text.replace("chest", "cheap"), encoding="utf-8")
    with pytest.raises(BundleError, match="has the sha256"):
        cxrscribe.load(bundle, device="cpu")


def test_texts_of_another_size_are_refused(tmp_path: Path) -> None:
    bundle = SMALL.write(tmp_path / "bundle")
    other = SmallBundle(seed=4, words=30, patient=5, fused=True).write(tmp_path / "other")
    (bundle / "patient_text.json").write_bytes((other / "patient_text.json").read_bytes())
    entry = Manifest.read(other).entry("patient_text.json")
    assert entry is not None
    manifest = Manifest.read(bundle)
    SMALL.manifest((*(each for each in manifest.files if each.path != "patient_text.json"), entry)).write(
        bundle
    )
    with pytest.raises(BundleError, match="gives 5 numbers, but the model takes 4"):
        cxrscribe.load(bundle, device="cpu")


def test_graphs_without_patient_are_refused_where_the_manifest_promises_one(tmp_path: Path) -> None:
    bundle = SMALL.write(tmp_path / "bundle")

    def without(model: object) -> None:
        del model.graph.input[1]  # type: ignore[attr-defined]
        for node in model.graph.node:  # type: ignore[attr-defined]
            node.input[:] = ["features" if name == "patient" else name for name in node.input]

    edit_graph(bundle, "beam_init.onnx", without)
    with pytest.raises(BundleError, match="patient"):
        cxrscribe.load(bundle, device="cpu")


def test_only_manifests_of_models_with_a_context_have_the_new_version(
    bundle: Path, fused_bundle: Path
) -> None:
    versions = [
        json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["schema_version"]
        for folder in (bundle, fused_bundle)
    ]
    assert versions == [4, 3]
    without = json.loads((fused_bundle / "manifest.json").read_text(encoding="utf-8"))["architecture"]
    assert "context" not in without

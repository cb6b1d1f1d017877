"""Lower precisions in a bundle: written, measured, recorded, or refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cxrscribe
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.evidence import OutputParity, Parity, ReportFigures
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.errors import BundleError, InputError
from cxrscribe.settings import BeamSettings
from cxrscribe_export.precision.cost import LossError, LossLimits, words_of_reports
from cxrscribe_export.precision.extension import extend_bundle
from cxrscribe_export.precision.precisions import PrecisionOrder, add_precisions
from cxrscribe_export.precision.trial import Trial
from cxrscribe_train.evaluation.metrics.labels import LABELS
from support.precision_record import INT8
from support.small_bundle import SmallBundle

FILMS = 16
SMALL = SmallBundle(
    seed=2,
    features=24,
    embedding=16,
    hidden=32,
    words=24,
    fused=True,
    settings=BeamSettings(beam_width=3, min_length=7, max_length=12),
)
PRECISION_FILES = {"encoder.onnx", "decoder_init.onnx", "beam_init.onnx", "beam_step.onnx"}


def films(count: int, seed: int) -> np.ndarray:
    shape = (count, SMALL.height, SMALL.width)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def trial_against(bundle: Path) -> Trial:
    """A trial in which fp32 is right about every word."""
    pixels = films(FILMS, seed=1)
    trial = Trial("test", pixels, (), np.zeros((FILMS, len(LABELS.columns)), np.bool_))
    return replace(trial, references=tuple(words_of_reports(bundle, "fp32", trial)))


def order_for(bundle: Path, *names: str, limits: LossLimits | None = None) -> PrecisionOrder:
    return PrecisionOrder(names, films(32, seed=5), trial_against(bundle), limits)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return SMALL.write(tmp_path / "bundle")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with both precisions, which no test changes."""
    folder = SMALL.write(tmp_path_factory.mktemp("both") / "bundle")
    add_precisions(folder, Manifest.read(folder), order_for(folder, "int8", "fp16", "int8"))
    return folder


def test_each_precision_has_its_graphs_and_a_record(both: Path) -> None:
    manifest = Manifest.read(both)
    assert manifest.graph_precisions == ("fp32", "fp16", "int8")
    assert Bundle.open(both).inspect().intact
    for precision in manifest.precisions:
        entries = [entry for entry in manifest.files if entry.precision == precision.name]
        assert {entry.path for entry in entries} == {f"{precision.name}/{name}" for name in PRECISION_FILES}
        for entry in entries:
            plain = manifest.entry(Path(entry.path).name)
            assert plain is not None
            assert (entry.inputs, entry.outputs, entry.opset) == (plain.inputs, plain.outputs, plain.opset)
            assert entry.bytes < plain.bytes
    assert [precision.name for precision in manifest.precisions] == ["int8", "fp16"]


def test_the_record_says_what_was_measured(both: Path) -> None:
    int8, fp16 = Manifest.read(both).precisions
    assert (int8.devices, fp16.devices) == (("cpu",), ("cuda",))
    assert (int8.calibration_films, fp16.calibration_films) == (32, 0)
    assert "32 films" in int8.calibration
    for precision in (int8, fp16):
        assert (precision.split, precision.reports) == ("test", FILMS)
        assert precision.fp32.bleu_4 == pytest.approx(1, abs=1e-6)
        assert precision.own.label_f1_micro is None
        assert (precision.identical == FILMS) == (precision.own.bleu_4 == precision.fp32.bleu_4)
    assert int8.speedups is not None
    assert int8.speedups.encoder > 0
    assert fp16.speedups is None


def test_a_reporter_opens_each_precision_and_reports_much_the_same(both: Path) -> None:
    pixels = list(films(FILMS, seed=1))
    features = {}
    for name in ("fp32", "int8", "fp16"):
        with cxrscribe.load(both, device="cpu", precision=name, cache=False) as reporter:
            assert reporter.precision == name
            features[name] = reporter.encode(pixels)
            assert all(report.text for report in reporter.report_batch(pixels))
    for name, most in (("int8", 0.1), ("fp16", 0.01)):
        error = np.sqrt(np.mean((features[name] - features["fp32"]) ** 2))
        assert error < most * features["fp32"].std()


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_an_int8_report_does_not_depend_on_its_batch_mates(both: Path, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(FILMS)))
    size = data.draw(st.integers(1, FILMS))
    pixels = films(FILMS, seed=1)
    with cxrscribe.load(both, device="cpu", precision="int8", cache=False) as reporter:
        whole = reporter.report_batch(list(pixels))
        for start in range(0, FILMS, size):
            part = order[start : start + size]
            assert reporter.report_batch([pixels[place] for place in part]) == [
                whole[place] for place in part
            ]


def test_a_precision_that_loses_too_much_is_refused_with_its_figures(bundle: Path) -> None:
    order = order_for(bundle, "int8", limits=LossLimits(bleu_4=0.0))
    with pytest.raises(
        LossError, match=r"int8 loses more .* on 16 films of test: BLEU-4 0\.\d+, fp32 1\.0000"
    ):
        add_precisions(bundle, Manifest.read(bundle), order)


def test_a_loss_is_accepted_where_no_limit_is_given(bundle: Path) -> None:
    manifest = add_precisions(bundle, Manifest.read(bundle), order_for(bundle, "int8"))
    assert manifest.precisions[0].own.bleu_4 < manifest.precisions[0].fp32.bleu_4


PRECISION = replace(
    INT8, reports=10, identical=9, fp32=ReportFigures(0.500, 0.80), own=ReportFigures(0.496, 0.795)
)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (ReportFigures(0.4951, 0.791), None),
        (ReportFigures(0.6, 0.9), None),
        (ReportFigures(0.499, None), None),
        (ReportFigures(0.494, 0.80), r"BLEU-4 0\.4940, fp32 0\.5000, loss 0\.0060, allowed 0\.005; 90\.0%"),
        (ReportFigures(0.499, 0.78), r"label F1 0\.7800, fp32 0\.8000, loss 0\.0200, allowed 0\.01; 90\.0%"),
        (ReportFigures(0.3, 0.3), "BLEU-4 .*; label F1 .*--accept-loss"),
    ],
)
def test_limits_are_on_what_is_lost(own: ReportFigures, said: str | None) -> None:
    precision = replace(PRECISION, own=own)
    if said is None:
        LossLimits().check(precision)
        return
    with pytest.raises(LossError, match=said):
        LossLimits().check(precision)


@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_a_limit_is_0_or_more(value: float) -> None:
    with pytest.raises(InputError, match="--max-f1-loss is"):
        LossLimits(label_f1=value)


def test_a_bundle_gets_precisions_and_fused_graphs_without_paddle(tmp_path: Path) -> None:
    folder = replace(SMALL, fused=False).write(tmp_path / "plain")
    parity = Parity("paddlepaddle 3.3.1", (OutputParity("encoder.onnx", "features", 1, 0.0, 1e-3),), None)
    replace(Manifest.read(folder), parity=parity).write(folder)
    stages: list[str] = []
    order = order_for(folder, "int8")
    manifest = extend_bundle(Bundle.open(folder), order, tmp_path / "more", stage=stages.append)
    assert stages[0] == "fusing the step"
    assert manifest == Manifest.read(tmp_path / "more")
    assert Bundle.open(tmp_path / "more").inspect().intact
    assert {"beam_init.onnx", "beam_step.onnx", "int8/beam_step.onnx"} <= {e.path for e in manifest.files}
    assert manifest.parity is not None
    assert manifest.parity.outputs[0] == parity.outputs[0]
    assert {output.graph for output in manifest.parity.outputs[1:]} == {"beam_init.onnx", "beam_step.onnx"}
    with cxrscribe.load(tmp_path / "more", device="cpu", precision="int8", cache=False) as reporter:
        assert reporter.report(films(1, seed=0)[0]).text


def test_a_precision_made_anew_takes_the_place_of_the_old_one(both: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(both, folder)
    order = replace(order_for(folder, "int8"), films=films(4, seed=6))
    manifest = extend_bundle(Bundle.open(folder), order, folder, overwrite=True)
    assert [(p.name, p.calibration_films) for p in manifest.precisions] == [("fp16", 0), ("int8", 4)]
    assert len([entry for entry in manifest.files if entry.precision == "int8"]) == len(PRECISION_FILES)
    assert Bundle.open(folder).inspect().intact


def test_a_refused_precision_leaves_the_bundle_as_it_was(bundle: Path, tmp_path: Path) -> None:
    before = Manifest.read(bundle)
    order = order_for(bundle, "int8", limits=LossLimits(bleu_4=0.0))
    with pytest.raises(LossError):
        extend_bundle(Bundle.open(bundle), order, bundle, overwrite=True)
    assert Manifest.read(bundle) == before
    with pytest.raises(InputError, match="--overwrite"):
        extend_bundle(Bundle.open(bundle), order, bundle)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_damaged_bundle_is_not_extended(bundle: Path, tmp_path: Path) -> None:
    order = order_for(bundle, "fp16")
    (bundle / "decoder_init.onnx").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"decoder_init.onnx has 1 bytes"):
        extend_bundle(Bundle.open(bundle), order, tmp_path / "more")

"""Lower precisions in a bundle: written, measured, recorded, or refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cxrscribe
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.evidence import OutputParity, Parity
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.bundle.precision_cost import LossLimits
from cxrscribe.bundle.precision_pair import PrecisionPair
from cxrscribe.errors import BundleError, InputError
from cxrscribe_export.precision.cost import LossError, TrialReports
from cxrscribe_export.precision.extension import extend_bundle
from cxrscribe_export.precision.precisions import PrecisionOrder, add_precisions
from support.trial import FILMS, SMALL, films, trial_against

PRECISION_FILES = {"encoder.onnx", "decoder_init.onnx", "beam_init.onnx", "beam_step.onnx"}


def order_for(bundle: Path, *names: str, limits: LossLimits | None = None) -> PrecisionOrder:
    """An order of these precisions that accepts any loss unless limits are given."""
    return PrecisionOrder(
        names,
        films(32, seed=5),
        trial_against(bundle),
        limits or LossLimits(),
        accept_loss=limits is None,
    )


@pytest.fixture(scope="module", autouse=True)
def _on_the_cpu_alone() -> Iterator[None]:
    """Whatever engines this machine has; those of others are in test_engines.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cxrscribe_export.precision.precisions.engines_here", lambda: ("cpu",))
        yield


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
        if precision.pair.encoder != precision.pair.decoder:
            continue
        entries = [entry for entry in manifest.files if entry.precision == precision.name]
        assert {entry.path for entry in entries} == {f"{precision.name}/{name}" for name in PRECISION_FILES}
        for entry in entries:
            plain = manifest.entry(Path(entry.path).name)
            assert plain is not None
            assert (entry.inputs, entry.outputs, entry.opset) == (plain.inputs, plain.outputs, plain.opset)
            assert entry.bytes < plain.bytes
    assert [precision.name for precision in manifest.precisions] == [
        *("int8", "int8+fp32", "fp32+int8"),
        "fp16",
    ]


def test_the_record_says_what_was_measured(both: Path) -> None:
    int8, mixed, other, fp16 = Manifest.read(both).precisions
    assert (int8.devices, fp16.devices) == (("cpu",), ("cuda",))
    assert (int8.calibration_films, fp16.calibration_films) == (32, 0)
    assert "32 films" in int8.calibration
    for precision in (int8, mixed, other, fp16):
        assert (precision.split, precision.reports) == ("test", FILMS)
        assert precision.fp32.bleu_4 == pytest.approx(1, abs=1e-6)
        assert precision.own.label_f1_micro is None
        assert (precision.identical == FILMS) == (precision.own.bleu_4 == precision.fp32.bleu_4)
    assert int8.speedups is not None
    assert int8.speedups.encoder > 0
    assert mixed.speedups == replace(int8.speedups, step=1.0)
    assert other.speedups == replace(int8.speedups, encoder=1.0)
    assert fp16.speedups is None
    assert {record.calibration for record in (mixed, other)} == {int8.calibration}
    assert {record.limits for record in (int8, mixed, other, fp16)} == {LossLimits()}


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


def test_a_mixed_precision_beyond_the_limits_is_recorded_and_refuses_nothing(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful(TrialReports):
        """An int8 encoder with an fp32 decoder that says nothing right, and the others all."""

        def words(self, device: str, pair: PrecisionPair) -> tuple[tuple[str, ...], ...]:
            spoken = ("nothing", "of", "the", "kind", "at", "all")
            return (spoken,) * FILMS if str(pair) == "int8+fp32" else self.trial.references

    monkeypatch.setattr("cxrscribe_export.precision.precisions.TrialReports", Forgetful)
    order = order_for(bundle, "int8", limits=LossLimits())
    int8, mixed, _ = add_precisions(bundle, Manifest.read(bundle), order).precisions
    assert (int8.within(), mixed.within()) == (True, False)
    assert mixed.identical == 0


def test_the_limits_that_were_set_are_recorded_with_an_accepted_loss(bundle: Path) -> None:
    strict = LossLimits(bleu_4=0.0)
    order = replace(order_for(bundle, "int8"), limits=strict)
    int8 = add_precisions(bundle, Manifest.read(bundle), order).precisions[0]
    assert (int8.limits, int8.within()) == (strict, False)
    assert Manifest.read(bundle).precisions[0] == int8


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
    assert [(p.name, p.calibration_films) for p in manifest.precisions] == [
        ("fp16", 0),
        *(("int8", 4), ("int8+fp32", 4), ("fp32+int8", 4)),
    ]
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

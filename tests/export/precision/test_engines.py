"""Which precisions are measured on which engines, and what is recorded of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import cxrscribe
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.bundle.precision_cost import LossLimits
from cxrscribe.bundle.precision_pair import PrecisionPair
from cxrscribe.errors import DeviceError
from cxrscribe_export.commands.precision import precision
from cxrscribe_export.precision.combinations import check_bf16, combinations, engines_here
from cxrscribe_export.precision.cost import TrialReports
from cxrscribe_export.precision.extension import extend_bundle
from cxrscribe_export.precision.precisions import PrecisionOrder, add_precisions
from support.square_corpus import write_squares
from support.trial import SMALL, films, trial_against

LOAD = cxrscribe.load
Missing = Callable[[str, str], bool]
"""Whether an engine can't open a precision."""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return SMALL.write(tmp_path / "bundle")


@pytest.fixture
def second_engine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Missing], None]:
    """Lets `openvino` be an engine that is here: the CPU's own, under that name, without what is missing."""

    def load(folder: Path, *, device: str, precision: str = "fp32", **options: Any) -> cxrscribe.Reporter:
        if device == "openvino":
            if missing[0](device, precision):
                raise DeviceError(f"{precision} doesn't work here")
            precision = "fp32" if precision == "bf16" else precision.replace("bf16+", "fp32+")
        return LOAD(folder, device="cpu", precision=precision, **options)

    missing: list[Missing] = [lambda device, precision: False]
    monkeypatch.setattr(cxrscribe, "load", load)
    return lambda found: missing.__setitem__(0, found)


def order_for(bundle: Path, *names: str) -> PrecisionOrder:
    return PrecisionOrder(names, films(32, seed=5), trial_against(bundle), accept_loss=True)


def recorded(manifest: Manifest) -> list[tuple[str, tuple[str, ...]]]:
    return [(record.name, record.devices) for record in manifest.precisions]


@pytest.mark.parametrize(
    ("names", "graphs", "engines", "expected"),
    [
        (("int8",), ("fp32", "int8"), ("cpu",), "cpu int8, cpu int8+fp32, cpu fp32+int8"),
        (
            ("int8",),
            ("fp32", "int8"),
            ("cpu", "openvino"),
            "cpu int8, cpu int8+fp32, cpu fp32+int8, openvino int8, openvino int8+fp32, openvino fp32+int8",
        ),
        (("fp16",), ("fp32", "fp16"), ("cpu", "openvino"), "cpu fp16"),
        (("bf16", "bf16"), ("fp32",), ("cpu", "openvino"), "openvino bf16"),
        (("bf16",), ("fp32", "int8", "fp16"), ("cpu",), "openvino bf16, openvino bf16+int8"),
        ((), ("fp32", "int8"), ("cpu",), ""),
    ],
)
def test_what_is_measured_on_each_engine(
    names: tuple[str, ...], graphs: tuple[str, ...], engines: tuple[str, ...], expected: str
) -> None:
    found = combinations(names, graphs, engines)
    assert ", ".join(f"{each.device} {each.pair}" for each in found) == expected
    assert all(each.devices == ("cuda",) for each in found if str(each.pair) == "fp16")
    assert all(each.devices == (each.device,) for each in found if str(each.pair) != "fp16")


def test_each_engine_has_records_of_its_own(bundle: Path, second_engine: Callable[[Missing], None]) -> None:
    manifest = add_precisions(bundle, Manifest.read(bundle), order_for(bundle, "int8", "bf16"))
    names = ("int8", "int8+fp32", "fp32+int8")
    engines = [(name, (device,)) for device in ("cpu", "openvino") for name in names]
    bf16 = [("bf16", ("openvino",)), ("bf16+int8", ("openvino",))]
    assert recorded(manifest) == [*engines, *bf16]
    assert Manifest.read(bundle) == manifest
    assert manifest.graph_precisions == ("fp32", "int8")
    by_place = {(record.name, record.devices[0]): record for record in manifest.precisions}
    for name in names:
        assert by_place[name, "cpu"].speedups is not None
        assert by_place[name, "openvino"].speedups is None
        assert by_place[name, "openvino"].own == by_place[name, "cpu"].own
    assert by_place["bf16", "openvino"].identical == by_place["bf16", "openvino"].reports
    assert by_place["bf16", "openvino"].calibration == "none needed"
    assert by_place["bf16+int8", "openvino"].calibration_films == 32


def test_films_go_once_through_the_encoder_of_each_engine_and_precision(
    bundle: Path, second_engine: Callable[[Missing], None]
) -> None:
    stages: list[str] = []
    add_precisions(bundle, Manifest.read(bundle), order_for(bundle, "int8", "bf16"), stages.append)
    encoded = [stage for stage in stages if stage.startswith("encoding")]
    assert encoded == [
        f"encoding 16 films with {encoder} on {device}"
        for device, encoder in (
            ("cpu", "fp32"),
            ("cpu", "int8"),
            ("openvino", "int8"),
            ("openvino", "fp32"),
            ("openvino", "bf16"),
        )
    ]


def test_what_an_engine_refuses_is_left_out_and_said(
    bundle: Path, second_engine: Callable[[Missing], None]
) -> None:
    second_engine(lambda device, precision: precision.startswith("int8"))
    stages: list[str] = []
    manifest = add_precisions(bundle, Manifest.read(bundle), order_for(bundle, "int8"), stages.append)
    assert recorded(manifest)[3:] == [("fp32+int8", ("openvino",))]
    assert "int8 on openvino can't be measured: int8 doesn't work here" in stages


def test_an_engine_that_is_not_here_is_not_measured(
    bundle: Path, second_engine: Callable[[Missing], None]
) -> None:
    second_engine(lambda device, precision: True)
    assert engines_here() == ("cpu",)
    manifest = add_precisions(bundle, Manifest.read(bundle), order_for(bundle, "int8"))
    assert {record.devices for record in manifest.precisions} == {("cpu",)}


def test_bf16_is_refused_where_nothing_computes_in_it(
    tmp_path: Path, bundle: Path, second_engine: Callable[[Missing], None]
) -> None:
    second_engine(lambda device, precision: "bf16" in precision)
    with pytest.raises(DeviceError, match=r"cost of bf16 can't be measured here, .*: bf16 doesn't work here"):
        check_bf16()
    with pytest.raises(DeviceError, match="bf16 doesn't work here"):
        add_precisions(bundle, Manifest.read(bundle), order_for(bundle, "bf16"))
    write_squares(tmp_path / "corpus", train=1, val=1, test=1)
    out = tmp_path / "more"
    options = [bundle, "--corpus", tmp_path / "corpus", "--out", out, "--precision", "bf16"]
    result = CliRunner().invoke(precision, [str(option) for option in options])
    assert isinstance(result.exception, DeviceError)
    assert (out.exists(), result.stderr) == (False, "")


def test_bf16_comes_to_a_bundle_that_has_int8_and_keeps_its_records(
    tmp_path: Path, bundle: Path, second_engine: Callable[[Missing], None]
) -> None:
    before = add_precisions(bundle, Manifest.read(bundle), order_for(bundle, "int8"))
    order = replace(order_for(bundle, "bf16"), films=films(0, seed=5))
    after = extend_bundle(Bundle.open(bundle), order, tmp_path / "more")
    assert after.precisions[:6] == before.precisions
    assert recorded(after)[6:] == [("bf16", ("openvino",)), ("bf16+int8", ("openvino",))]
    assert after.precisions[7].calibration == before.precisions[0].calibration
    assert after.graph_precisions == before.graph_precisions


def test_int8_made_anew_takes_what_was_measured_of_the_old_one_away(
    bundle: Path, second_engine: Callable[[Missing], None]
) -> None:
    add_precisions(bundle, Manifest.read(bundle), order_for(bundle, "int8", "bf16"))
    second_engine(lambda device, precision: True)
    again = add_precisions(bundle, Manifest.read(bundle), order_for(bundle, "int8"))
    assert recorded(again) == [
        ("bf16", ("openvino",)),
        *((name, ("cpu",)) for name in ("int8", "int8+fp32", "fp32+int8")),
    ]


def test_words_of_a_mixed_precision_are_those_of_its_encoder_and_its_decoder(bundle: Path) -> None:
    trial = trial_against(bundle)
    add_precisions(
        bundle, Manifest.read(bundle), replace(order_for(bundle, "int8"), limits=LossLimits(), trial=trial)
    )
    reports = TrialReports(bundle, trial)
    with (
        LOAD(bundle, device="cpu", precision="int8", cache=False) as encoder,
        LOAD(bundle, device="cpu", cache=False) as decoder,
    ):
        found = decoder.decode_features(encoder.encode(list(trial.films)))
        words = tuple(tuple(decoder.vocabulary.decode(report.tokens)) for report in found)
    assert reports.words("cpu", PrecisionPair.parse("int8+fp32")) == words
    assert reports.words("cpu", PrecisionPair.parse("int8")) != reports.expected

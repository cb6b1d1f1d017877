"""What a manifest records of lower precisions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.bundle.precision_cost import LossLimits, Precision, ReportFigures, Speedups
from cxrscribe.errors import BundleError
from cxrscribe.json_object import JsonObject
from support.precision_record import INT8

FP16 = replace(INT8, name="fp16", devices=("cuda",), calibration="none needed", speedups=None)


MIXED = replace(INT8, name="int8+fp32", devices=("openvino",), limits=LossLimits(0.02, 0.0))
BF16 = replace(INT8, name="bf16+int8", devices=("openvino",), speedups=None)


@pytest.mark.parametrize("precision", [INT8, FP16, MIXED, BF16], ids=lambda precision: precision.name)
def test_what_is_written_is_read_back(precision: Precision) -> None:
    assert Precision.from_json(JsonObject(precision.to_json(), "here")) == precision


@pytest.mark.parametrize(
    "name", ["fp32", "fp32+fp32", "fastest", "fastest+fp32", "int8+fastest", "../x", "", "int8+", "a+b+c"]
)
def test_a_name_that_can_not_be_one_is_refused(name: str) -> None:
    with pytest.raises(BundleError, match="is not a name"):
        replace(INT8, name=name)


@pytest.mark.parametrize(("name", "written"), [("int8+int8", "int8"), ("bf16+fp32", "bf16")])
def test_a_pair_has_one_name(name: str, written: str) -> None:
    with pytest.raises(BundleError, match=f"as it is written here: '{written}'"):
        replace(INT8, name=name)


def test_usual_limits_are_not_written() -> None:
    assert "limits" not in INT8.to_json()
    assert MIXED.to_json()["limits"] == {"bleu_4": 0.02, "label_f1": 0.0}


OWN = replace(INT8, fp32=ReportFigures(0.500, 0.80))


@pytest.mark.parametrize(
    ("own", "beyond"),
    [
        (ReportFigures(0.4951, 0.791), ()),
        (ReportFigures(0.6, 0.9), ()),
        (ReportFigures(0.499, None), ()),
        (ReportFigures(0.494, 0.80), ("BLEU-4 0.4940, fp32 0.5000, loss 0.0060, allowed 0.005",)),
        (ReportFigures(0.499, 0.78), ("label F1 0.7800, fp32 0.8000, loss 0.0200, allowed 0.01",)),
    ],
)
def test_limits_are_on_what_is_lost(own: ReportFigures, beyond: tuple[str, ...]) -> None:
    record = replace(OWN, own=own)
    assert record.beyond_limits == beyond
    assert record.within() == (not beyond)


def test_a_record_is_judged_by_the_limits_that_it_was_exported_with() -> None:
    lossy = replace(OWN, own=ReportFigures(0.48, 0.80))
    assert not lossy.within()
    assert replace(lossy, limits=LossLimits(bleu_4=0.03)).within()
    assert lossy.within(LossLimits(bleu_4=0.03))
    strict = replace(OWN, own=ReportFigures(0.499, 0.80), limits=LossLimits(bleu_4=0.0))
    assert not strict.within()
    assert strict.within(LossLimits())


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_wider_limits_refuse_nothing_that_narrower_ones_take(
    before: float, after: float, narrow: float, wider: float
) -> None:
    fp32, own = ReportFigures(before, before), ReportFigures(after, after)
    if not LossLimits(narrow, narrow).exceeded(fp32, own):
        assert not LossLimits(narrow + wider, narrow + wider).exceeded(fp32, own)
    assert not LossLimits(narrow, narrow).exceeded(fp32, fp32)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_a_limit_is_0_or_more(value: float) -> None:
    with pytest.raises(BundleError, match="limit of label_f1 is"):
        LossLimits(label_f1=value)


def test_counts_and_speedups_are_possible_ones() -> None:
    with pytest.raises(BundleError, match="501 of 500"):
        replace(INT8, identical=501)
    with pytest.raises(BundleError, match="speedup of the step is 0"):
        Speedups(1.0, 0, "AMD EPYC", 2)
    assert replace(INT8, reports=0, identical=0).identical_share == 1

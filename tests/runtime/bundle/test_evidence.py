"""What a manifest records of lower precisions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cxrscribe.bundle.evidence import Precision, Speedups
from cxrscribe.errors import BundleError
from cxrscribe.json_object import JsonObject
from support.precision_record import INT8

FP16 = replace(INT8, name="fp16", devices=("cuda",), calibration="none needed", speedups=None)


@pytest.mark.parametrize("precision", [INT8, FP16], ids=lambda precision: precision.name)
def test_what_is_written_is_read_back(precision: Precision) -> None:
    assert Precision.from_json(JsonObject(precision.to_json(), "here")) == precision


@pytest.mark.parametrize("name", ["fp32", "fastest", "../x", ""])
def test_a_name_that_can_not_be_one_is_refused(name: str) -> None:
    with pytest.raises(BundleError, match="is not a name"):
        replace(INT8, name=name)


def test_counts_and_speedups_are_possible_ones() -> None:
    with pytest.raises(BundleError, match="501 of 500"):
        replace(INT8, identical=501)
    with pytest.raises(BundleError, match="speedup of the step is 0"):
        Speedups(1.0, 0, "AMD EPYC", 2)
    assert replace(INT8, reports=0, identical=0).identical_share == 1

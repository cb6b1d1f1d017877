"""What may be taken as the fastest, and why the rest may not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cxrscribe.bundle.files import FileEntry
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.bundle.precision_cost import LossLimits, Precision, ReportFigures
from cxrscribe.bundle.precision_pair import PrecisionPair
from cxrscribe.json_object import JsonObject
from cxrscribe.tuning.candidates import Candidate, Refused, candidates
from support.precision_record import INT8

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
from support.small_bundle import SmallBundle

FIGURES = ReportFigures(0.25, 0.75)
GOOD = replace(INT8, fp32=FIGURES, own=ReportFigures(0.249, 0.745))
BAD = replace(INT8, fp32=FIGURES, own=ReportFigures(0.25, 0.70))


def manifest(*precisions: str) -> Manifest:
    return SmallBundle().manifest(
        tuple(
            FileEntry("encoder.onnx" if name == "fp32" else f"{name}/encoder.onnx", "0" * 64, 3, name, 17)
            for name in ("fp32", *precisions)
        )
    )


def names(found: list[Candidate]) -> set[str]:
    return set(map(str, found))


def test_fp32_of_each_device_needs_no_record() -> None:
    allowed, refused = candidates(manifest(), ["cpu", "openvino"], (), has_bf16=False)
    assert (names(allowed), refused) == ({"cpu fp32", "openvino fp32"}, [])


def test_what_nobody_has_measured_is_refused() -> None:
    allowed, refused = candidates(manifest("int8"), ["cpu"], (), has_bf16=False)
    assert names(allowed) == {"cpu fp32"}
    assert {str(each.candidate) for each in refused} == {"cpu int8", "cpu int8+fp32", "cpu fp32+int8"}
    assert all("nobody has measured" in each.reason for each in refused)


@pytest.mark.parametrize(
    ("cost", "allowed"),
    [
        (GOOD, True),
        (BAD, False),
        (replace(BAD, limits=LossLimits(0.1, 0.1)), True),
        (replace(GOOD, limits=LossLimits(0.0, 0.0)), False),
    ],
)
def test_the_limits_of_the_record_decide(cost: Precision, allowed: bool) -> None:
    found, refused = candidates(manifest("int8"), ["cpu"], (cost,), has_bf16=False)
    assert ("cpu int8" in names(found)) is allowed
    reasons = {str(each.candidate): each.reason for each in refused}
    assert allowed or "loss" in reasons["cpu int8"]


def test_a_record_is_of_the_devices_and_the_pair_that_it_names() -> None:
    mixed = replace(GOOD, name="int8+fp32", devices=("openvino",))
    found, _ = candidates(manifest("int8"), ["cpu", "openvino"], (mixed,), has_bf16=False)
    assert names(found) == {"cpu fp32", "openvino fp32", "openvino int8+fp32"}


def test_what_was_measured_here_comes_after_the_record_of_the_bundle() -> None:
    found, _ = candidates(manifest("int8"), ["cpu"], (GOOD, BAD), has_bf16=False)
    assert names(found) == {"cpu fp32"}


@pytest.mark.parametrize("has_bf16", [False, True])
def test_bf16_is_for_openvino_where_the_processor_has_it(has_bf16: bool) -> None:
    bf16 = replace(GOOD, name="bf16", devices=("openvino", "cpu"))
    found, _ = candidates(manifest(), ["cpu", "openvino"], (bf16,), has_bf16=has_bf16)
    assert ("openvino bf16" in names(found)) is has_bf16
    assert "cpu bf16" not in names(found)


def test_gpus_run_halves_and_processors_bytes() -> None:
    both = [replace(GOOD, name=name, devices=("cpu", "cuda")) for name in ("int8", "fp16")]
    found, _ = candidates(manifest("int8", "fp16"), ["cuda", "cpu"], both, has_bf16=False)
    assert names(found) == {"cuda fp32", "cuda fp16", "cpu fp32", "cpu int8"}


def test_the_decoder_is_named_by_the_device_that_runs_it() -> None:
    candidate = Candidate("openvino", PrecisionPair("int8", "fp32"))
    assert (candidate.encoder, candidate.decoder) == ("openvino int8", "cpu fp32")
    assert Candidate("tensorrt", PrecisionPair("fp16", "fp16")).decoder == "cuda fp16"


def test_candidates_are_read_back_from_json() -> None:
    refused = Refused(Candidate("openvino", PrecisionPair("bf16", "int8")), "it loses words")
    assert Refused.from_json(JsonObject(refused.to_json(), "a candidate")) == refused

"""Which precision a bundle is opened at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import cxrscribe
from cxrscribe.bundle.evidence import Precision, Speedups
from cxrscribe.bundle.files import FileEntry
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.loader import choose_precision
from support.precision_record import INT8
from support.small_bundle import SmallBundle

FP16 = replace(INT8, name="fp16", devices=("cuda",), calibration="none needed", speedups=None)


def manifest_with(*precisions: Precision) -> Manifest:
    files = [FileEntry(f"{p.name}/encoder.onnx", "0" * 64, 3, p.name, 17) for p in precisions]
    return replace(SmallBundle().manifest(tuple(files)), precisions=precisions)


def faster(name: str, encoder: float) -> Precision:
    return replace(INT8, name=name, speedups=Speedups(encoder, 1.0, "AMD EPYC", 2))


@pytest.mark.parametrize("device", ["cpu", "cuda", "openvino"])
def test_fp32_is_taken_unless_another_is_asked_for(device: str) -> None:
    assert choose_precision(manifest_with(INT8, FP16), None, device) == "fp32"


@pytest.mark.parametrize("asked", ["fp32", "fp16", "int8", "int3"])
def test_a_name_is_taken_as_it_is(asked: str) -> None:
    assert choose_precision(manifest_with(INT8, FP16), asked, "cpu") == asked


@pytest.mark.parametrize(
    ("precisions", "device", "chosen"),
    [
        ((), "cpu", "fp32"),
        ((), "cuda", "fp32"),
        ((INT8, FP16), "cpu", "int8"),
        ((INT8, FP16), "cuda", "fp16"),
        ((INT8, FP16), "tensorrt", "fp16"),
        ((INT8,), "cuda", "fp32"),
        ((FP16,), "cpu", "fp32"),
        ((INT8, FP16), "openvino", "fp32"),
        ((faster("int8", 0.9),), "cpu", "fp32"),
        ((faster("int8", 1.0),), "cpu", "fp32"),
        ((faster("int8", 2.0), faster("int4", 3.0)), "cpu", "int4"),
        ((faster("int8", 3.0), faster("int4", 2.0)), "cpu", "int8"),
    ],
)
def test_fastest_is_the_largest_recorded_gain_on_the_device(
    precisions: tuple[Precision, ...], device: str, chosen: str
) -> None:
    assert choose_precision(manifest_with(*precisions), "fastest", device) == chosen


def test_reporter_knows_where_its_bundle_is(small_bundle: Path) -> None:
    with cxrscribe.load(small_bundle, device="cpu") as reporter:
        assert reporter.folder == small_bundle

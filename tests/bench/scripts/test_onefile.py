"""The benchmark of the one-file graph, on a small bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("onnx", reason="needs onnx, to make the file")

from cxrscribe_bench.scripts.onefile import LETTERBOX_SIZES, main


def test_it_times_both_and_counts_films_with_the_same_words(fused_bundle: Path) -> None:
    arguments = [str(fused_bundle), "--films", "40", "--rounds", "2", "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert [(each["precision"], each["films"]) for each in record["timings"]] == [("fp32", 1), ("fp32", 32)]
    assert all(each["file_ms"] > 0 and each["speedup"] > 0 for each in record["timings"])
    exact, half = record["identities"]
    assert exact.pop("bytes") == half.pop("bytes")  # so small a model has no weight that is worth it
    counts = {"films": 40, "same_best": 40, "same_words": 40, "same_scores": 40}
    assert exact == {"precision": "fp32", "weights": "fp32", **counts}
    assert half == {"precision": "fp32", "weights": "fp16", **counts}


def test_words_are_compared_only_when_asked(fused_bundle: Path) -> None:
    result = CliRunner().invoke(main, [str(fused_bundle), "--rounds", "1"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["precision", "films", "file", "ms", "runtime", "ms", "speedup"]
    assert len(lines) == 3


def test_what_a_film_of_any_size_costs(fused_bundle: Path) -> None:
    result = CliRunner().invoke(main, [str(fused_bundle), "--rounds", "1", "--letterbox", "--json"])
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert [(each["height"], each["width"]) for each in record["letterbox"]] == list(LETTERBOX_SIZES)
    assert all(each["file_ms"] > 0 and each["times_slower"] > 0 for each in record["letterbox"])
    if "memory" in record:  # where the system tells
        assert record["memory"]["peak_mb"] >= record["memory"]["loaded_mb"] + 20  # the film itself
    shown = CliRunner().invoke(main, [str(fused_bundle), "--rounds", "1", "--letterbox"]).stdout
    assert "letterbox of 2000 x 2500" in shown

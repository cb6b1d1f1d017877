"""The benchmark of the one-file graph, on a small bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("onnx", reason="needs onnx, to make the file")

from cxrscribe_bench.scripts.onefile import main


def test_it_times_both_and_counts_films_with_the_same_words(fused_bundle: Path) -> None:
    arguments = [str(fused_bundle), "--films", "40", "--rounds", "2", "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert [(each["precision"], each["films"]) for each in record["timings"]] == [("fp32", 1), ("fp32", 32)]
    assert all(each["file_ms"] > 0 and each["speedup"] > 0 for each in record["timings"])
    assert record["identities"] == [{"precision": "fp32", "films": 40, "same_words": 40, "same_scores": 40}]


def test_words_are_compared_only_when_asked(fused_bundle: Path) -> None:
    result = CliRunner().invoke(main, [str(fused_bundle), "--rounds", "1"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["precision", "films", "file", "ms", "runtime", "ms", "speedup"]
    assert len(lines) == 3

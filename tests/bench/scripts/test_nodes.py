"""The profile of a graph, node by node, adds up and lists what takes most first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")

from cxrscribe_bench.scripts import nodes
from support.small_bundle import SmallBundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SmallBundle(seed=1, fused=True).write(tmp_path_factory.mktemp("nodes") / "bundle")


@pytest.mark.parametrize("graph", ["encoder", "step"])
def test_operators_add_up(bundle: Path, graph: str) -> None:
    options = ["--bundle", str(bundle), "--precision", "fp32", "--graph", graph, "--images", "2"]
    result = CliRunner().invoke(nodes.main, [*options, "--runs", "3", "--json"])
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    times = [operator["ms"] for operator in record["operators"]]
    assert times == sorted(times, reverse=True)
    assert sum(times) == pytest.approx(record["ms"])
    assert sum(operator["share"] for operator in record["operators"]) == pytest.approx(1)
    assert {node["what"].split()[0] for node in record["nodes"]} <= {
        operator["what"] for operator in record["operators"]
    }
    assert record["processor"]


def test_a_table_for_people(bundle: Path) -> None:
    options = ["--bundle", str(bundle), "--precision", "fp32", "--graph", "step", "--runs", "2"]
    shown = CliRunner().invoke(nodes.main, [*options, "--largest", "3"]).stdout
    assert "fp32/beam_step.onnx, 8 images" in shown
    largest = shown.split("nodes that do the same\n")[1].splitlines()
    assert len(largest) == 3
    assert any("40x" in line for line in largest)


def test_nodes_of_a_kind_are_one() -> None:
    found = nodes.shares([("Conv", 1.0), ("Add", 0.5), ("Conv", 2.5)])
    assert found == [nodes.Share("Conv", 2, 3.5, 0.875), nodes.Share("Add", 1, 0.5, 0.125)]

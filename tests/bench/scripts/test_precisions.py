"""The benchmark of int8 against fp32 runs on a bundle with int8 and on one without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")

from cxrscribe_bench.scripts import precisions
from support.small_bundle import SmallBundle


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precisions, "STEP_ROUNDS", 2)


def test_every_graph_is_timed_at_every_size(tmp_path: Path) -> None:
    bundle = SmallBundle(fused=True).write(tmp_path / "bundle")
    result = CliRunner().invoke(precisions.main, ["--bundle", str(bundle), "--rounds", "2", "--json"])
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert [(timing["graph"], timing["size"]) for timing in record["timings"]] == [
        *(("encoder", f"{films} films") for films in (1, 8, 32)),
        *(("beam_step", f"{rows} rows") for rows in (5, 50, 160)),
    ]
    assert all(timing["speedup"] > 0 for timing in record["timings"])
    assert record["processor"]
    table = CliRunner().invoke(precisions.main, ["--bundle", str(bundle), "--rounds", "2"]).stdout
    assert "beam_step   160 rows" in table
    assert "all" in table

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cxrscribe_bench.scripts import fastest
from support.int8_copy import with_int8


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CXRSCRIBE_CACHE", str(tmp_path / "cache"))
    return with_int8(tmp_path / "bundle")


def test_the_choice_is_held_against_all_that_runs(bundle: Path) -> None:
    result = CliRunner().invoke(fastest.main, [str(bundle), "--rounds", "1", "--threads", "1", "--json"])
    assert result.exit_code == 0, result.output
    (verdict,) = json.loads(result.stdout)["verdicts"]
    found = {row["candidate"]: row for row in verdict["all"]}
    assert {"cpu fp32", "cpu int8", "cpu int8+fp32", "cpu fp32+int8"} <= found.keys()
    assert verdict["threads"] == 1
    assert verdict["times_the_best"] == found[verdict["chosen"]]["times_the_best"] >= 1
    assert verdict["all"][0]["times_the_best"] == 1


def test_a_line_for_each_and_a_mark_for_the_chosen(bundle: Path) -> None:
    lines = CliRunner().invoke(fastest.main, [str(bundle), "--rounds", "1"]).stdout.splitlines()
    assert lines[1].startswith(f"{bundle}, ")
    chosen = lines[2].removeprefix("chosen: ").partition(",")[0]
    (marked,) = (line for line in lines if line.startswith("* "))
    assert marked.removeprefix("* ").startswith(chosen)

"""`cxrscribe bench compare`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cxrscribe.errors import InputError
from cxrscribe_bench.commands.compare import compare_command
from cxrscribe_bench.groups import FLOOR, PADDLE_DYNAMIC
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.results.record import Record, ScenarioResult, TokenCheck

LONG = "a name that is far too long for one column of the table, but whose end says fp32"


def write(folder: Path, *, ours: float = 1.0, sha256: str = "s", checks: tuple[TokenCheck, ...] = ()) -> Path:
    """A record of two figures of ours, one of a peer, and a floor."""

    def timed(group: str, name: str, median: float, system: str = "cxrscribe") -> Measurement:
        seconds = tuple((median * (1 + 0.004 * np.arange(7))).tolist())
        peak = int(60e6 * ours)
        return Measurement(group, name, seconds, labels={"system": system}, peak_bytes=peak)

    folder.mkdir()
    record = Record(
        environment={"processor": "P", "threads": 2},
        bundle={"sha256": sha256},
        options={},
        measurements=(
            timed(FLOOR, "encoder products", 0.001),
            timed("stages", "steady", 0.02),
            timed("stages", LONG, 0.01 * ours),
            timed("stages", "other", 0.5 / ours, PADDLE_DYNAMIC),
        ),
        scenarios=(
            ScenarioResult(
                "Offline", "films", "fp32", "VALID", "", "Samples per second", 9.5 / ours, {}, (), 9, 1.0
            ),
        ),
        checks=checks,
        goals=(),
        quality=(),
        absent={},
        details={},
    )
    record.write(folder)
    return folder


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(compare_command, [str(each) for each in arguments])


def test_regression_comes_first_and_ends_with_exit_code_1(tmp_path: Path) -> None:
    result = invoke(write(tmp_path / "old"), write(tmp_path / "new", ours=1.5))
    assert result.exit_code == 1, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    table = lines.index(next(line for line in lines if line.startswith("seconds an item")))
    assert lines[table + 1].startswith("stages a name that")
    assert lines[table + 1].endswith("SLOWER")
    assert lines[table + 1].split()[-9:-7] == ["10.12", "ms"]
    assert " 1.50 " in lines[table + 1]
    assert lines[table + 2].endswith("too few samples")
    assert lines[table + 3].startswith("stages other (peer)")
    assert lines[table + 3].endswith("faster")
    assert any(line.startswith("MORE MEMORY    stages") for line in lines)
    assert lines[-1] == "REGRESSION: 1 slower, 2 with more memory."


def test_what_is_unchanged_is_shown_when_asked_for(tmp_path: Path) -> None:
    old, new = write(tmp_path / "old"), write(tmp_path / "new")
    brief, whole = invoke(old, new), invoke(old / "bench.json", new / "bench.json", "--all")
    assert brief.exit_code == whole.exit_code == 0
    assert "steady" not in brief.stdout
    assert "steady" in whole.stdout
    assert "The machine itself takes 1.000 times as long" in brief.stdout
    assert brief.stdout.splitlines()[-1] == "No regression found: 2 unchanged, 1 too few samples."


def test_tolerance_decides_what_is_a_regression(tmp_path: Path) -> None:
    old, new = write(tmp_path / "old"), write(tmp_path / "new", ours=1.1)
    assert invoke(old, new).exit_code == 1
    assert invoke(old, new, "--tolerance", "0.3").exit_code == 0


def test_runs_of_different_bundles_get_a_notice(tmp_path: Path) -> None:
    result = invoke(write(tmp_path / "old"), write(tmp_path / "new", sha256="t"))
    assert result.stdout.startswith("NOT STRICTLY COMPARABLE")
    assert "  bundle sha256: s -> t" in result.stdout


def test_other_words_are_a_regression(tmp_path: Path) -> None:
    check = TokenCheck("cxrscribe", "films", "fp32", "reference", reports=10, identical=9)
    result = invoke(write(tmp_path / "old"), write(tmp_path / "new", checks=(check,)))
    assert result.exit_code == 1
    assert "OTHER WORDS    cxrscribe films fp32 as reference: 9 of 10 reports identical" in result.stdout
    assert result.stdout.splitlines()[-1] == "REGRESSION: 1 with other words."


def test_json_says_the_same(tmp_path: Path) -> None:
    result = invoke(write(tmp_path / "old"), write(tmp_path / "new", ours=1.5), "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["has_regression"] is True
    assert [(each["ours"], each["verdict"]) for each in found["times"]] == [
        (True, "slower"),
        (True, "too few samples"),
        (True, "unchanged"),
        (False, "faster"),
    ]


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    old = write(tmp_path / "old")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="can't be read"):
        CliRunner().invoke(compare_command, [str(old), str(tmp_path / "empty")], catch_exceptions=False)

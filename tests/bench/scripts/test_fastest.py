from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import cxrscribe
from cxrscribe.bundle.precision_pair import PrecisionPair
from cxrscribe.errors import DeviceError, InputError
from cxrscribe.tuning.candidates import Candidate
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


def broken(
    monkeypatch: pytest.MonkeyPatch, *precisions: str, opened: list[cxrscribe.Reporter] | None = None
) -> None:
    """Candidates of these precisions don't open."""
    load = cxrscribe.load

    def loaded(path: Path, *, precision: str, **how: Any) -> cxrscribe.Reporter:
        if precision in precisions:
            raise DeviceError("it has gone up in smoke")
        reporter = load(path, precision=precision, **how)
        if opened is not None:
            opened.append(reporter)
        return reporter

    monkeypatch.setattr(cxrscribe, "load", loaded)


def test_what_does_not_open_is_said_and_the_others_are_measured_and_closed(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[cxrscribe.Reporter] = []
    broken(monkeypatch, "int8", opened=opened)
    candidates = [Candidate("cpu", PrecisionPair.parse(name)) for name in ("int8", "fp32")]
    found, problems = fastest.measured(bundle, candidates, 1, 1)
    assert [each.candidate for each in found] == ["cpu fp32"]
    assert problems == {"cpu int8": "it has gone up in smoke"}
    verdict = fastest.Verdict("a bundle", 1, "cpu fp32", 0.0, 1.0, tuple(found), problems)
    last = list(fastest._lines(verdict))[-1]
    assert last.strip().startswith("cpu int8")
    assert last.endswith("not measured: it has gone up in smoke")
    assert opened
    for reporter in opened:
        with pytest.raises(InputError, match="closed"):
            reporter.report(np.zeros((24, 32), np.uint8))


def test_a_choice_that_does_not_open_is_an_error(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, "fp32", "int8", "int8+fp32", "fp32+int8", "bf16")
    with pytest.raises(DeviceError, match="was chosen and doesn't run: it has gone up in smoke"):
        fastest.verdict_of(bundle, 1, 1)


def test_a_line_for_each_and_a_mark_for_the_chosen(bundle: Path) -> None:
    lines = CliRunner().invoke(fastest.main, [str(bundle), "--rounds", "1"]).stdout.splitlines()
    assert lines[1].startswith(f"{bundle}, ")
    chosen = lines[2].removeprefix("chosen: ").partition(",")[0]
    (marked,) = (line for line in lines if line.startswith("* "))
    assert marked.removeprefix("* ").startswith(chosen)

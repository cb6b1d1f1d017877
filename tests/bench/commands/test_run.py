from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

import cxrscribe
from cxrscribe.bundle.precision_pair import PLAIN
from cxrscribe.cli.main import main
from cxrscribe.tuning.candidates import Candidate
from cxrscribe.tuning.choice import Choice, Chooser, How
from cxrscribe_bench.material.reference_words import ReferenceWords
from cxrscribe_bench.results.record import Record
from cxrscribe_bench.systems.system import Words

DEMO = str(cxrscribe.demo_bundle())
BRIEF = ("--quick", "--images", "2", "--rounds", "1", "--threads", "1")


def bench(out: Path, *options: str) -> Result:
    """In fp32 unless they say otherwise: what else is measured, this machine decides."""
    precision = () if "--precision" in options else ("--precision", "fp32")
    return CliRunner().invoke(main, ["bench", DEMO, "--out", str(out), *BRIEF, *precision, *options])


def test_peers_are_timed_in_turn_and_the_words_are_checked(tmp_path: Path) -> None:
    result = bench(tmp_path, "--part", "peers", "--peer", "plain-onnxruntime", "--json")
    assert result.exit_code == 0, result.output
    record = Record.read(tmp_path)
    names = ["cxrscribe/fp32", "plain-onnxruntime/fp32"]
    for group in ("offline/films", "offline/features", "encoder", "single/films"):
        assert [each.name for each in record.group(group)] == names
    offline = record.measurement("offline/films", "cxrscribe/fp32")
    assert offline is not None
    assert (offline.items, len(offline.seconds)) == (2, 1)
    assert [(check.system, check.source, check.reports, check.passed) for check in record.checks] == [
        (name.partition("/")[0], source, 2, True)
        for source in ("films", "features", "films, one at a time")
        for name in names
    ]
    assert record.options["complete"] is True
    fields = json.loads(result.stdout)
    assert fields["bundle"]["sha256"] == record.bundle["sha256"]
    assert "cxrscribe" in (tmp_path / "bench.html").read_text(encoding="utf-8")


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino isn't installed")
def test_the_fastest_engine_is_measured_without_being_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fastest = Choice(Candidate("openvino", PLAIN), How.ONLY)
    monkeypatch.setattr(Chooser, "choose", lambda chooser: fastest)
    options = ["--part", "peers", "--peer", "none"]
    result = CliRunner().invoke(main, ["bench", DEMO, "--out", str(tmp_path), *BRIEF, *options])
    assert result.exit_code == 0, result.output
    record = Record.read(tmp_path)
    names = ["cxrscribe/fp32", "cxrscribe/fp32@openvino"]
    assert [each.name for each in record.group("encoder")] == names
    assert all(check.passed for check in record.checks)


def test_stages_and_floor_are_timed(tmp_path: Path) -> None:
    result = bench(tmp_path, "--part", "stages")
    assert result.exit_code == 0, result.output
    record = Record.read(tmp_path)
    assert [each.labels["stage"] for each in record.group("stages")] == [
        "decode file",
        "preprocess",
        "encode",
        "search",
        "film to text",
    ]
    assert [each.name for each in record.group("floor")] == [
        "encoder products",
        "decoder products",
        "encoder bytes",
        "decoder bytes",
    ]
    assert list(record.absent) == ["energy"]


def test_other_words_than_the_references_fail_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = ReferenceWords.words

    def drifted(self: ReferenceWords, features: NDArray[np.float32]) -> list[Words]:
        words = honest(self, features)
        return [words[0][:-1], *words[1:]]

    monkeypatch.setattr(ReferenceWords, "words", drifted)
    result = bench(tmp_path, "--part", "peers", "--peer", "none")
    assert result.exit_code == 1
    assert (
        "Error: cxrscribe at fp32, from films: 1 of 2 reports have the words of plain loops" in result.stderr
    )
    drifted = [check.source for check in Record.read(tmp_path).drifted]
    assert drifted == ["films", "features", "films, one at a time"]


def test_runtime_that_fails_fails_the_run(tmp_path: Path) -> None:
    result = bench(tmp_path, "--part", "peers", "--peer", "none", "--device", "tensorrt")
    assert result.exit_code == 1
    assert "Error: cxrscribe/fp32 could not be measured" in result.stderr
    assert Record.read(tmp_path).failures[0] == "cxrscribe/fp32"


def test_what_was_measured_survives_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cxrscribe_bench.suite.startup_measurements", interrupted)
    result = bench(tmp_path, "--part", "stages", "--part", "startup")
    assert result.exit_code == 130
    record = Record.read(tmp_path)
    assert record.options["complete"] is False
    assert record.group("stages")
    assert "incomplete" in result.stderr


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--peer", "tensorflow"), "'tensorflow' is none of paddle-dynamic"),
        (("--part", "magic"), "'magic' is none of peers, stages, films, loadgen, scaling, startup"),
        (("--precision", "int3"), "the bundle has no precision 'int3'; it has fp32"),
        (("--precision", "fp32@nowhere"), "device 'nowhere' is unknown; there are auto, cpu"),
        (("--precision", "fp32@"), "device '' is unknown"),
        (("--film", "nowhere.png"), "none of the films can be read, the first one is nowhere.png"),
    ],
)
def test_what_can_not_be_done_is_said_before_anything_is_measured(
    tmp_path: Path, options: tuple[str, ...], complaint: str
) -> None:
    result = bench(tmp_path, *options)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert not (tmp_path / "bench.json").exists()


def test_help_shows_the_options_and_the_other_commands() -> None:
    text = CliRunner().invoke(main, ["bench", "--help"]).output
    assert "--server-p99-ms" in text
    assert "compare" in text
    assert "not an MLPerf result" in " ".join(text.split())
    for name in ("compare", "model"):
        assert CliRunner().invoke(main, ["bench", name, "--help"]).exit_code == 0


@pytest.mark.slow
def test_quick_run_has_every_part_and_can_be_compared_with_itself(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["bench", DEMO, "--out", str(tmp_path), "--quick", "--peer", "none"])
    assert result.exit_code == 0, result.output
    record = Record.read(tmp_path)
    assert {each.group.partition("/")[0] for each in record.measurements} == {
        "offline",
        "encoder",
        "single",
        "stages",
        "real sizes",
        "floor",
        "scaling",
        "startup",
    }
    assert [each.source for each in record.scenarios] == ["films"] * 4 + ["features"] * 4
    assert all(check.passed for check in record.checks)
    compared = CliRunner().invoke(main, ["bench", "compare", str(tmp_path), str(tmp_path)])
    assert compared.exit_code == 0, compared.output

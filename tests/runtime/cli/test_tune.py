"""`cxrscribe tune`, and what other commands make of what it kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.precision_cost import ReportFigures
from cxrscribe.cli import tune
from cxrscribe.tuning import choice
from cxrscribe.tuning.candidates import Candidate
from cxrscribe.tuning.race import Lap
from cxrscribe.tuning.trial import Cost, Trial
from support.archive_films import write_films
from support.precision_record import INT8

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
from support.int8_copy import with_int8

Run = Callable[..., Result]
GOOD = replace(INT8, fp32=ReportFigures(0.25, 0.75), own=ReportFigures(0.25, 0.75))


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of two precisions, and an empty cache."""
    monkeypatch.setenv("CXRSCRIBE_CACHE", str(tmp_path / "cache"))
    return with_int8(tmp_path / "bundle", GOOD)


def let_win(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let every trial from now on show that this candidate is the fastest."""

    def try_out(bundle: Bundle, candidates: Sequence[Candidate], *_: object, **__: object) -> Trial:
        costs = tuple(Cost(each, *((1.0, 2.0) if str(each) == name else (3.0, 4.0))) for each in candidates)
        laps = tuple(Lap(str(each), {"1": 1.0, "many": 2.0}, 3) for each in candidates)
        return Trial(laps, laps, costs)

    monkeypatch.setattr(choice, "try_out", try_out)


def test_it_tries_for_real_and_keeps_what_won(run: Run, bundle: Path) -> None:
    result = run("tune", bundle, "--device", "cpu", "--seconds", 2)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"bundle     {bundle}"
    assert any(line.startswith("  cpu int8") and line.split()[-1].isdecimal() for line in lines)
    assert "kept       --precision fastest takes it from now on" in lines
    assert lines[-1].startswith("pin        --device cpu --precision ")
    assert "trying encoder, cpu int8" in result.stderr
    pinned = lines[-1].split()[-1]
    fields = json.loads(run("inspect", bundle, "--device", "cpu", "--json").stdout)
    assert fields["fastest"]["precision"] == pinned
    assert f"fastest        cpu {pinned}: measured here" in run("inspect", bundle, "--device", "cpu").stdout


def test_json_is_one_object(run: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_win(monkeypatch, "cpu int8")
    fields = json.loads(run("tune", bundle, "--device", "cpu", "--json").stdout)
    assert (fields["device"], fields["precision"], fields["kept"]) == ("cpu", "int8", True)
    assert {each["candidate"]["precision"] for each in fields["refused"]} == {"int8+fp32", "fp32+int8"}
    assert fields["trial"]["costs"][0]["alone_ms"] == 1.0


def test_cache_lists_what_is_kept_until_it_is_cleared(
    run: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_win(monkeypatch, "cpu int8")
    run("tune", bundle, "--device", "cpu")
    assert f"fastest  cpu int8 of {bundle}\n" in run("cache").stdout
    (kept,) = json.loads(run("cache", "--json").stdout)["fastest"]
    assert (kept["bundle"], kept["device"], kept["precision"]) == (str(bundle), "cpu", "int8")
    assert json.loads(run("cache", "--clear", "--json").stdout)["fastest"] == []


def test_words_are_measured_by_whoever_announces_it(
    run: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def measure(
        folder: Path, corpus: Path, wanted: Sequence[tuple[str, str]], **options: object
    ) -> list[object]:
        asked.append((folder, corpus, set(wanted), options["films"]))
        return [
            replace(GOOD, name="int8+fp32"),
            replace(GOOD, name="fp32+int8", own=ReportFigures(0.1, 0.75)),
        ]

    monkeypatch.setattr(tune, "_measurer", lambda: measure)
    let_win(monkeypatch, "cpu int8+fp32")
    result = run("tune", bundle, "--device", "cpu", "--corpus", tmp_path, "--films", 7, "--json")
    assert result.exit_code == 0, result.output
    wanted = {("cpu", "int8"), ("cpu", "int8+fp32"), ("cpu", "fp32+int8")}
    assert asked == [(bundle, tmp_path, wanted, 7)]
    assert "int8+fp32 for cpu: 86.0% of 500 reports identical" in result.stderr
    fields = json.loads(result.stdout)
    assert fields["precision"] == "int8+fp32"
    assert [each["candidate"]["precision"] for each in fields["refused"]] == ["fp32+int8"]
    assert "loss 0.1500" in fields["refused"][0]["reason"]


def test_words_are_not_measured_for_nothing(
    run: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "_measurer", lambda: pytest.fail("nothing is to be measured"))
    both = run("tune", bundle, "--corpus", tmp_path, "--any-words")
    assert (both.exit_code, "leave one of them out" in both.stderr) == (2, True)
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("CXRSCRIBE_CACHE", str(tmp_path / "file"))
    refused = run("tune", bundle, "--device", "cpu", "--corpus", tmp_path)
    assert (refused.exit_code, "CXRSCRIBE_CACHE names another folder" in refused.stderr) == (2, True)


def test_any_words_are_tried_and_not_kept(run: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_win(monkeypatch, "cpu int8+fp32")
    fields = json.loads(run("tune", bundle, "--device", "cpu", "--any-words", "--json").stdout)
    assert (fields["precision"], fields["kept"], fields["refused"]) == ("int8+fp32", False, [])
    assert "fastest        not tried yet" in run("inspect", bundle, "--device", "cpu").stdout


def test_a_cache_that_can_not_be_is_no_reason_not_to_try(
    run: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("CXRSCRIBE_CACHE", str(tmp_path / "file"))
    let_win(monkeypatch, "cpu fp32")
    result = run("tune", bundle, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "kept" not in result.stdout
    assert "fastest        cpu int8: by the bundle's own record" in (
        run("inspect", bundle, "--device", "cpu").stdout
    )


def test_a_device_that_is_none_is_named(run: Run, bundle: Path) -> None:
    result = run("tune", bundle, "--device", "abacus")
    assert result.exit_code == 2
    assert "device 'abacus' is unknown" in result.stderr


def test_report_takes_what_is_kept_and_says_so(
    run: Run, bundle: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_win(monkeypatch, "cpu int8")
    result = run(
        "report", films / "a.png", "--bundle", bundle, "--device", "cpu", "--precision", "fastest", "--json"
    )
    assert result.exit_code == 0, result.output
    assert "fastest: cpu int8, measured here" in result.stderr


def test_a_run_goes_on_with_what_it_was_begun_with(
    run: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_films(tmp_path / "archive", 6)
    options = ("--run", "out", "--bundle", bundle, "--device", "cpu", "--precision", "fastest")
    let_win(monkeypatch, "cpu int8")
    begun = run("score", archive, *options, "--shard-films", 2, "--part", "1/2")
    assert begun.exit_code == 0, begun.output
    assert json.loads(Path("out/run.json").read_text())["identity"]["precision"] == "int8"
    let_win(monkeypatch, "cpu fp32")
    assert run("tune", bundle, "--device", "cpu").exit_code == 0
    assert run("score", *options).exit_code == 0
    assert run("score", "verify", "out").exit_code == 0
    refused = run("score", "--run", "out", "--bundle", bundle, "--device", "cpu", "--precision", "fp32")
    assert (refused.exit_code, 'precision was "int8" and is "fp32"' in refused.stderr) == (2, True)

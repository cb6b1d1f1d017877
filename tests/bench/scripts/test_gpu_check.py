"""The check of a GPU, as far as a CPU can try it: limits, outcomes, exit codes, and its steps."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import cxrscribe
from cxrscribe_bench.scripts import gpu_check, gpu_steps
from cxrscribe_bench.scripts.gpu_check import (
    NO_GPU,
    Outcome,
    StepOptions,
    StepResult,
    check,
    has_driver,
    main,
    run_step,
)

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "gpu_check.sh"


@pytest.fixture(autouse=True)
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """None, whatever is here."""
    monkeypatch.setattr(gpu_check, "has_driver", lambda: False)


def options(folder: Path, device: str = "cpu") -> StepOptions:
    return StepOptions(device, folder, None, 2)


def outcomes(monkeypatch: pytest.MonkeyPatch, **by_name: Outcome) -> list[tuple[str, str, float]]:
    """Steps end as told, and as passed where nothing is said; gives what was asked for."""
    asked: list[tuple[str, str, float]] = []

    def ended(name: str, options: StepOptions, seconds: float) -> StepResult:
        asked.append((name, options.device, seconds))
        return StepResult(name, by_name.get(name, Outcome.PASSED))

    monkeypatch.setattr(gpu_check, "run_step", ended)
    return asked


def test_options_come_through_another_process() -> None:
    for model in (None, Path("/models/one")):
        given = StepOptions("cuda", Path("/tmp/there"), model, 7)
        assert StepOptions.from_json(given.to_json()) == given


def test_all_steps_run_on_the_device_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = outcomes(monkeypatch)
    record, code = check(options(tmp_path, "cuda"), tuple(gpu_check.LIMITS), 480.0)
    assert code == 0
    assert [(name, device) for name, device, _ in asked] == [(name, "cuda") for name in gpu_check.LIMITS]
    assert all(seconds <= gpu_check.LIMITS[name] for name, _, seconds in asked)
    assert (record["asked"], record["ran_on"]) == ("cuda", "cuda")
    assert list(gpu_steps.STEPS) == list(gpu_check.LIMITS)
    json.dumps(record)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.TIMED_OUT])
def test_a_step_that_fails_fails_the_check_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    asked = outcomes(monkeypatch, parity=outcome)
    assert check(options(tmp_path, "cuda"), ("parity", "bench"), 480.0)[1] == 1
    assert [name for name, *_ in asked] == ["device", "parity", "bench"]
    outcomes(monkeypatch, parity=Outcome.NOT_RUN)
    assert check(options(tmp_path, "cuda"), ("parity",), 480.0)[1] == 0


def test_without_a_gpu_the_steps_run_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = outcomes(monkeypatch, device=Outcome.FAILED)
    record, code = check(options(tmp_path, "cuda"), ("tests", "fp16"), 480.0)
    assert code == NO_GPU
    assert [device for _, device, _ in asked] == ["cuda", "cpu", "cpu"]
    assert (record["asked"], record["ran_on"]) == ("cuda", "cpu")
    outcomes(monkeypatch, device=Outcome.FAILED, fp16=Outcome.FAILED)
    assert check(options(tmp_path, "cuda"), ("tests", "fp16"), 480.0)[1] == 1


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.TIMED_OUT])
def test_a_gpu_with_a_driver_that_does_not_work_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    asked = outcomes(monkeypatch, device=outcome)
    monkeypatch.setattr(gpu_check, "has_driver", lambda: True)
    record, code = check(options(tmp_path, "cuda"), ("tests",), 480.0)
    assert code == 1
    assert [device for _, device, _ in asked] == ["cuda", "cpu"]
    assert record["steps"][0]["reason"].startswith("the GPU doesn't work: ")


posix = pytest.mark.skipif(sys.platform == "win32", reason="the program of this test is a shell script")


def program(folder: Path, code: str) -> None:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(0o755)


@posix
@pytest.mark.parametrize(("code", "there"), [(0, True), (6, True), (15, True), (9, False), (12, False)])
def test_nvidia_smi_says_whether_there_is_a_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, there: bool
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path, f"exit {code}")
    assert has_driver() is there


@posix
def test_a_driver_that_hangs_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpu_check, "_ASKING_SECONDS", 0.2)
    program(tmp_path, "exec /bin/sleep 600")
    assert has_driver()


@pytest.mark.parametrize("there", [True, False])
def test_without_nvidia_smi_the_library_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    def load(name: str) -> None:
        if not there:
            raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpu_check.ctypes, "CDLL", load)
    assert has_driver() is there


def test_a_cpu_that_fails_is_no_missing_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes(monkeypatch, device=Outcome.FAILED)
    assert check(options(tmp_path), (), 480.0)[1] == 1


def test_a_model_that_was_made_is_used_from_then_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[Path | None] = []

    def ended(name: str, options: StepOptions, seconds: float) -> StepResult:
        models.append(options.model)
        return StepResult(name, Outcome.PASSED, figures={"bundle": "/made"} if name == "model" else {})

    monkeypatch.setattr(gpu_check, "run_step", ended)
    check(options(tmp_path), ("model", "parity"), 480.0)
    assert models == [None, None, Path("/made")]


def test_a_step_that_takes_too_long_ends_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "child"
    code = f"sleep 600 & echo $! > {child}.new; mv {child}.new {child}; wait"
    started = subprocess.Popen

    def slow(command: list[str], **how: Any) -> subprocess.Popen[bytes]:
        process = started(["/bin/sh", "-c", code], **how)
        patience = time.monotonic() + 60
        while not child.exists() and time.monotonic() < patience:
            time.sleep(0.05)
        return process

    monkeypatch.setattr(gpu_check.subprocess, "Popen", slow)
    result = run_step("parity", options(tmp_path), 1.0)
    assert result.outcome is Outcome.TIMED_OUT
    assert "more than 1 s" in result.reason
    number = int(child.read_text())
    patience = time.monotonic() + 60
    while _runs(number) and time.monotonic() < patience:
        time.sleep(0.05)
    assert not _runs(number)


def _runs(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_no_time_left_is_said_and_fails_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = run_step("parity", options(tmp_path), 0.0)
    assert (late.outcome, late.reason) == (Outcome.TIMED_OUT, "no time was left")
    monkeypatch.setattr(gpu_check, "run_step", lambda name, options, seconds: replace(late, name=name))
    assert check(options(tmp_path), ("parity",), 480.0)[1] == 1


@posix
def test_a_step_that_breaks_after_its_answer_has_failed_and_keeps_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = json.dumps({"outcome": "passed", "reason": "", "figures": {"films": 2}})
    started = subprocess.Popen

    def breaks(command: list[str], **how: Any) -> subprocess.Popen[bytes]:
        code = 'printf %s "$0" > "$1"; echo it went up in smoke; exit 139'
        return started(["/bin/sh", "-c", code, answer, str(tmp_path / "parity.json")], **how)

    monkeypatch.setattr(gpu_check.subprocess, "Popen", breaks)
    result = run_step("parity", options(tmp_path), 120.0)
    assert result.outcome is Outcome.FAILED
    assert "exit code 139" in result.reason
    assert "it went up in smoke" in result.reason
    assert result.figures == {"films": 2}


def test_a_step_that_raises_has_failed_and_its_log_is_shown(tmp_path: Path) -> None:
    given = StepOptions("cpu", tmp_path, tmp_path / "nothing", 2)
    result = run_step("parity", given, 120.0)
    assert result.outcome is Outcome.FAILED
    assert "nothing" in result.reason


def test_device_says_where_it_runs_or_why_not(tmp_path: Path) -> None:
    outcome, _, figures = gpu_steps.device(options(tmp_path))
    assert outcome is Outcome.PASSED
    assert "CPUExecutionProvider" in figures["placement"]
    outcome, reason, _ = gpu_steps.device(options(tmp_path, "nonsense"))
    assert outcome is Outcome.FAILED
    assert "nonsense" in reason


def test_parity_is_of_features_and_of_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, _, figures = gpu_steps.parity(options(tmp_path))
    assert outcome is Outcome.PASSED
    assert figures["demo"]["largest_difference"] == 0
    assert figures["demo"]["same_words"] == 2

    encode = cxrscribe.Reporter.encode
    calls: list[int] = []

    def shaken(reporter: cxrscribe.Reporter, films: list[Any]) -> np.ndarray:
        calls.append(0)
        return encode(reporter, films) + np.float32(0.01 * len(calls))

    monkeypatch.setattr(cxrscribe.Reporter, "encode", shaken)
    monkeypatch.setattr(gpu_steps, "_same", lambda one, other: len(one) - 1)
    outcome, reason, _ = gpu_steps.parity(options(tmp_path))
    assert outcome is Outcome.FAILED
    assert "features differ by 0.01" in reason
    assert "1 of 2 reports have other words" in reason


def test_fp16_is_counted(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
    outcome, _, figures = gpu_steps.fp16(options(tmp_path))
    assert outcome is Outcome.PASSED
    assert 0 <= figures["demo"]["same_words"] <= figures["demo"]["films"] == 2


def test_what_a_step_needs_and_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_steps.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(gpu_steps, "default_folder", lambda: tmp_path / "nowhere")
    for step in (gpu_steps.tests, gpu_steps.model, gpu_steps.fp16):
        outcome, reason, _ = step(options(tmp_path))
        assert outcome is Outcome.NOT_RUN
        assert "needs" in reason


def test_the_record_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes(monkeypatch, device=Outcome.FAILED)
    result = CliRunner().invoke(main, ["--out", str(tmp_path / "found.json"), "--step", "tests"])
    assert result.exit_code == NO_GPU
    record = json.loads((tmp_path / "found.json").read_text())
    assert [each["name"] for each in record["steps"]] == ["device", "tests"]
    assert record["environment"]["versions"]["numpy"]
    assert "tests" in result.output


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the script is for Linux, where such GPUs are")
def test_the_script_tries_all_on_the_cpu(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    command = [
        str(SCRIPT),
        "--python",
        sys.executable,
        "--device",
        "cpu",
        "--out",
        str(found),
        "--images",
        "2",
    ]
    steps = [word for name in ("tests", "parity", "bench") for word in ("--step", name)]
    done = subprocess.run([*command, *steps], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads(found.read_text())
    by_name = {each["name"]: each for each in record["steps"]}
    assert list(by_name) == ["device", "tests", "parity", "bench"]
    assert {each["outcome"] for each in by_name.values()} == {"passed"}
    assert by_name["bench"]["figures"]["items_per_second"]["offline/films cxrscribe/fp32"] > 0

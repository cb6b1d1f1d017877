"""Everything that only a GPU can show, in a few minutes, into one JSON file: `benchmarks/gpu_check.sh`.

    python -m cxrscribe_bench.scripts.gpu_check [--device cpu] [--out gpu_check.json] [--seconds 480]

Steps, each a process of its own with a limit of its own: the tests that are marked `cuda`; features and words
beside those of the CPU; fp16's words beside fp32's; the benchmark with other programs on the same device.
Exits 1 when a step failed or ran out of time, 3 when there is no driver of a GPU. Where the GPU doesn't work,
or there is none, the steps run on the CPU.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import click

from cxrscribe_bench.results.environment import environment

NO_GPU: Final = 3
"""The exit code where there is none, and no driver of one."""
LIMITS: Final = {
    "device": 120.0,
    "tests": 150.0,
    "model": 150.0,
    "parity": 120.0,
    "fp16": 120.0,
    "bench": 240.0,
}
"""Steps in order, and the most seconds of each: less where less is left of all."""
MOST_SECONDS: Final = 480.0
_LAST_LINES: Final = 12
_ENDING_SECONDS: Final = 5.0
_DRIVER_LIBRARY: Final = "libcuda.so.1"
_ASKING_SECONDS: Final = 20.0
_NO_DRIVER: Final = (9, 12)
"""Exit codes of nvidia-smi: the driver isn't loaded; its library isn't there."""


class Outcome(StrEnum):
    """What became of a step."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class StepResult:
    """One step."""

    name: str
    outcome: Outcome
    seconds: float = 0.0
    reason: str = ""
    """Why it wasn't run, or how it failed."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """What it found."""


@dataclass(frozen=True)
class StepOptions:
    """What all steps are told."""

    device: str
    folder: Path
    """For what a step leaves to the next one."""
    model: Path | None
    """Bundle of the benchmark model; None to make it, if Paddle is here."""
    images: int

    def to_json(self) -> str:
        """For another process."""
        fields = {**asdict(self), "folder": str(self.folder), "model": self.model and str(self.model)}
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str) -> StepOptions:
        """What `to_json` gave."""
        fields = json.loads(text)
        model = fields["model"]
        return cls(fields["device"], Path(fields["folder"]), model and Path(model), fields["images"])


def run_step(name: str, options: StepOptions, seconds: float) -> StepResult:
    """Run a step in a process of its own, which ends with all its children when time is up."""
    if seconds <= 0:
        return StepResult(name, Outcome.TIMED_OUT, reason="no time was left")
    answer, log = options.folder / f"{name}.json", options.folder / f"{name}.log"
    answer.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "cxrscribe_bench.scripts.gpu_steps",
        name,
        str(answer),
        options.to_json(),
    ]
    # What is held to float32 stays it in every library: cuBLAS and cuDNN ask for this.
    variables = {**os.environ, "NVIDIA_TF32_OVERRIDE": "0"}
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=variables, start_new_session=True
        )
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            reason = f"it took more than {seconds:.0f} s; the end of its log: {_tail(log)}"
            figures = _answered(answer)["figures"]
            return StepResult(name, Outcome.TIMED_OUT, time.monotonic() - started, reason, figures)
        except BaseException:
            _end(process)
            raise
    taken = time.monotonic() - started
    found = _answered(answer)
    if process.returncode != 0 or found["outcome"] is None:
        why = f"exit code {process.returncode}; the end of its log: {_tail(log)}"
        reason = "; ".join(filter(None, (found["reason"], why)))
        return StepResult(name, Outcome.FAILED, taken, reason, found["figures"])
    return StepResult(name, Outcome(found["outcome"]), taken, found["reason"], found["figures"])


def has_driver() -> bool:
    """Whether a driver of NVIDIA is here, by what nvidia-smi says or else by its library; it may not work."""
    program = shutil.which("nvidia-smi")
    if program is not None:
        try:
            asked = subprocess.run([program, "-L"], capture_output=True, timeout=_ASKING_SECONDS, check=False)
        except subprocess.TimeoutExpired:  # a device that hangs
            return True
        return asked.returncode not in _NO_DRIVER
    try:
        ctypes.CDLL(_DRIVER_LIBRARY)
    except OSError:
        return False
    return True


def check(options: StepOptions, steps: Sequence[str], seconds: float) -> tuple[dict[str, Any], int]:
    """Run the steps one after another within `seconds`; the record as JSON values, and the exit code."""
    started, asked = time.monotonic(), options.device
    results: list[StepResult] = []
    without_driver = False
    for name in (name for name in LIMITS if name == "device" or name in steps):
        left = seconds - (time.monotonic() - started)
        click.echo(f"{name} on {options.device} ...", err=True)
        result = run_step(name, options, min(LIMITS[name], left))
        if name == "device" and result.outcome is not Outcome.PASSED and asked != "cpu":
            without_driver = not has_driver()
            what = "there is no GPU" if without_driver else "the GPU doesn't work"
            result = replace(result, reason=f"{what}: {result.reason}")
            options = replace(options, device="cpu")  # which can do most of it
        results.append(result)
        click.echo(f"  {result.outcome} after {result.seconds:.0f} s {result.reason}".rstrip(), err=True)
        made = result.figures.get("bundle") if name == "model" else None
        if made:
            options = replace(options, model=Path(made))
    record = {
        "cxrscribe_gpu_check": 1,
        "asked": asked,
        "ran_on": options.device,
        "device": dict(results[0].figures),
        "environment": environment(),
        "most_seconds": seconds,
        "seconds": time.monotonic() - started,
        "steps": [asdict(each) for each in results],
    }
    bad = [
        each
        for each in (results[1:] if without_driver else results)
        if each.outcome in (Outcome.FAILED, Outcome.TIMED_OUT)
    ]
    return record, 1 if bad else NO_GPU if without_driver else 0


def _answered(answer: Path) -> dict[str, Any]:
    """What a step has written, if it has."""
    if not answer.exists():
        return {"outcome": None, "reason": "", "figures": {}}
    found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and its children."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            pass
    process.wait()


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return " | ".join(line.strip() for line in lines[-_LAST_LINES:] if line.strip())


@click.command()
@click.option("--device", type=click.Choice(["cuda", "tensorrt", "cpu"]), default="cuda", show_default=True)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("gpu_check.json"),
    show_default=True,
)
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Bundle of the benchmark model. [default: the one that is kept, or a new one where Paddle is here]",
)
@click.option("--seconds", type=click.FloatRange(1), default=MOST_SECONDS, show_default=True, help="Of all.")
@click.option("--images", type=click.IntRange(min=1), default=32, show_default=True, help="Films.")
@click.option(
    "--step",
    "steps",
    multiple=True,
    type=click.Choice([name for name in LIMITS if name != "device"]),
    help="May be repeated. [default: all]",
)
def main(
    device: str, out: Path, model: Path | None, seconds: float, images: int, steps: tuple[str, ...]
) -> None:
    """Check a GPU, or with --device cpu that this check works."""
    with tempfile.TemporaryDirectory(prefix="cxrscribe-gpu-", ignore_cleanup_errors=True) as folder:
        options = StepOptions(device, Path(folder), None if model is None else model.resolve(), images)
        record, code = check(options, steps or tuple(LIMITS), seconds)
    out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for each in record["steps"]:
        click.echo(f"{each['name']:8} {each['outcome']:10} {each['seconds']:6.1f} s  {each['reason'][:200]}")
    click.echo(f"wrote {out}")
    sys.exit(code)


if __name__ == "__main__":
    main()

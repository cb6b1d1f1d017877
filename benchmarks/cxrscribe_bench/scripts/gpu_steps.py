"""The steps of `gpu_check`, each run in a process of its own: STEP ANSWER OPTIONS.

A step writes its outcome into the file ANSWER. Where it raises instead, `gpu_check` shows the end of its log.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET  # of a file that pytest has just written
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

import cxrscribe
from cxrscribe import Report, Reporter
from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.bundle.precision_pair import FP16
from cxrscribe.errors import CxrscribeError
from cxrscribe_bench.groups import PADDLE_INFERENCE, TORCH_COMPILED, TORCH_EAGER
from cxrscribe_bench.material.drawn_films import drawn_film
from cxrscribe_bench.material.model import BenchmarkModel, default_folder, model_at
from cxrscribe_bench.results.record import Record
from cxrscribe_bench.scripts.gpu_check import Outcome, StepOptions

TOLERANCE: Final = 1e-3
"""What features may differ from the CPU's by, as a share of the largest one, or of 1 where that is less."""
_PEERS: Final = (PADDLE_INFERENCE, TORCH_EAGER, TORCH_COMPILED)
_TESTS: Final = Path(__file__).resolve().parents[3] / "tests"
_ASKING_SECONDS: Final = 20.0
_MARK: Final = "mark." + "cuda"

Answer: TypeAlias = tuple[Outcome, str, Mapping[str, Any]]
"""What became of it, why, and its figures."""


def device(options: StepOptions) -> Answer:
    """Whether the runtime works on the device, by its smallest bundle; what the device is."""
    figures = {"driver": _driver()}
    try:
        with cxrscribe.load(cxrscribe.demo_bundle(), device=options.device) as reporter:
            reporter.report(drawn_film(0))
            figures["placement"] = "; ".join(map(str, reporter.placement))
    except CxrscribeError as error:
        return Outcome.FAILED, str(error), figures
    return Outcome.PASSED, "", figures


def tests(options: StepOptions) -> Answer:
    """The tests that are marked `cuda`. Without a GPU they are collected and skip themselves."""
    if importlib.util.find_spec("pytest") is None or not _TESTS.is_dir():
        return Outcome.NOT_RUN, "needs pytest and the folder tests/ of the source tree", {}
    found = options.folder / "tests.xml"
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "-q", "-p", "no:cacheprovider"]
    # Collecting all tests takes longer than running these.
    marked = [str(each) for each in sorted(_TESTS.rglob("test_*.py")) if _MARK in each.read_text("utf-8")]
    command += [f"--junitxml={found}", *marked]
    code = subprocess.run(command, cwd=_TESTS.parent, check=False).returncode
    suite = ET.parse(found).getroot().find("testsuite")
    assert suite is not None
    figures = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    if code != 0:
        return Outcome.FAILED, f"pytest ended with exit code {code}", figures
    if options.device != "cpu" and figures["tests"] == figures["skipped"]:
        return Outcome.FAILED, "all of them were skipped", figures
    return Outcome.PASSED, "", figures


def model(options: StepOptions) -> Answer:
    """The bundle of the benchmark model: what was given, what is kept, or a new one."""
    if options.model is not None:
        return Outcome.PASSED, "", {"bundle": str(options.model)}
    kept = BenchmarkModel(default_folder()).bundle
    if (kept / "manifest.json").exists():
        return Outcome.PASSED, "", {"bundle": str(kept)}
    if any(importlib.util.find_spec(name) is None for name in ("paddle", "onnx")):
        return Outcome.NOT_RUN, "needs Paddle and onnx to make it; give --model", {}
    return Outcome.PASSED, "", {"bundle": str(model_at(options.folder / "model").bundle)}


def parity(options: StepOptions) -> Answer:
    """Features and words in fp32 on the device beside those on the CPU."""
    figures: dict[str, Any] = {}
    wrong = []
    for name, bundle in _bundles(options).items():
        with (
            cxrscribe.load(bundle, device=options.device, precision=FP32) as here,
            cxrscribe.load(bundle, device="cpu", precision=FP32) as cpu,
        ):
            films = [drawn_film(number) for number in range(options.images)]
            expected, found = cpu.encode(films), here.encode(films)
            size = max(1.0, float(np.abs(expected).max()))
            difference = float(np.abs(found - expected).max())
            same = _same(_words(here, films), _words(cpu, films))
        figures[name] = {
            "films": len(films),
            "largest_difference": difference,
            "largest_feature": size,
            "same_words": same,
        }
        if not difference <= TOLERANCE * size:
            wrong.append(f"{name}: features differ by {difference:.2g}, where {TOLERANCE * size:.2g} may be")
        if same < len(films):
            wrong.append(f"{name}: {len(films) - same} of {len(films)} reports have other words")
    return Outcome.FAILED if wrong else Outcome.PASSED, "; ".join(wrong), figures


def fp16(options: StepOptions) -> Answer:
    """How many reports keep fp32's words in fp16, on the device. No number is demanded."""
    if importlib.util.find_spec("onnx") is None:
        return Outcome.NOT_RUN, "needs onnx", {}
    from cxrscribe_export.precision.kinds import KINDS
    from cxrscribe_export.precision.precisions import add_graphs

    figures = {}
    for name, bundle in _bundles(options).items():
        halved = options.folder / f"{name}-fp16"
        shutil.copytree(bundle, halved)
        manifest = Manifest.read(halved)
        side = manifest.preprocessing.height, manifest.preprocessing.width
        add_graphs(halved, manifest, KINDS[FP16], np.empty((0, *side), np.uint8))
        films = [drawn_film(number) for number in range(options.images)]
        words = []
        for precision in (FP32, FP16):
            with cxrscribe.load(halved, device=options.device, precision=precision, cache=False) as reporter:
                words.append(_words(reporter, films))
        figures[name] = {"films": len(films), "same_words": _same(*words)}
    return Outcome.PASSED, "", figures


def bench(options: StepOptions) -> Answer:
    """Rates beside those of the peers that are installed for the device."""
    name, bundle = list(_bundles(options).items())[-1]
    out = options.folder / "bench"
    command = [sys.executable, "-m", "cxrscribe", "bench", str(bundle), "--out", str(out), "--quick"]
    command += ["--part", "peers", "--device", options.device, "--rounds", "3"]
    command += ["--images", str(options.images), *(word for peer in _PEERS for word in ("--peer", peer))]
    code = subprocess.run(command, check=False).returncode
    record = Record.read(out)
    figures = {
        "bundle": name,
        "items_per_second": {f"{each.group} {each.name}": each.per_second for each in record.measurements},
        "words": {
            f"{each.system}/{each.precision} from {each.source}": f"{each.identical} of {each.reports}"
            for each in record.checks
        },
        "systems": {name: dict(details) for name, details in record.details.items()},
        "absent": dict(record.absent),
    }
    if record.failures or not record.options["complete"]:
        return Outcome.FAILED, f"{', '.join(record.failures) or 'it ended early'}, exit code {code}", figures
    if record.drifted and options.device == "cpu":
        return Outcome.FAILED, "other words than the reference's", figures
    # On a GPU, the rounding of its features may tip a word of a random model: `words` says how often.
    return Outcome.PASSED, "", figures


STEPS: Final[Mapping[str, Callable[[StepOptions], Answer]]] = {
    "device": device,
    "tests": tests,
    "model": model,
    "parity": parity,
    "fp16": fp16,
    "bench": bench,
}


def _bundles(options: StepOptions) -> dict[str, Path]:
    found = {"demo": cxrscribe.demo_bundle()}
    return found if options.model is None else found | {"benchmark model": options.model}


def _words(reporter: Reporter, films: list[Any]) -> list[Any]:
    outcomes = reporter.report_batch(films)
    return [each.tokens if isinstance(each, Report) else str(each) for each in outcomes]


def _same(one: list[Any], other: list[Any]) -> int:
    return sum(bool(mine == theirs) for mine, theirs in zip(one, other, strict=True))


def _driver() -> str:
    """What NVIDIA's driver says of its devices and of itself; empty without it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    query = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        asked = subprocess.run(query, capture_output=True, text=True, timeout=_ASKING_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"nvidia-smi said nothing within {_ASKING_SECONDS:.0f} s"
    return asked.stdout.strip()


def main(name: str, answer: str, options: str) -> None:
    """Do one step."""
    outcome, reason, figures = STEPS[name](StepOptions.from_json(options))
    text = json.dumps({"outcome": outcome, "reason": reason, "figures": figures})
    unfinished = Path(f"{answer}.new")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(answer)


if __name__ == "__main__":
    main(*sys.argv[1:])

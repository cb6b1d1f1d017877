"""What the lean runtime costs: packages, megabytes, import time, time to first report, peak memory.

Builds the wheel, installs it with its `cpu` extra in a virtual environment of its own, and measures fresh
processes there. Times are printed beside those of an empty Python process measured in the same run, for a
machine's load changes both. Fails when something heavy got in or when no report comes out.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

from cxrscribe_bench.timing.memory import PEAK_KILOBYTES

ROUNDS = 5
FORBIDDEN_PACKAGES = ("paddlepaddle", "paddle2onnx", "torch", "scipy", "matplotlib", "h5py", "pandas")

_PRINT_PEAK = PEAK_KILOBYTES + "print(peak_kilobytes())\n"
_NOTHING = "pass"
_IMPORT_NUMPY = "import numpy"
_IMPORT = "import cxrscribe"
_FIRST_REPORT = """
import cxrscribe
from cxrscribe.embedded import demo_films
with cxrscribe.load(cxrscribe.demo_bundle()) as reporter:
    report = reporter.report(demo_films()[0])
assert report.text, "the report is empty"
"""


@dataclass(frozen=True)
class ProcessCost:
    """What fresh processes of one kind took: median seconds, and peak resident megabytes of the largest."""

    seconds: float
    peak_megabytes: float


@dataclass(frozen=True)
class InstallCost:
    """What an installation put on the disk: names of distributions, megabytes of all files."""

    packages: tuple[str, ...]
    megabytes: float


def measure_process(python: Path, code: str, rounds: int = ROUNDS) -> ProcessCost:
    """Run `code` in `rounds` fresh processes, away from the source tree, and measure each from its start.

    The peak is Linux's VmHWM, for what `wait4` gives counts the process that started it, too.

    Raises:
        RuntimeError: a process failed.
    """
    seconds, peaks = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        command = [str(python), "-I", "-c", f"{code}\n{_PRINT_PEAK}"]
        process = subprocess.run(
            command, cwd=tempfile.gettempdir(), stdout=subprocess.PIPE, text=True, check=False
        )
        seconds.append(time.perf_counter() - start)
        if process.returncode != 0:
            raise RuntimeError(f"a fresh process failed with exit code {process.returncode}: {code.strip()}")
        peaks.append(int(process.stdout.split()[-1]) * 1024 / 1e6)
    return ProcessCost(statistics.median(seconds), max(peaks))


def measure_install(python: Path, empty_megabytes: float) -> InstallCost:
    """Read what is installed beside `python`; `empty_megabytes` is what was there before."""
    code = "import importlib.metadata as m; print(*sorted(d.name for d in m.distributions()))"
    names = subprocess.run(
        [python, "-I", "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    packages = tuple(name for name in names if name not in ("pip", "setuptools"))
    return InstallCost(packages, folder_megabytes(python.parent.parent) - empty_megabytes)


def folder_megabytes(folder: Path) -> float:
    """Megabytes (10^6 bytes) of all regular files below `folder`; links are not followed."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / 1e6


def install_wheel(project: Path, folder: Path) -> tuple[Path, InstallCost]:
    """Build the project's wheel and install it with its `cpu` extra in a new environment below `folder`.

    Returns:
        the environment's Python, and what the installation cost.
    """
    wheels = folder / "wheels"
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(wheels), str(project)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = wheels.glob("*.whl")
    print(f"wheel                 {wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB", flush=True)

    environment = folder / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    empty = folder_megabytes(environment)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    options = ["--no-compile", "--constraint", str(project / "constraints.txt"), f"{wheel}[cpu]"]
    subprocess.run([*pip, *options], check=True)
    return python, measure_install(python, empty)


def main() -> int:
    """Print what the lean runtime costs; 1 when it isn't lean."""
    project = Path(__file__).resolve().parents[3]
    with tempfile.TemporaryDirectory() as folder:
        python, install = install_wheel(project, Path(folder))
        print(f"packages              {len(install.packages)}: {', '.join(install.packages)}", flush=True)
        print(f"installed             {install.megabytes:.0f} MB", flush=True)
        heavy = sorted(set(install.packages) & set(FORBIDDEN_PACKAGES))
        if heavy:
            print(f"not lean: {', '.join(heavy)} came in", file=sys.stderr)
            return 1
        measure_process(python, _FIRST_REPORT, rounds=1)  # byte code is written, the disk is warm
        costs = {
            "empty Python": measure_process(python, _NOTHING),
            "import numpy": measure_process(python, _IMPORT_NUMPY),
            "import cxrscribe": measure_process(python, _IMPORT),
            "first report": measure_process(python, _FIRST_REPORT),
        }
        empty = costs["empty Python"].seconds
        for name, cost in costs.items():
            print(
                f"{name:21} {cost.seconds:.3f} s from process start "
                f"({cost.seconds / empty:.1f}x empty Python), peak {cost.peak_megabytes:.0f} MB",
                flush=True,
            )
        subprocess.run([python.parent / "cxrscribe", "demo", "--out", Path(folder) / "demo"], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Ctrl-C and SIGTERM at any moment: exit code 130, one line, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cxrscribe.embedded import demo_films

pytestmark = pytest.mark.skipif("os.name != 'posix'", reason="other systems have no such signals")

SIGNALS = pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])

# A module that is imported sends the signal to its own process: no clock, the same moment each time.
AT_IMPORT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), {number})
            if {swallowed}:
                raise ImportError("initialization failed")
sys.meta_path.insert(0, Finder())
"""


@pytest.fixture(autouse=True)
def default_signals() -> Iterator[None]:
    """Whoever runs the tests may ignore signals, as shells do for what goes on in the background."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def run(arguments: list[object], path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cxrscribe", *map(str, arguments)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")]),
            **environment,
        },
        cwd=path,
        capture_output=True,
        text=True,
        check=False,
    )


@SIGNALS
@pytest.mark.parametrize(
    "module", ["cxrscribe.cli.main", "click", "numpy", "onnxruntime", "cxrscribe.archive.plan"]
)
def test_interruption_while_modules_are_imported_is_quiet(tmp_path: Path, sent: int, module: str) -> None:
    script = AT_IMPORT.format(module=module, number=int(sent), swallowed=False)
    (tmp_path / "sitecustomize.py").write_text(script)
    done = run(["score", demo_films()[0], "--run", "run"], tmp_path)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1:] in ([], ["Interrupted."])


def test_interruption_that_an_import_makes_something_else_of_is_one_still(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        AT_IMPORT.format(module="onnxruntime", number=int(signal.SIGINT), swallowed=True).replace(
            "os.kill(os.getpid(), 2)",
            "\n".join(
                ["", " " * 12 + "try: os.kill(os.getpid(), 2)", " " * 12 + "except KeyboardInterrupt: pass"]
            ),
        )
    )
    done = run(["report", demo_films()[0]], tmp_path)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (130, "Interrupted.")
    assert "Traceback" not in done.stderr


@SIGNALS
def test_interruption_while_a_run_is_planned_leaves_nothing_to_take_back(tmp_path: Path, sent: int) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "cxrscribe", "score", "-", "--run", tmp_path / "run"],
        stdin=reading,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(reading)
    while not (tmp_path / "run").exists():  # it waits for its list of films from then on
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=120)
    os.close(writing)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "Interrupted."
    assert not (tmp_path / "run" / "run.json").exists()


@SIGNALS
def test_interrupted_report_has_whole_rows(tmp_path: Path, sent: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cxrscribe", "report", "-", "--out", "reports.jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdin is not None
    process.stdin.write(f"{demo_films()[0]}\n")
    process.stdin.flush()
    out = tmp_path / "reports.jsonl"
    while not (out.exists() and out.read_bytes().endswith(b"\n")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(sent)
    assert process.wait(120) == 130
    assert process.stderr is not None
    assert process.stderr.read().splitlines()[-1] == "Interrupted."
    process.stdin.close()
    process.stderr.close()


def test_signals_that_are_ignored_stay_ignored(tmp_path: Path) -> None:
    """As nohup and shells start what goes on in the background."""
    (tmp_path / "sitecustomize.py").write_text(
        AT_IMPORT.format(module="onnxruntime", number=int(signal.SIGTERM), swallowed=False)
        + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    )
    assert run(["report", demo_films()[0]], tmp_path).returncode == 0


@SIGNALS
def test_signal_in_a_finalizer_is_not_lost(sent: int) -> None:
    """Python ignores what a finalizer raises, and may handle a signal there."""
    code = f"""
import os, time
from cxrscribe.cli.interruption import interruptible
class Last:
    def __del__(self):
        os.kill(os.getpid(), {int(sent)})
        sum(range(1000))
try:
    with interruptible():
        Last()
        time.sleep(300)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")

"""Output that can't be written: documented exit codes, no traceback, no report lost for want of stderr."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cxrscribe.embedded import demo_films

pytestmark = pytest.mark.skipif("sys.platform != 'linux'", reason="needs a POSIX shell and /dev/full")

CXRSCRIBE = f"'{sys.executable}' -m cxrscribe"
FILMS = " ".join(f"'{film}'" for film in demo_films()[:2])


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash; in its end each process of a pipeline that failed counts."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", script.replace("cxrscribe", CXRSCRIBE, 1)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "--version",
        "report --help",
        "score --help",
        "inspect",
        "inspect --json",
        "cache",
        "cache --json",
        f"report {FILMS}",
        f"report {FILMS} --json",
        "demo --json",
        f"preprocess {FILMS.split()[0]} --out -",
    ],
)
@pytest.mark.parametrize("stdout", [">/dev/full", ">&-"])
def test_stdout_that_cant_be_written_is_exit_code_2_and_one_line(
    tmp_path: Path, command: str, stdout: str
) -> None:
    done = run(f"cxrscribe {command} {stdout}", tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Error: stdout can't be written (" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "command", ["inspect --json", f"report {FILMS} --json", f"report {FILMS}", "report --help"]
)
def test_reader_that_goes_ends_the_command_quietly(tmp_path: Path, command: str) -> None:
    done = run(f"cxrscribe {command} | true", tmp_path)
    assert done.returncode == 2
    assert "Error" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-", "2>&1 >out | true"])
def test_no_report_is_lost_for_want_of_stderr(tmp_path: Path, stderr: str) -> None:
    done = run(f"cxrscribe report none.png {FILMS} --json --out reports.csv {stderr}", tmp_path)
    assert done.returncode == 1
    assert (tmp_path / "reports.csv").read_bytes().count(b"\r\n") == 4


def test_wrong_usage_without_stderr_is_exit_code_2(tmp_path: Path) -> None:
    assert run("cxrscribe nonsense 2>/dev/full", tmp_path).returncode == 2


def test_no_stream_at_all_costs_nothing_that_goes_to_a_file(tmp_path: Path) -> None:
    done = run(f"cxrscribe report {FILMS} --out reports.jsonl <&- >&- 2>&-", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = (tmp_path / "reports.jsonl").read_bytes().splitlines()
    assert [line[:9] for line in lines] == [b'{"film": '] * 2


def test_archive_is_scored_without_streams(tmp_path: Path) -> None:
    done = run(f"cxrscribe score {FILMS} --run run <&- 2>&-", tmp_path)
    assert done.returncode == 0
    for command in ("score status run", "score verify run --json"):
        done = run(f"cxrscribe {command} >/dev/full", tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("Error: stdout can't be written (")


def test_pipe_that_was_made_non_blocking_loses_nothing(tmp_path: Path) -> None:
    """A parent that shares the pipe may have done so; a full pipe then refuses, instead of waiting."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    films = [*map(str, demo_films()), *[f"{'x' * 5000}{number}.png" for number in range(30)]]
    process = subprocess.Popen(
        [sys.executable, "-m", "cxrscribe", "report", "--json", *films],
        stdout=writing,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123 (the number of a pipe)
        lines = pipe.read().splitlines()
    assert process.wait() == 1
    assert len(lines) == len(films)

"""Nothing is sent anywhere, and nothing is written but what was asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cxrscribe
from support.traced import opened_sockets, run_at_home

_PATIENCE = 12
"""Seconds. onnxruntime's telemetry, where it is on, looks its server up ten seconds after the import."""

REPORT = f"""
import time
import cxrscribe
with cxrscribe.load(cxrscribe.demo_bundle(), cache=False) as reporter:
    assert reporter.report(cxrscribe.demo_films()[0]).text
    time.sleep({_PATIENCE})
"""


def written(home: Path) -> set[str]:
    return {file.relative_to(home).as_posix() for file in home.rglob("*") if file.is_file()}


def test_report_leaves_home_empty(tmp_path: Path) -> None:
    said = run_at_home(
        tmp_path, "-m", "cxrscribe", "report", cxrscribe.demo_films()[0], "--no-cache", "--device", "cpu"
    )
    assert "heart" in said.lower()
    assert written(tmp_path) == set()


@pytest.mark.skipif("sys.platform != 'linux'", reason="the cache's folder is elsewhere")
def test_cache_is_all_that_a_report_writes(tmp_path: Path) -> None:
    run_at_home(tmp_path, "-m", "cxrscribe", "report", cxrscribe.demo_films()[0], "--device", "cpu")
    assert written(tmp_path)
    assert all(file.startswith(".cache/cxrscribe/") for file in written(tmp_path))


@pytest.mark.slow
def test_report_opens_no_socket(tmp_path: Path) -> None:
    assert opened_sockets(tmp_path, tmp_path / "calls", REPORT) == []


@pytest.mark.parametrize("chosen", ["0", "1"])
def test_whoever_set_the_telemetry_variable_has_decided(chosen: str) -> None:
    script = "import os, cxrscribe; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "ORT_DISABLE_TELEMETRY": chosen},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == chosen

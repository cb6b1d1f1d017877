"""The micro-benchmarks run, and what they measure is right; how long it takes is no matter here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("chosen", ["demo", "other"])
def test_suites_pass_as_plain_tests(chosen: str, fused_bundle: Path) -> None:
    bundle = [] if chosen == "demo" else ["--bundle", str(fused_bundle)]
    # Without a cache folder: it would lie in the repository.
    options = ["--benchmark-disable", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "benchmarks", *options, *bundle],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) >= 25
    assert "skipped" not in run.stdout

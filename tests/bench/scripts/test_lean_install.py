"""The parts of the lean-install check that need no installation."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cxrscribe_bench.scripts.lean_install import folder_megabytes, measure_process

PYTHON = Path(sys.executable)


def test_megabytes_count_every_file_once(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a").write_bytes(bytes(1_000_000))
    (tmp_path / "deep" / "b").write_bytes(bytes(500_000))
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert folder_megabytes(tmp_path) == pytest.approx(1.5)


def test_a_process_that_keeps_memory_peaks_higher() -> None:
    nothing = measure_process(PYTHON, "pass", rounds=1)
    keeping = measure_process(
        PYTHON, "kept = bytearray(80_000_000); kept[::4096] = bytes(len(kept[::4096]))", rounds=1
    )
    assert keeping.peak_megabytes > nothing.peak_megabytes + 70
    assert nothing.seconds > 0


def test_a_process_that_fails_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="exit code 3"):
        measure_process(PYTHON, "raise SystemExit(3)", rounds=1)

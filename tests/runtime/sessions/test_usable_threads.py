from __future__ import annotations

import os
from pathlib import Path

import pytest

from cxrscribe.sessions.device import usable_threads


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def threads(root: Path, own: str = "") -> int:
    (root / "own").write_text(own)
    return usable_threads(root, root / "own")


def test_affinity_mask_counts_where_there_is_no_quota(tmp_path: Path) -> None:
    assert threads(tmp_path) == 8


@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", 8), ("200000 100000", 2), ("250000 100000", 3), ("5000 100000", 1)]
)
def test_quota_of_version_2(tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert threads(tmp_path) == expected


def test_tightest_quota_of_all_groups_above_counts(tmp_path: Path) -> None:
    (tmp_path / "pod" / "container").mkdir(parents=True)
    (tmp_path / "pod" / "cpu.max").write_text("300000 100000")
    (tmp_path / "pod" / "container" / "cpu.max").write_text("500000 100000")
    assert threads(tmp_path, "0::/pod/container\n") == 3


@pytest.mark.parametrize(("quota", "expected"), [("-1", 8), ("400000", 4)])
def test_quota_of_version_1(tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "cpu" / "job").mkdir(parents=True)
    (tmp_path / "cpu" / "job" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "job" / "cpu.cfs_period_us").write_text("100000")
    assert threads(tmp_path, "4:memory:/job\n3:cpu,cpuacct:/job\n") == expected


def test_quota_larger_than_the_mask_adds_nothing(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("1600000 100000")
    assert threads(tmp_path) == 8

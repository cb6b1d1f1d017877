"""What is tried is timed in turn, after a warm-up."""

from __future__ import annotations

import pytest

from cxrscribe_bench.systems.trial import least_seconds
from cxrscribe_export.precision import speed


def test_calls_take_turns_and_the_least_time_of_each_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    now = 0.0

    def run(name: str, seconds: float) -> None:
        nonlocal now
        calls.append(name)
        now += seconds / 2 if len(calls) == 7 else seconds

    monkeypatch.setattr(speed, "perf_counter", lambda: now)
    seconds = least_seconds({"slow": lambda: run("slow", 0.25), "quick": lambda: run("quick", 0.125)})
    assert calls == ["slow", "quick", "quick", "slow"] * 2 + ["slow", "quick"]
    assert seconds == {"slow": 0.25, "quick": 0.0625}

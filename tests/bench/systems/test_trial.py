"""What is tried is timed in turn, after a warm-up."""

from __future__ import annotations

from time import sleep

from cxrscribe_bench.systems.trial import least_seconds
from cxrscribe_export.precision.speed import WARM_UP


def test_calls_take_turns_and_the_slow_one_is_told() -> None:
    calls: list[str] = []

    def slow() -> None:
        calls.append("slow")
        sleep(0.2)

    seconds = least_seconds({"slow": slow, "quick": lambda: calls.append("quick")})
    assert calls == ["slow", "quick"] * (WARM_UP + 3)
    assert seconds["quick"] < seconds["slow"]

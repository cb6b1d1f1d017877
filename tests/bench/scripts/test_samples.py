from __future__ import annotations

import json

from click.testing import CliRunner

from cxrscribe_bench.scripts import samples


def test_every_way_is_measured() -> None:
    result = CliRunner().invoke(samples.main, ["--rounds", "1", "--images", "3", "--json"])
    assert result.exit_code == 0, result.output
    costs = json.loads(result.stdout)
    assert [cost["way"] for cost in costs] == list(samples.WAYS)
    assert all(cost["processor_ms"] > 0 and 0 <= cost["python_share"] <= 1 for cost in costs)
    rows = {cost["way"]: cost["rows_per_step"] for cost in costs}
    assert 0 < rows["1 sample"] <= 3 < rows["16 samples"] <= 48


def test_ways_are_printed_a_line_each() -> None:
    result = CliRunner().invoke(samples.main, ["--rounds", "1", "--images", "2"])
    assert [line.split("  ")[0] for line in result.stdout.splitlines()] == list(samples.WAYS)

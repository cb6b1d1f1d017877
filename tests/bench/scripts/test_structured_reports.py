from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from cxrscribe_bench.scripts import structured_reports


@pytest.mark.parametrize("options", [[], ["--compressed"]])
def test_both_ways_are_measured_and_every_film_has_its_document(options: list[str]) -> None:
    result = CliRunner().invoke(structured_reports.main, ["--films", "3", "--rounds", "1", *options])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["films"], found["rounds"]) == (3, 1)
    assert found["with_over_without"] > 0

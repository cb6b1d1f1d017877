"""How long it takes from a film's file to its report."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from cxrscribe import Report, Reporter


@pytest.mark.benchmark(group="end to end")
def test_report_of_one_film(
    benchmark: BenchmarkFixture, reporter: Reporter, films: list[bytes], knows_words: bool
) -> None:
    report = benchmark(reporter.report, films[0])
    assert report.text or not knows_words
    assert report.text == texts(reporter, films[:2])[0]


@pytest.mark.benchmark(group="end to end")
def test_report_stream_of_32_films(
    benchmark: BenchmarkFixture, reporter: Reporter, films: list[bytes]
) -> None:
    assert len(films) == 32
    found = benchmark(texts, reporter, films)
    assert len(found) == 32
    assert found[1] == reporter.report(films[1]).text


def texts(reporter: Reporter, films: list[bytes]) -> list[str]:
    """What the stream gives, every film being read and searched for."""
    outcomes = list(reporter.report_stream(films))
    reports = [outcome for outcome in outcomes if isinstance(outcome, Report)]
    assert len(reports) == len(outcomes)
    return [report.text for report in reports]

from __future__ import annotations

from dataclasses import replace

import pytest

from cxrscribe_bench.results.record import NOT_MLPERF, Record
from cxrscribe_bench.results.summary import environment_line, summary, terminal_table
from support.bench_record import RecordMaker

_EMPTY = Record({}, {}, {}, (), (), (), (), (), {}, {})


@pytest.fixture(scope="module")
def record() -> Record:
    return RecordMaker(latency_samples=64).full()


def test_markdown_has_a_sound_table_for_goals_and_each_group(record: Record) -> None:
    blocks = [block.splitlines() for block in summary(record).split("\n\n") if block.startswith("|")]
    assert len(blocks) == 7
    for lines in blocks:
        assert len({line.count("|") for line in lines}) == 1
    goals, films = blocks[:2]
    assert sum("**not reached**" in line for line in goals) == 3
    assert sum("| reached |" in line for line in goals) == 4
    assert films[-1].startswith("| Paddle, film by film | fp32 |")


def test_markdown_tells_machine_absent_systems_and_that_it_is_no_mlperf_result(record: Record) -> None:
    text = summary(record)
    assert environment_line(record) in text
    assert "PyTorch, compiled (needs a C++ compiler" in text
    assert text.rstrip().endswith(NOT_MLPERF)


def test_markdown_keeps_bars_and_newlines_of_names_out_of_the_table(record: Record) -> None:
    odd = replace(record.goals[0], name="a | b\nc")
    assert "| a \\| b c |" in summary(replace(record, goals=(odd,)))


def test_terminal_table_is_at_most_100_columns_wide(record: Record) -> None:
    odd = replace(record.goals[0], name="x" * 200)
    text = terminal_table(replace(record, goals=(*record.goals, odd), absent={"energy": "y" * 200}))
    assert max(map(len, text.splitlines())) == 100


def test_terminal_table_names_every_system_goal_and_verdict(record: Record) -> None:
    text = terminal_table(record)
    for name in ("cxrscribe", "Paddle, film by film", "OpenVINO, as it comes"):
        assert text.count(name) >= 4
    assert "Goals: 4 of 7 reached" in text
    assert text.count(": INVALID") == 1
    assert "WORDS DIFFER" not in text


def test_terminal_table_says_that_words_differ(record: Record) -> None:
    failed = replace(record.checks[0], identical=3)
    text = terminal_table(replace(record, checks=(failed,)))
    assert "WORDS DIFFER where they must not: cxrscribe/fp32 from films" in text


def test_record_of_nothing_has_a_summary() -> None:
    assert summary(_EMPTY) == NOT_MLPERF + "\n"
    assert terminal_table(_EMPTY) == "\n"


def test_environment_line_says_what_it_knows() -> None:
    assert environment_line(replace(_EMPTY, environment={"processor": None, "cores": 4})) == "4 cores"

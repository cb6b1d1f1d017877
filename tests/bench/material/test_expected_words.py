from __future__ import annotations

import pytest

import cxrscribe
from cxrscribe_bench.material.expected_words import ExpectedWords
from cxrscribe_bench.workload import Workload
from support.bench_workload import demo_workload


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    return demo_workload(tmp_path_factory.mktemp("workload"), 3)


@pytest.fixture(scope="module")
def expected(workload: Workload) -> ExpectedWords:
    return ExpectedWords(workload, are_of_films=True)


def test_runtime_writes_the_expected_words_from_films_and_from_features(
    workload: Workload, expected: ExpectedWords
) -> None:
    with cxrscribe.load(workload.bundle, device="cpu") as reporter:
        found = dict(enumerate(reporter.report_batch(list(workload.films), workload.settings)))
        words = {place: list(report.tokens) for place, report in found.items()}
    for source in ("films", "features"):
        check = expected.check("ours", source, "fp32", words, is_required=True)
        assert (check.reports, check.identical, check.differences) == (3, 3, ())
        assert check.reference == "plain loops on decoder_step.onnx"


def test_films_are_encoded_where_the_features_are_others(workload: Workload) -> None:
    others = ExpectedWords(workload, are_of_films=False)
    assert others.words("films", "fp32") == others.words("features", "fp32")


def test_difference_is_told_with_its_place(workload: Workload, expected: ExpectedWords) -> None:
    words = expected.words("features", "fp32")
    wrong = [*words[1][:2], words[1][2] + 1, *words[1][3:]]
    check = expected.check("ours", "features", "fp32", {0: words[0], 1: wrong}, is_required=True)
    assert not check.passed
    assert (check.identical, check.near_ties) == (1, 0)
    assert check.differences == (
        f"image 1: other from word 2 on ({len(wrong)} words, the reference has {len(wrong)})",
    )
    shorter = expected.check("ours", "features", "fp32", {2: words[2][:-1]}, is_required=False)
    assert f"other from word {len(words[2]) - 1} on" in shorter.differences[0]

"""LoadGen runs our runtime: every query is answered, words are compared, failures end a run."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import h5py
import pytest

import cxrscribe
from cxrscribe import BeamSettings
from cxrscribe.errors import InputError, MissingExtraError
from cxrscribe_bench.loadgen.answers import Answer, Answers
from cxrscribe_bench.loadgen.engine import LoadGen
from cxrscribe_bench.loadgen.exchange import Exchange
from cxrscribe_bench.loadgen.query_queue import QueryQueue
from cxrscribe_bench.loadgen.sample_source import FeatureSource, FilmSource
from cxrscribe_bench.loadgen.scenarios import Scenarios, open_scenarios
from cxrscribe_bench.loadgen.server import DirectServer, QueueServer
from cxrscribe_bench.loadgen.settings import (
    MULTI_STREAM,
    OFFLINE,
    SCENARIOS,
    SERVER,
    SINGLE_STREAM,
    ScenarioSettings,
)
from cxrscribe_bench.systems.system import Words
from cxrscribe_bench.timing.worker import Worker
from cxrscribe_bench.workload import Workload

pytest.importorskip("mlperf_loadgen", reason="needs mlcommons-loadgen")

BRIEF = ScenarioSettings(
    min_duration_ms=50, min_query_count=4, samples_per_query=3, target_latency_ns=60_000_000_000, most_runs=1
)


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    films = tuple(cxrscribe.demo_films())
    features = tmp_path_factory.mktemp("workload") / "features.h5"
    with cxrscribe.load(cxrscribe.demo_bundle(), device="cpu") as reporter:
        rows = reporter.encode(films)
    with h5py.File(features, "w") as file:
        file["features"] = rows
    beam = BeamSettings(beam_width=2, max_length=8)
    return Workload(cxrscribe.demo_bundle(), films, features, beam, batch_size=4, threads=1)


@pytest.fixture(scope="module")
def words(workload: Workload) -> list[Words]:
    with cxrscribe.load(workload.bundle, device="cpu", precision="fp32") as reporter:
        reports = reporter.decode_features(workload.feature_rows(), workload.settings)
    return [list(report.tokens) for report in reports]


@pytest.fixture(scope="module")
def scenarios(workload: Workload) -> Scenarios:
    return open_scenarios(workload, "fp32")


@pytest.mark.parametrize("source", ["films", "features"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_is_answered_in_the_words_of_the_reference(
    scenarios: Scenarios, words: list[Words], tmp_path: Path, scenario: str, source: str
) -> None:
    run = scenarios.run(scenario, source, BRIEF, tmp_path, words)
    assert (run.differing, run.differences) == (0, ())
    result = run.result
    assert (result.scenario, result.source, result.precision) == (scenario, source, "fp32")
    assert run.answers == result.reports
    samples = {MULTI_STREAM: BRIEF.samples_per_query, OFFLINE: result.reports}.get(scenario, 1)
    assert result.reports == samples * len(result.seconds)
    assert result.reports >= (BRIEF.min_query_count if scenario == OFFLINE else 4 * samples)
    assert all(0 < each <= result.duration for each in result.seconds)
    (written,) = (tmp_path / f"{scenario}-{source}-fp32").rglob("mlperf_log_summary.txt")
    assert result.summary == written.read_text()
    assert f"Scenario : {scenario}\n" in result.summary
    assert f"Result is : {result.verdict}\n" in result.summary
    assert result.metric in result.summary
    assert result.metric_value > 0
    for name, value in result.settings.items():
        if name.startswith("min_"):
            assert value == getattr(BRIEF, name)


def test_what_loadgen_calls_invalid_stays_so(scenarios: Scenarios, tmp_path: Path) -> None:
    run = scenarios.run(SINGLE_STREAM, "features", replace(BRIEF, max_duration_ms=1), tmp_path)
    assert run.result.verdict == "INVALID"
    assert not run.result.is_valid
    assert "Result is : INVALID" in run.result.summary


def test_a_server_that_misses_its_bound_at_every_rate_is_invalid(
    scenarios: Scenarios, words: list[Words], tmp_path: Path
) -> None:
    hopeless = replace(BRIEF, target_latency_ns=1, most_runs=3)
    run = scenarios.run(SERVER, "features", hopeless, tmp_path, words)
    assert [each.verdict for each in run.tried] == ["INVALID"] * 3
    rates = [each.rate for each in run.tried]
    assert rates == sorted(rates, reverse=True)
    assert run.result.verdict == "INVALID"
    assert run.result.settings["server_target_qps"] == rates[-1]
    assert run.answers > run.result.reports
    assert run.differing == 0
    assert len(list(tmp_path.rglob("mlperf_log_summary.txt"))) == 3


def test_the_result_of_a_server_is_its_best_valid_run(
    scenarios: Scenarios, words: list[Words], tmp_path: Path
) -> None:
    easy = replace(BRIEF, target_latency_percentile=0.5, min_query_count=20, most_runs=3)
    run = scenarios.run(SERVER, "films", easy, tmp_path, words)
    assert len(run.tried) == 3
    valid = [each.rate for each in run.tried if each.verdict == "VALID"]
    assert run.result.is_valid
    assert run.result.settings["server_target_qps"] == max(valid)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_words_that_are_not_those_of_the_reference_are_counted(
    scenarios: Scenarios, words: list[Words], tmp_path: Path, scenario: str
) -> None:
    wrong = [[*each, 7] for each in words]
    run = scenarios.run(scenario, "features", BRIEF, tmp_path, wrong)
    assert run.differing == run.answers > 0
    assert len(run.differences) == min(5, run.answers)
    assert "the end where id 7 is due" in run.differences[0]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_film_that_cannot_be_read_is_an_answer_that_differs(
    workload: Workload, tmp_path: Path, scenario: str
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no film")
    scenarios = open_scenarios(replace(workload, films=(workload.films[0], broken)), "fp32")
    settings = replace(BRIEF, min_query_count=8)
    run = scenarios.run(scenario, "films", settings, tmp_path)
    assert 0 < run.differing < run.answers
    assert all(each.startswith("sample 1: ") for each in run.differences)


@pytest.mark.parametrize(
    ("scenario", "source", "settings", "complaint"),
    [
        ("Client", "films", BRIEF, "no scenario 'Client'"),
        (OFFLINE, "pictures", BRIEF, "no source 'pictures'"),
        (SERVER, "films", replace(BRIEF, target_latency_ns=None), "no bound"),
    ],
)
def test_what_cannot_be_run_is_refused(
    scenarios: Scenarios,
    tmp_path: Path,
    scenario: str,
    source: str,
    settings: ScenarioSettings,
    complaint: str,
) -> None:
    with pytest.raises(InputError, match=complaint):
        scenarios.run(scenario, source, settings, tmp_path)


def test_a_workload_without_films_has_nothing_to_run(workload: Workload, tmp_path: Path) -> None:
    scenarios = open_scenarios(replace(workload, films=()), "fp32")
    with pytest.raises(InputError, match="no films"):
        scenarios.run(OFFLINE, "films", BRIEF, tmp_path)


def test_expected_words_have_to_be_those_of_all_samples(scenarios: Scenarios, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 reports are expected of 6 films"):
        scenarios.run(OFFLINE, "films", BRIEF, tmp_path, [[1, 2]])


def test_a_worker_runs_scenarios(workload: Workload, words: list[Words], tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Worker("scenarios", open_scenarios, workload, "fp32", log=log) as worker:
        first = worker.call("run", SERVER, "films", BRIEF, tmp_path, words).value
        second = worker.call("run", OFFLINE, "features", BRIEF, tmp_path, words).value
    assert first.differing == second.differing == 0
    assert (first.result.scenario, second.result.scenario) == (SERVER, OFFLINE)
    assert [each.verdict for each in first.tried] == [first.result.verdict]


class Failing:
    """A source whose third answer is an error that is none of a film."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers = answers
        self.given = 0

    def __len__(self) -> int:
        return len(self._answers)

    def batch(self, indices: Sequence[int]) -> list[Answer]:
        return list(self.stream(indices))

    def stream(self, indices: Iterable[int]) -> Iterable[Answer]:
        for index in indices:
            if self.given == 2:
                raise ZeroDivisionError("the third")
            self.given += 1
            yield self._answers[index]

    def arriving(self, queue: QueryQueue) -> Iterable[Answer]:
        return self.stream(queue)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_an_error_comes_out_once_loadgen_has_ended(workload: Workload, tmp_path: Path, scenario: str) -> None:
    with cxrscribe.load(workload.bundle, device="cpu") as reporter:
        source = Failing(reporter.decode_features(workload.feature_rows(), workload.settings))
    server = {
        OFFLINE: lambda: DirectServer(source.stream),
        SERVER: lambda: QueueServer(source),
    }.get(scenario, lambda: DirectServer(source.batch))()
    answers = Answers()
    given = BRIEF.given(scenario, 200.0)
    with pytest.raises(ZeroDivisionError, match="the third"):
        LoadGen().run(scenario, given, len(source), server, answers, tmp_path)
    assert source.given == 2
    assert len(answers) <= 2


def test_a_setting_that_loadgen_does_not_know_is_an_error(tmp_path: Path) -> None:
    server = DirectServer(lambda _: [])
    with pytest.raises(AttributeError, match="server_target_speed"):
        LoadGen().run(SERVER, {"server_target_speed": 1}, 1, server, Answers(), tmp_path)


def test_without_loadgen_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, workload: Workload) -> None:
    monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)
    with pytest.raises(MissingExtraError, match="bench"):
        open_scenarios(workload, "fp32")


@pytest.mark.parametrize("source", ["films", "features"])
def test_a_lone_query_does_not_wait_for_a_full_batch(workload: Workload, source: str) -> None:
    given: SimpleQueue[Answer] = SimpleQueue()
    queue = QueryQueue()
    with cxrscribe.load(workload.bundle, device="cpu") as reporter:
        samples = (
            FilmSource(reporter, workload.film_files(), workload.settings, workload.batch_size)
            if source == "films"
            else FeatureSource(reporter, workload.feature_rows(), workload.settings, workload.batch_size)
        )
        thread = Thread(target=lambda: [given.put(each) for each in samples.arriving(queue)], daemon=True)
        thread.start()
        for index in (2, 0):
            queue.put(Exchange(lambda _: None, Answers()).issue([(1, index)]))
            answer = given.get(timeout=60)  # and only then comes the next one
            assert answer == samples.batch([index])[0]
        queue.close()
        thread.join()


def test_answers_are_held_against_the_first_report_where_nothing_is_expected(workload: Workload) -> None:
    with cxrscribe.load(workload.bundle, device="cpu") as reporter:
        one, two = reporter.decode_features(workload.feature_rows()[:2], BeamSettings(max_length=6))
    assert one.tokens != two.tokens
    answers = Answers()
    for index, answer in ((0, one), (1, two), (0, one), (0, two)):
        answers.add(index, answer)
    found = answers.differences(None)
    assert found.count == 1
    assert found.first[0].startswith("sample 0: word ")

"""What `fastest` takes: measured once, kept, and not kept where the conditions are others."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread
from types import SimpleNamespace
from typing import Any

import pytest

import cxrscribe
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.bundle.precision_cost import Precision, ReportFigures, Speedups
from cxrscribe.bundle.precision_pair import PrecisionPair
from cxrscribe.errors import DeviceError
from cxrscribe.json_object import JsonObject
from cxrscribe.sessions import openvino
from cxrscribe.sessions.cache import GraphCache
from cxrscribe.sessions.cache_folder import CacheFolder
from cxrscribe.sessions.cache_notes import CacheNotes
from cxrscribe.sessions.device import import_onnxruntime
from cxrscribe.stats import DecodingStats
from cxrscribe.tuning import choice
from cxrscribe.tuning.candidates import Candidate
from cxrscribe.tuning.choice import Choice, Chooser, How
from cxrscribe.tuning.race import Lap
from cxrscribe.tuning.trial import Conditions, Cost, Trial
from support.openvino import needs_openvino
from support.precision_record import INT8

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
from support.int8_copy import with_int8

GOOD = replace(INT8, fp32=ReportFigures(0.25, 0.75), own=ReportFigures(0.25, 0.75))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return with_int8(tmp_path / "bundle", GOOD)


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The candidates of each trial, in which the first one always wins."""
    made: list[list[str]] = []

    def try_out(bundle: Bundle, candidates: Sequence[Candidate], *_: object, **__: object) -> Trial:
        made.append(list(map(str, candidates)))
        laps = tuple(Lap(str(each), {"1": 1.0, "many": 2.0}, 3) for each in candidates)
        costs = tuple(Cost(each, 1.0 + place, 2.0 + place) for place, each in enumerate(candidates))
        return Trial(laps, laps, costs)

    monkeypatch.setattr(choice, "try_out", try_out)
    return made


def chooser(bundle: Path, cache: Path | None, device: str = "cpu", **changed: Any) -> Chooser:
    any_words = changed.pop("any_words", False)
    graphs = None if cache is None else GraphCache(CacheFolder(cache))
    conditions = replace(Conditions(2, spinning=True, strict=False, cache=graphs), **changed)
    return Chooser(Bundle.open(bundle), device, conditions, any_words=any_words)


def test_it_is_tried_once_and_then_kept(bundle: Path, tmp_path: Path, trials: list[list[str]]) -> None:
    cache = tmp_path / "cache"
    first = chooser(bundle, cache).choose()
    assert first.how is How.MEASURED
    assert str(first.candidate) == "cpu int8"
    assert chooser(bundle, cache).choose() == first
    assert chooser(bundle, cache).kept() == first
    assert trials == [["cpu int8", "cpu fp32"]]
    assert chooser(bundle, cache).choose(afresh=True).candidate == first.candidate
    assert len(trials) == 2


@pytest.mark.parametrize("changed", [{"threads": 1}, {"spinning": False}, {"strict": True}])
def test_other_conditions_are_tried_by_themselves(
    bundle: Path, tmp_path: Path, trials: list[list[str]], changed: dict[str, Any]
) -> None:
    chooser(bundle, tmp_path / "cache").choose()
    chooser(bundle, tmp_path / "cache", **changed).choose()
    assert len(trials) == 2


@pytest.mark.parametrize("what", ["processor", "onnxruntime_build"])
def test_another_machine_or_engine_is_tried_by_itself(
    bundle: Path, tmp_path: Path, trials: list[list[str]], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chooser(bundle, tmp_path / "cache").choose()
    monkeypatch.setattr(choice, what, lambda: "another one")
    chooser(bundle, tmp_path / "cache").choose()
    assert len(trials) == 2


def test_another_bundle_is_tried_by_itself(bundle: Path, tmp_path: Path, trials: list[list[str]]) -> None:
    chooser(bundle, tmp_path / "cache").choose()
    manifest = Manifest.read(bundle)
    replace(manifest, licence="another one").write(bundle)
    chooser(bundle, tmp_path / "cache").choose()
    assert len(trials) == 2


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"key": {}, "choice": {}}'])
def test_a_damaged_note_is_made_anew(
    bundle: Path, tmp_path: Path, trials: list[list[str]], damage: str
) -> None:
    cache = tmp_path / "cache"
    first = chooser(bundle, cache).choose()
    (note,) = (file for file in cache.glob("fastest-*.note") if ".lock" not in file.name)
    note.write_text(damage, encoding="utf-8")
    again = chooser(bundle, cache).choose()
    assert again.candidate == first.candidate
    assert len(trials) == 2


def test_without_a_cache_the_record_decides(bundle: Path, trials: list[list[str]]) -> None:
    found = chooser(bundle, None).choose()
    assert (str(found.candidate), found.how) == ("cpu int8", How.RECORDED)
    assert trials == []


@pytest.mark.parametrize(
    ("record", "taken"),
    [
        (replace(GOOD, speedups=Speedups(0.9, 2.0, "AMD EPYC", 2)), "cpu fp32"),
        (replace(GOOD, speedups=None), "cpu fp32"),
        (replace(GOOD, own=ReportFigures(0.2, 0.75)), "cpu fp32"),
        (replace(GOOD, devices=("openvino",)), "cpu fp32"),
        (GOOD, "cpu int8"),
    ],
)
def test_a_record_counts_by_its_speed_and_its_words(tmp_path: Path, record: Precision, taken: str) -> None:
    assert str(chooser(with_int8(tmp_path / "b", record), None).choose().candidate) == taken


def test_of_two_with_one_encoder_the_quicker_step_is_taken(tmp_path: Path) -> None:
    mixed = replace(GOOD, name="int8+fp32", speedups=Speedups(3.2, 1.0, "AMD EPYC", 2))
    for records in ((mixed, GOOD), (GOOD, mixed)):
        found = chooser(with_int8(tmp_path / records[0].name, *records), None).choose()
        assert str(found.candidate) == "cpu int8"


def test_a_gpu_that_is_announced_and_does_not_work_is_passed_over(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "devices_of", lambda device: ("cuda", "cpu"))
    if "CUDAExecutionProvider" in import_onnxruntime().get_available_providers():
        pytest.skip("this onnxruntime may have a GPU that works")
    assert str(chooser(bundle, None, "auto").choose().candidate) == "cpu int8"


def test_words_are_kept_side_by_side_and_for_the_engines_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cache = with_int8(tmp_path / "b"), tmp_path / "cache"
    mixed, other = replace(GOOD, name="int8+fp32"), replace(GOOD, devices=("openvino",))
    for records in ([GOOD], [mixed, other], [replace(GOOD, identical=1)]):
        assert chooser(folder, cache).keep_costs(records)
    assert set(chooser(folder, cache).costs()) == {replace(GOOD, identical=1), mixed, other}
    monkeypatch.setattr(choice, "onnxruntime_build", lambda: "another one")
    assert chooser(folder, cache).costs() == ()


def test_where_the_time_goes_to_what_fails_fp32_is_tried_without_a_limit(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[str], float]] = []

    def try_out(bundle: Bundle, candidates: Sequence[Candidate], *_: object, **options: Any) -> Trial:
        asked.append((list(map(str, candidates)), options["seconds"]))
        laps = (Lap("cpu fp32", {}, 0, "there was no time for it"),)
        return Trial(laps, laps, (Cost(candidates[0], 1.0, 1.0),) if len(asked) > 1 else ())

    monkeypatch.setattr(choice, "try_out", try_out)
    assert str(chooser(bundle, tmp_path / "cache").choose(seconds=3).candidate) == "cpu fp32"
    assert asked == [(["cpu int8", "cpu fp32"], 3), (["cpu fp32"], float("inf"))]


def test_of_one_there_is_nothing_to_try(tmp_path: Path, trials: list[list[str]]) -> None:
    made = chooser(with_int8(tmp_path / "b"), tmp_path / "cache")
    found = made.choose()
    assert (str(found.candidate), found.how, len(found.refused)) == ("cpu fp32", How.ONLY, 3)
    assert made.foreseen() == found
    assert trials == []


def test_any_words_tries_all_and_keeps_nothing(tmp_path: Path, trials: list[list[str]]) -> None:
    made = chooser(with_int8(tmp_path / "b"), tmp_path / "cache", any_words=True)
    made.choose()
    assert set(trials[0]) == {"cpu fp32", "cpu int8", "cpu int8+fp32", "cpu fp32+int8"}
    assert made.kept() is None


def test_words_that_were_measured_here_count(tmp_path: Path, trials: list[list[str]]) -> None:
    made = chooser(with_int8(tmp_path / "b"), tmp_path / "cache")
    assert set(map(str, made.all())) == {"cpu fp32", "cpu int8", "cpu int8+fp32", "cpu fp32+int8"}
    assert made.keep_costs([replace(GOOD, name="int8+fp32")])
    found = made.choose()
    assert str(found.candidate) == "cpu int8+fp32"
    assert trials == [["cpu int8+fp32", "cpu fp32"]]


def test_while_one_tries_the_others_wait(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks are of open files, so threads are as good as processes."""
    running: list[int] = []
    most: list[int] = []
    both = Barrier(3)

    def try_out(bundle: Bundle, candidates: Sequence[Candidate], *_: object, **__: object) -> Trial:
        running.append(1)
        most.append(len(running))
        time.sleep(0.2)  # in which the others would begin too
        lap = Lap("cpu fp32", {"1": 1.0, "many": 1.0}, 1)
        running.pop()
        return Trial((lap,), (lap,), (Cost(candidates[0], 1.0, 1.0),))

    monkeypatch.setattr(choice, "try_out", try_out)
    found: list[Choice] = []

    def work() -> None:
        own = chooser(bundle, tmp_path / "cache")
        both.wait()
        found.append(own.choose())

    threads = [Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert len({each.made for each in found}) == 1


@needs_openvino
def test_what_a_fork_left_behind_is_not_chosen_from(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "openvino" in choice.devices_of("auto")
    gone = SimpleNamespace(owner=SimpleNamespace(is_here=False))
    monkeypatch.setattr(openvino, "_started", gone)
    assert "openvino" not in choice.devices_of("auto")
    assert choice.devices_of("openvino") == ("openvino",)


def test_where_nothing_runs_the_error_says_why(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lap = Lap("cpu fp32", {}, 0, "it has gone up in smoke")
    monkeypatch.setattr(choice, "try_out", lambda *_, **__: Trial((lap,), (), ()))
    with pytest.raises(DeviceError, match="gone up in smoke"):
        chooser(bundle, tmp_path / "cache").choose()


def test_a_choice_is_read_back_from_json(bundle: Path, tmp_path: Path, trials: list[list[str]]) -> None:
    found = chooser(bundle, tmp_path / "cache").choose()
    assert Choice.from_json(JsonObject(found.to_json(), "a choice")) == found
    assert "ms a report" in found.why


def test_load_takes_it_and_says_so(bundle: Path, tmp_path: Path, films: Sequence[Any]) -> None:
    cache = tmp_path / "cache"
    stats = DecodingStats()
    with cxrscribe.load(bundle, device="cpu", precision="fastest", cache=cache) as reporter:
        assert reporter.choice is not None
        assert reporter.precision == str(reporter.choice.candidate.precision)
        reporter.report_batch(list(films[:2]), stats=stats)
        expected = Candidate("cpu", PrecisionPair.parse(reporter.precision))
    assert (stats.encoder, stats.decoder) == (expected.encoder, expected.decoder)
    with cxrscribe.load(bundle, device="cpu", precision="fastest", cache=cache) as again:
        assert again.choice == reporter.choice
    with cxrscribe.load(bundle, device="cpu", precision="int8", cache=cache) as pinned:
        assert pinned.choice is None


def _of_note(cache: Path) -> Path:
    (note,) = (file for file in cache.glob("fastest-*.note") if ".lock" not in file.name)
    return note


@pytest.mark.parametrize(
    "wrong",
    [
        {"device": "cuda"},
        {"device": "nobody's"},
        {"precision": "int4"},
        {"precision": "bf16"},
        {"how": "guessed"},
        {"made": None},
        {"trial": None},
    ],
)
def test_a_note_of_what_cannot_be_taken_is_made_anew(
    bundle: Path, tmp_path: Path, trials: list[list[str]], wrong: dict[str, object]
) -> None:
    cache = tmp_path / "cache"
    first = chooser(bundle, cache).choose()
    note = json.loads(_of_note(cache).read_text(encoding="utf-8"))
    note["choice"] |= wrong
    _of_note(cache).write_text(json.dumps(note), encoding="utf-8")
    assert chooser(bundle, cache).kept() is None
    assert chooser(bundle, cache).choose().candidate == first.candidate
    assert len(trials) == 2


def test_what_was_kept_goes_when_its_words_turn_out_to_cost_too_much(
    bundle: Path, tmp_path: Path, trials: list[list[str]]
) -> None:
    cache = tmp_path / "cache"
    assert str(chooser(bundle, cache).choose().candidate) == "cpu int8"
    chooser(bundle, cache, threads=1).keep_costs([replace(GOOD, own=ReportFigures(0.2, 0.75))])
    assert str(chooser(bundle, cache).choose().candidate) == "cpu fp32"


def test_on_a_full_disk_the_record_decides(
    bundle: Path, tmp_path: Path, trials: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing could be kept: every start would try again, and might take something else."""
    monkeypatch.setattr(CacheNotes, "try_to_write", lambda notes: False)
    found = chooser(bundle, tmp_path / "cache").choose()
    assert (str(found.candidate), found.how) == ("cpu int8", How.RECORDED)
    assert trials == []

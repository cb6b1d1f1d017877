from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from cxrscribe import BeamSettings
from cxrscribe.errors import InputError, MissingExtraError
from cxrscribe_bench.systems.entrants import PEERS, Entrant, peers
from cxrscribe_bench.systems.system import Words
from cxrscribe_bench.timing.race import Field, Lap, places_of, take_turns
from cxrscribe_bench.timing.worker import Worker
from cxrscribe_bench.workload import Workload


class Runner:
    """A System that appends what it is asked for to a file, and fails at one of its calls."""

    def __init__(self, name: str, diary: Path, failing: int = 0) -> None:
        self._name = name
        self._diary = diary
        self._failing = failing
        self._calls = 0

    def details(self) -> Mapping[str, str]:
        return {"name": self._name}

    def from_films(self, first: int, count: int) -> list[Words]:
        self._calls += 1
        if self._calls == self._failing:
            raise ValueError("out of breath")
        with self._diary.open("a", encoding="utf-8") as diary:
            diary.write(f"{self._name} {first}+{count}\n")
        return [[place] for place in range(first, first + count)]

    def from_features(self, first: int, count: int) -> list[Words]:
        raise NotImplementedError

    def encode(self, first: int, count: int) -> None:
        raise NotImplementedError


def open_runner(workload: Workload, precision: str) -> Runner:
    return Runner(precision, workload.bundle)


def open_missing(workload: Workload, precision: str) -> Runner:
    raise MissingExtraError("A peer", "bench-torch")


@pytest.fixture
def workload(tmp_path: Path) -> Workload:
    return Workload(tmp_path / "diary", (), tmp_path / "features.h5", BeamSettings(), 8, threads=1)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def lap(stack: ExitStack, name: str, tmp_path: Path, failing: int = 0) -> Lap:
    diary = tmp_path / "diary"
    worker = stack.enter_context(Worker(name, Runner, name, diary, failing, log=tmp_path / f"{name}.log"))
    return Lap(name, worker, "from_films", places_of(4, 2))


def test_all_run_once_a_round_and_each_round_begins_with_another(stack: ExitStack, tmp_path: Path) -> None:
    laps = [lap(stack, name, tmp_path) for name in "abc"]
    turns = take_turns(laps, range(4))
    order = "".join(line[0] for line in (tmp_path / "diary").read_text(encoding="utf-8").splitlines())
    assert order == "abc" + "abc" + "bca" + "cab"
    # The first round warms up, and the parts of the images come one after another, then again.
    assert {name: [reply.value for reply in replies] for name, replies in turns.replies.items()} == {
        name: [[[0], [1]], [[2], [3]], [[0], [1]]] for name in "abc"
    }
    assert turns.failed == {}


def test_no_more_images_are_asked_for_than_there_are() -> None:
    assert [places_of(1, 2)(number) for number in (0, 1)] == [(0, 1), (0, 1)]
    assert [places_of(5, 2)(number) for number in (0, 1, 2)] == [(0, 2), (2, 2), (0, 2)]


def test_one_that_fails_is_out_and_the_others_go_on(stack: ExitStack, tmp_path: Path) -> None:
    turns = take_turns([lap(stack, "a", tmp_path, failing=2), lap(stack, "b", tmp_path)], range(3))
    assert list(turns.replies) == ["b"]
    assert len(turns.replies["b"]) == 2
    assert "out of breath" in turns.failed["a"]


def test_field_leaves_out_what_is_not_installed_and_says_so(workload: Workload, tmp_path: Path) -> None:
    entrants = [
        Entrant("there", "fp32", open_runner),
        Entrant("missing", "fp32", open_missing),
        Entrant("slow", "int8", open_runner, few=True),
    ]
    opened: list[str] = []
    with Field(entrants, workload, tmp_path, opened.append) as field:
        assert list(field.entrants) == ["there/fp32", "slow/int8"]
        assert field.details["slow/int8"] == {"name": "int8"}
        whole, part = field.laps("from_films", 4, 4, 1)
        assert [each.arguments(5) for each in (whole, part)] == [(0, 4), (1, 1)]
    assert "pip install 'cxrscribe[bench-torch]'" in field.absent["missing/fp32"]
    assert opened == ["opening there/fp32", "opening missing/fp32", "opening slow/int8"]


def test_peers_come_in_their_usual_order_and_unknown_ones_are_refused() -> None:
    assert [peer.system for peer in peers(PEERS[::-1])] == list(PEERS)
    with pytest.raises(InputError, match="no peer is called 'tensorflow'; there are paddle-dynamic"):
        peers(["tensorflow"])

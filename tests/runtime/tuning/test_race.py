"""Who is timed, how often, and who is let go, by a clock that the contenders themselves move."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.errors import DeviceError
from cxrscribe.json_object import JsonObject
from cxrscribe.tuning.race import ROUNDS, Clock, Contender, Lap, race, turns


class Time:
    """Seconds that only pass where somebody works."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def clock(self, seconds: float) -> Clock:
        return Clock(seconds, self.now)

    def contender(self, name: str, alone: float, together: float, opening: float = 0.0) -> Contender:
        def run(seconds: float) -> Callable[[], None]:
            def work() -> None:
                self.seconds += seconds

            return work

        def open_() -> dict[str, Callable[[], None]]:
            self.seconds += opening
            return {"1": run(alone), "many": run(together)}

        return Contender(name, open_)


def test_all_that_are_close_are_timed_in_every_round() -> None:
    time = Time()
    laps = race([time.contender("a", 0.01, 0.02), time.contender("b", 0.011, 0.019)], time.clock(15))
    assert [(lap.name, lap.rounds) for lap in laps] == [("a", ROUNDS + 1), ("b", ROUNDS + 1)]
    assert [round(lap.milliseconds["1"], 6) for lap in laps] == [10, 11]


def test_who_is_hopeless_keeps_its_first_impression() -> None:
    time = Time()
    laps = race([time.contender("quick", 0.01, 0.02), time.contender("slow", 0.1, 0.2)], time.clock(15))
    assert [lap.rounds for lap in laps] == [3, 1]
    assert round(laps[1].milliseconds["many"], 6) == 200


def test_who_is_better_at_one_size_stays() -> None:
    time = Time()
    laps = race([time.contender("one", 0.01, 0.5), time.contender("many", 0.05, 0.1)], time.clock(60))
    assert [lap.rounds for lap in laps] == [ROUNDS + 1, ROUNDS + 1]


def test_nobody_is_opened_late_and_no_round_begins_after_the_end() -> None:
    time = Time()
    names = [time.contender(str(number), 0.5, 0.5, opening=3) for number in range(5)]
    laps = race(names, time.clock(15))
    assert [lap.problem for lap in laps] == ["", "", "", *["there was no time for it"] * 2]
    assert time.seconds <= 15 + 3 * 1


def test_what_does_not_work_says_why() -> None:
    time = Time()

    def fails() -> dict[str, Callable[[], None]]:
        raise DeviceError("it isn't there")

    laps = race([Contender("broken", fails), time.contender("works", 0.1, 0.1)], time.clock(15))
    assert laps[0] == Lap("broken", {}, 0, "it isn't there")
    assert laps[1].milliseconds


def test_where_nothing_works_all_say_why() -> None:
    def fails() -> dict[str, Callable[[], None]]:
        raise DeviceError("it isn't there")

    laps = race([Contender("one", fails), Contender("other", fails)], Time().clock(15))
    assert [lap.problem for lap in laps] == ["it isn't there"] * 2


def test_who_fails_late_shuts_nobody_out() -> None:
    time = Time()

    def fails() -> dict[str, Callable[[], None]]:
        time.seconds += 14
        raise DeviceError("it isn't there")

    laps = race([Contender("broken", fails), time.contender("works", 0.1, 0.1)], time.clock(15))
    assert (laps[0].problem, laps[1].problem) == ("it isn't there", "")
    assert laps[1].milliseconds


def test_everybody_is_told_of_before_it_is_opened() -> None:
    time = Time()
    told: list[str] = []
    race([time.contender(name, 0.1, 0.1) for name in "abc"], time.clock(15), told.append)
    assert told == ["a", "b", "c"]


TIMES = st.tuples(st.floats(0.001, 0.5), st.floats(0.001, 0.5))


@given(st.lists(TIMES, min_size=1, max_size=6), st.floats(0.1, 30))
def test_whoever_is_best_at_every_size_is_never_let_go(
    times: list[tuple[float, float]], seconds: float
) -> None:
    time = Time()
    laps = race([time.contender(str(i), *pair) for i, pair in enumerate(times)], time.clock(seconds))
    timed = [lap for lap in laps if lap.milliseconds]
    assert timed
    least = {size: min(lap.milliseconds[size] for lap in timed) for size in ("1", "many")}
    for lap in timed:
        if all(lap.milliseconds[size] == least[size] for size in least):
            assert lap.rounds == max(other.rounds for other in timed)


@given(st.lists(TIMES, min_size=1, max_size=4))
def test_laps_are_read_back_from_json(times: list[tuple[float, float]]) -> None:
    time = Time()
    for lap in race([time.contender(str(i), *pair) for i, pair in enumerate(times)], time.clock(15)):
        assert Lap.from_json(JsonObject(lap.to_json(), "a lap")) == lap


def test_who_leaves_has_no_more_turns_and_each_round_begins_with_another_one() -> None:
    running = ["a", "b", "c"]
    taken = []
    for number, runner in turns(running, range(4)):
        taken.append((number, runner))
        if (number, runner) == (1, "b"):
            running.remove("c")
    assert taken == [
        *((0, "a"), (0, "b"), (0, "c")),
        *((1, "b"), (1, "a")),
        *((2, "a"), (2, "b")),
        *((3, "b"), (3, "a")),
    ]

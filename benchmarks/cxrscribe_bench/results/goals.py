"""The figures that the project has set itself, from what one run measured.

They are for processors that multiply bytes (VNNI): where there is none, lower precisions gain less.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cxrscribe.bundle.files import FP32
from cxrscribe_bench.groups import (
    OFFLINE_FEATURES,
    OFFLINE_FILMS,
    OPENVINO_F32,
    OPENVINO_FREE,
    OURS,
    PADDLE_DYNAMIC,
    PADDLE_INFERENCE,
    PLAIN_ONNX,
    SINGLE_FILMS,
    STAGES,
    TORCH_COMPILED,
    TORCH_EAGER,
)
from cxrscribe_bench.results.capacity import Capacity, capacity_of_stages, stages_at
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.results.record import Goal
from cxrscribe_bench.results.standings import times_as_fast

_REST = (OPENVINO_F32, TORCH_EAGER, TORCH_COMPILED)


def goals(measurements: Sequence[Measurement]) -> tuple[Goal, ...]:
    """Those whose two sides were measured."""
    return tuple(_goals(_Results(measurements)))


class _Results:
    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._measurements = measurements

    def of(self, group: str, system: str, precision: str = FP32) -> Measurement | None:
        """What one system did."""
        return self._named(group, f"{system}/{precision}")

    def ours_best(self, group: str) -> Measurement | None:
        """Our fastest precision."""
        return _fastest(each for each in self._in(group) if each.labels["system"] == OURS)

    def best_of(self, group: str, systems: Iterable[str]) -> Measurement | None:
        """The fastest of these systems in fp32."""
        found = (self.of(group, system) for system in systems)
        return _fastest(each for each in found if each is not None)

    def stage(self, stage: str, precision: str) -> Measurement | None:
        """One stage from film to text."""
        return self._named(STAGES, f"{stage}/{precision}")

    def capacity(self, precision: str) -> Capacity | None:
        """What the machine could do from film to text, where all stages were measured."""
        return capacity_of_stages(stages_at(self._measurements, precision))

    def peers(self, group: str) -> list[str]:
        """Systems but ours that were measured in fp32."""
        others = (each for each in self._in(group) if each.labels["system"] != OURS)
        return [str(each.labels["system"]) for each in others if each.labels["precision"] == FP32]

    def best_peer(self, group: str) -> Measurement | None:
        """The fastest system but ours, at whatever precision."""
        return _fastest(each for each in self._in(group) if each.labels["system"] != OURS)

    def as_it_comes(self, group: str) -> Measurement | None:
        """OpenVINO at the precision of its own choice."""
        return next((each for each in self._in(group) if each.labels["system"] == OPENVINO_FREE), None)

    def _in(self, group: str) -> list[Measurement]:
        return [each for each in self._measurements if each.group == group]

    def _named(self, group: str, name: str) -> Measurement | None:
        return next((each for each in self._in(group) if each.name == name), None)


def _goals(results: _Results) -> Iterator[Goal]:
    films, features = results.ours_best(OFFLINE_FILMS), results.of(OFFLINE_FEATURES, OURS)
    for peer, measured, least in (
        (PADDLE_DYNAMIC, results.of(OFFLINE_FILMS, PADDLE_DYNAMIC), 40.0),
        (PADDLE_INFERENCE, results.of(OFFLINE_FILMS, PADDLE_INFERENCE), 5.5),
        (OPENVINO_FREE, results.as_it_comes(OFFLINE_FILMS), 2.5),
    ):
        yield from _times_faster(
            f"from films, best precision: reports a second over {peer}'s", films, measured, least
        )
    for peer, least in ((PADDLE_DYNAMIC, 60.0), (PADDLE_INFERENCE, 2.5), (PLAIN_ONNX, 2.0)):
        yield from _times_faster(
            f"from features, fp32: reports a second over {peer}'s",
            features,
            results.of(OFFLINE_FEATURES, peer),
            least,
        )
    rest = results.best_of(OFFLINE_FEATURES, _REST)
    if rest is not None:
        name = f"from features, fp32: reports a second over {rest.labels['system']}'s, the best of the rest"
        yield from _times_faster(name, features, rest, 1.3)
    best = results.ours_best(OFFLINE_FEATURES)
    if best is not features:
        yield from _times_faster("from features: best precision over fp32", best, features, 2.5)
    one_film = results.of(SINGLE_FILMS, OURS)
    peer_film = results.best_of(SINGLE_FILMS, results.peers(SINGLE_FILMS))
    if one_film is not None and peer_film is not None:
        yield Goal(
            f"one film, fp32: time over {peer_film.labels['system']}'s, the best peer",
            times_as_fast(peer_film, one_film),
            0.97,
            at_most=True,
        )
    other = results.best_peer(SINGLE_FILMS)
    if other is not None:
        name = f"one film, best precision: times as fast as {other.labels['system']}, the best peer at any"
        yield from _times_faster(name, results.ours_best(SINGLE_FILMS), other, 2.0)
    if films is not None:
        precision = str(films.labels["precision"])
        yield from _times_faster(
            f"film to text, {precision}: rate over that of the encoder alone",
            results.stage("film to text", precision),
            results.stage("encode", precision),
            0.8,
        )
        reached = results.capacity(precision)
        if reached is not None:
            yield Goal(
                f"film to text, {precision}: rate over what these cores could do",
                reached.share,
                0.95,
                at_most=False,
            )


def _times_faster(
    name: str, ours: Measurement | None, other: Measurement | None, least: float
) -> Iterator[Goal]:
    if ours is not None and other is not None:
        yield Goal(name, times_as_fast(ours, other), least, at_most=False)


def _fastest(measurements: Iterable[Measurement]) -> Measurement | None:
    return max(measurements, key=lambda each: each.per_second, default=None)

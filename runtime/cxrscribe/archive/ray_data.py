"""Many machines by Ray Data: a pool of actors that grows and shrinks, each of which scores shards.

Ray decides who scores which shards, and does it again where an actor or a machine dies. What is done, the
parts say, as ever: none of Ray's own sinks and checkpoints is used. What goes through Ray are numbers, for
its logs and its dashboard show what it is given.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from logging import ERROR, getLogger
from typing import TYPE_CHECKING, Any, Final

from cxrscribe.archive.quarantine import Breaker
from cxrscribe.archive.run import Run, run_of
from cxrscribe.archive.scoring import Receipt, score_shards
from cxrscribe.archive.supervisor import Assignment
from cxrscribe.engine import Engine
from cxrscribe.errors import CxrscribeError, InputError, MissingExtraError
from cxrscribe.json_object import JsonObject
from cxrscribe.sessions.device import usable_threads

if TYPE_CHECKING:
    from cxrscribe.reporter import Reporter

_SHARDS_A_TASK: Final = 4
"""Scored in one stream, which runs dry once a task."""
_GPUS: Final = ("cuda", "tensorrt")
_STATISTICS: Final = "RAY_USAGE_STATS_ENABLED"


def score_on_ray(
    assignment: Assignment,
    shards: Iterable[int],
    *,
    address: str | None = None,
    most_actors: int | None = None,
) -> Generator[Receipt, None, None]:
    """Score these shards on a Ray cluster; a receipt for each, as they get done.

    `address`: of the cluster, `auto` for the one that this machine belongs to; None starts one on this
    machine, for as long as this takes. `most_actors`: None for as many as there is room for, one after the
    other; a number is begun with, as far as there is room and work for so many. Each has a GPU
    where the engine's device is one, else as many cores as the engine has threads. Ray's usage statistics
    are off unless the environment turns them on.

    Raises InputError when an actor can't score, which names its machine; MissingExtraError.
    """
    ray = _ray()
    numbers = list(shards)
    if not numbers:
        return
    with _connected(ray, address):
        tasks = -(-len(numbers) // _SHARDS_A_TASK)
        films = ray.data.from_items([{"shard": shard} for shard in numbers], override_num_blocks=tasks)
        receipts = films.map_batches(
            RayScorer,
            fn_constructor_args=(assignment.request(),),
            batch_size=_SHARDS_A_TASK,
            compute=ray.data.ActorPoolStrategy(
                min_size=1,
                max_size=most_actors,
                initial_size=None if most_actors is None else min(most_actors, tasks),
            ),
            **_resources(assignment.engine),
        )
        for row in receipts.iter_rows():
            said = JsonObject(json.loads(row["receipt"]), "a receipt")
            if "error" in said.names():
                raise InputError(said.text("error"))
            yield Receipt.from_json(said)


class RayScorer:
    """An actor: a loaded model that scores the shards that it is given.

    It raises nothing, for Ray would show what, and try again: the first error is what it gives back from
    then on.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        """`request`: what `Assignment.request` gives."""
        self._request = request
        self._error = ""
        self._run: Run
        self._reporter: Reporter
        self._breaker = Breaker(request["share"])
        try:
            self._engine = Engine.from_json(JsonObject(request["engine"], "an engine"))
            self._run = run_of(JsonObject(request, "a request"))
            self._reporter = self._engine.load()
            self._run.check(self._reporter)
        except Exception as error:
            self._give_up(error)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        """One receipt, as JSON, for each shard of a batch with the column `shard`; or what is wrong."""
        found: list[Mapping[str, object]] = []
        if not self._error:
            try:
                receipts = score_shards(
                    self._run,
                    map(int, batch["shard"]),
                    self._reporter,
                    generation=self._request["generation"],
                    batch_size=self._request["batch_size"],
                    score_duplicates=self._request["score_duplicates"],
                    breaker=self._breaker,
                    engine=self._engine,
                )
                found += [receipt.to_json() for receipt in receipts]
            except Exception as error:
                self._give_up(error)
        if self._error:
            found.append({"error": self._error})
        return {"receipt": [json.dumps(each) for each in found]}

    def _give_up(self, error: Exception) -> None:
        # Only our own errors are known to name no film.
        why = str(error) if isinstance(error, CxrscribeError) else type(error).__name__
        self._error = f"{platform.node()}: {why}"


@contextmanager
def _connected(ray: Any, address: str | None) -> Iterator[None]:
    """A connection to a cluster, or a cluster; one that is there already is used, and left."""
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="ERROR",
            include_dashboard=None if address else False,
        )
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"there is no Ray cluster at {address or 'this machine'} ({type(error).__name__}); check "
            "--address"
        ) from None
    ray.data.DataContext.get_current().enable_progress_bars = False
    getLogger("ray.data").setLevel(ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def _resources(engine: Engine) -> dict[str, float]:
    if engine.device in _GPUS:
        return {"num_gpus": 1}
    return {"num_cpus": engine.threads or usable_threads()}


def _ray() -> Any:
    os.environ.setdefault(_STATISTICS, "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("Ray", "ray") from error
    return ray

"""The program that scores shards for a supervisor: `python -m cxrscribe.archive.worker`.

It reads one request, says that it is ready, and then takes numbers of shards from its stdin and gives a
receipt for each, until it is told that there are no more; now and then it says how many films it has taken.
It ends when its supervisor does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from queue import SimpleQueue
from threading import Thread
from typing import Final

from cxrscribe.archive.child import Parent
from cxrscribe.archive.quarantine import Breaker
from cxrscribe.archive.run import run_of
from cxrscribe.archive.scoring import score_shards
from cxrscribe.engine import Engine
from cxrscribe.errors import CxrscribeError
from cxrscribe.json_object import JsonObject
from cxrscribe.stats import DecodingStats

PULSE_SECONDS: Final = 5.0
"""How often a worker says how many films it has taken."""


def main() -> None:
    """Score shards until there are no more."""
    parent = Parent()
    request = parent.request()
    shards: SimpleQueue[int | None] = SimpleQueue()

    def hear(message: JsonObject) -> None:
        shards.put(None if message.is_null("shard") else message.integer("shard"))

    def asked_for() -> Iterator[int]:
        while (shard := shards.get()) is not None:
            yield shard

    def tell() -> None:
        while True:
            parent.say({"films": stats.films})
            time.sleep(PULSE_SECONDS)

    parent.listen(hear)
    stats = DecodingStats()
    try:
        engine = Engine.from_json(request.object("engine"))
        run = run_of(request)
        with engine.load() as reporter:
            receipts = score_shards(
                run,
                asked_for(),
                reporter,
                generation=request.integer("generation"),
                batch_size=request.integer("batch_size", 1),
                score_duplicates=request.boolean("score_duplicates"),
                breaker=Breaker(request.number("share")),
                engine=engine,
                stats=stats,
            )
            with closing(receipts):  # an end that comes between two of them takes back what was begun
                parent.say({"ready": True})
                Thread(target=tell, name="cxrscribe-pulse", daemon=True).start()
                for receipt in receipts:
                    parent.say({"receipt": receipt.to_json()})
    except CxrscribeError as error:
        parent.say({"error": str(error)})
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
